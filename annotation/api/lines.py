"""Prompts, pairs and judgments as JSON Lines: all of them out, any number of pairs in."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from annotation.api.labelling import JudgmentList
from annotation.api.material import PairList, PromptList
from annotation.serializers.labelling import JudgmentQuery
from annotation.serializers.material import PairQuery, PromptQuery
from annotation.services.bulk import Result, add_lines
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project
from steelyard.web.api import AnyType, problem_of
from steelyard.web.ndjson import MEDIA_TYPE, NdjsonParser, answer, lines_of, read_lines

_LINES = {(200, MEDIA_TYPE): OpenApiTypes.STR}
_IN_MEMORY = 1024 * 1024
"""bytes of results; what is more waits on disk"""


class PromptLines(PromptList):
    """All prompts that the filters leave, one JSON object a line, the oldest first."""

    pagination_class = None
    renderer_classes = [AnyType]
    http_method_names = ["get", "head", "options"]

    @extend_schema(parameters=[PromptQuery], responses=_LINES, filters=False)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return answer(lines_of(self.get_queryset(), self.serializer_class), "prompts.ndjson")


class JudgmentLines(JudgmentList):
    """All judgments that the filters leave, one JSON object a line, the oldest first."""

    pagination_class = None
    renderer_classes = [AnyType]
    http_method_names = ["get", "head", "options"]

    @extend_schema(parameters=[JudgmentQuery], responses=_LINES, filters=False)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return answer(lines_of(self.get_queryset(), self.serializer_class), "judgments.ndjson")


class PairLines(PairList):
    """All pairs that the filters leave, one JSON object a line, and the way to bring many in."""

    pagination_class = None
    renderer_classes = [AnyType]
    parser_classes = [NdjsonParser]

    @extend_schema(parameters=[PairQuery], responses=_LINES, filters=False)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return answer(lines_of(self.get_queryset(), self.serializer_class), "pairs.ndjson")

    @extend_schema(request={MEDIA_TYPE: OpenApiTypes.STR}, responses=_LINES)
    def post(self, request: Request, project: str) -> Any:
        """Add pairs, one a line, as a file of pairs has them (`a`, `b` and `prompt` at least).

        The answer has one line for each: `{"line", "status", "pair"}` with 201 where the pair is
        new and 200 where it was there, or `{"line", "status", "problem"}`. What is right is
        stored, whatever the other lines are; sent again it changes nothing. The body may be
        compressed (`Content-Encoding: gzip`).
        """
        user = user_of(request)
        found = get_project(user, project)
        stream: Any = request.data or io.BytesIO()
        lines = read_lines(stream, request.headers.get("Content-Encoding", "").lower())
        # most clients read nothing before they have sent all, so the results wait for that
        spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (the answer closes it)
        for result in add_lines(project=found, lines=lines, by=user):
            spool.write(_written(result))
        spool.seek(0)
        return answer(_chunks(spool))


def _written(result: Result) -> bytes:
    said: dict[str, Any] = {"line": result.line}
    if result.problem:
        problem = problem_of(result.problem)
        said |= {"status": problem["status"], "problem": problem}
    else:
        said |= {"status": 201 if result.created else 200, "pair": result.pair}
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"


def _chunks(spool: Any) -> Iterator[bytes]:
    with spool:
        while chunk := spool.read(64 * 1024):
            yield chunk
