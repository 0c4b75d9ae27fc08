"""JSON Lines over HTTP: line by line in, line by line out, however many there are."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import StreamingHttpResponse, UnreadablePostError
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from steelyard.lib.errors import UserError

MEDIA_TYPE = "application/x-ndjson"
LONGEST_LINE = 1024 * 1024
"""bytes"""
_PAGE = 500


class NdjsonParser(BaseParser):
    """Leaves the body where it is: whoever wants it reads it line by line."""

    media_type = MEDIA_TYPE

    def parse(  # type: ignore[override]
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> IO[bytes]:
        return stream


@dataclass(frozen=True)
class Line:
    """One line of a body: an object, or why it is none."""

    number: int
    value: dict[str, Any] | None
    problem: UserError | None = None


def read_lines(stream: IO[bytes], encoding: str = "") -> Iterator[Line]:
    """The lines of a body; blank ones are passed over. One that is wrong does not end it, a body
    that breaks off does, with its last line a problem.

    Args:
        encoding: ``gzip`` or nothing, as the header Content-Encoding says.

    Raises:
        UserError: another encoding.
    """
    if encoding not in {"", "identity", "gzip"}:
        raise UserError(
            f"Content-Encoding is {encoding!r}; it must be gzip or absent.",
            code="unknown_encoding",
            status=415,
        )
    source: Any = gzip.GzipFile(fileobj=stream) if encoding == "gzip" else stream
    number = size = 0
    try:
        while raw := source.readline(LONGEST_LINE + 1):
            number += 1
            size += len(raw)
            if len(raw) > LONGEST_LINE:
                size += _skip_line(source, raw)
                yield Line(number, None, _wrong("line_too_long", "is longer than 1 MiB"))
            elif raw.strip():
                yield _line(number, raw)
            if size > settings.MAX_UPLOAD_BYTES:
                yield Line(number + 1, None, _wrong("too_large", "is beyond the most of one call"))
                return
    except (UnreadablePostError, OSError, EOFError, zlib.error):
        yield Line(number + 1, None, _wrong("truncated", "is where the body breaks off"))


def _skip_line(source: Any, raw: bytes) -> int:
    skipped = 0
    while raw and not raw.endswith(b"\n"):
        raw = source.readline(LONGEST_LINE)
        skipped += len(raw)
    return skipped


def _line(number: int, raw: bytes) -> Line:
    try:
        value = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # no halves of characters
    except (ValueError, RecursionError) as error:
        return Line(number, None, _wrong("not_json", f"is no JSON in UTF-8: {error}"[:300]))
    if not isinstance(value, dict):
        return Line(number, None, _wrong("no_object", "is no JSON object"))
    return Line(number, value)


def _wrong(code: str, what: str) -> UserError:
    return UserError(f"This line {what}.", code=code)


def lines_of(rows: QuerySet, serializer: type[serializers.BaseSerializer]) -> Iterator[bytes]:
    """Every row as one line, in the order in which they came; some hundred are in memory at once.

    It goes by key from part to part, so it holds no cursor of the database open while the client
    takes its time.
    """
    renderer, last = JSONRenderer(), 0
    while part := list(rows.filter(pk__gt=last).order_by("pk")[:_PAGE]):
        last = part[-1].pk
        data = serializer(part, many=True).data
        yield b"".join(renderer.render(one) + b"\n" for one in data)


def answer(chunks: Iterable[bytes], name: str = "") -> StreamingHttpResponse:
    response = StreamingHttpResponse(chunks, content_type=MEDIA_TYPE)
    if name:
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
