"""The two calls that annotators live on, their progress, and the votes for staff."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Judgment, Pair
from annotation.querysets import JudgmentQuerySet
from annotation.serializers.labelling import (
    JudgmentQuery,
    JudgmentRequest,
    JudgmentSerializer,
    LeaseSerializer,
    ProgressSerializer,
    RecordedSerializer,
)
from annotation.serializers.names import annotator_named, model_named
from annotation.services.queue import annotator_for, next_pair, progress_of
from annotation.services.verdicts import Verdict, record_judgment
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import ANY_ROLE, get_project


class Next(APIView):
    """The next pair for you."""

    @extend_schema(responses={200: LeaseSerializer, 204: None})
    def get(self, request: Request, project: str) -> Response:
        """Lease a pair, or get the one that you hold already, its lease renewed.

        204 where nothing is left for you. Hand the verdict in with `POST judgments` before
        `expires_at`; later it is still taken if nobody else has completed the pair.
        """
        found = get_project(user_of(request), project, ANY_ROLE)
        lease = next_pair(annotator=annotator_for(user=user_of(request), project=found))
        return Response(LeaseSerializer(lease).data) if lease else Response(status=204)


class Progress(APIView):
    """How far you are."""

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project, ANY_ROLE)
        return Response(progress_of(annotator_for(user=user_of(request), project=found)))


class JudgmentList(ListAPIView):
    """Judgments of a project, the newest first, and the way to hand in your own."""

    serializer_class = JudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> JudgmentQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = JudgmentQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        rows = Judgment.objects.filter(project=project)
        return rows.chosen(**_by_name(project, query.validated_data)).with_content()

    @extend_schema(parameters=[JudgmentQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        request=JudgmentRequest, responses={200: RecordedSerializer, 201: RecordedSerializer}
    )
    def post(self, request: Request, project: str) -> Response:
        """Record your verdict on a pair that `next` gave you.

        201 where it is new, 200 where the same UUID had brought it before, 409 where it is no
        longer wanted: the pair is judged already, was never yours, or others completed it.
        """
        found = get_project(user_of(request), project, ANY_ROLE)
        body = JudgmentRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        judgment, created = record_judgment(
            annotator=annotator_for(user=user_of(request), project=found),
            pair=_pair(found, said.pop("pair")),
            verdict=Verdict(**said),
        )
        return Response(RecordedSerializer(judgment).data, status=201 if created else 200)


def _pair(project: Project, pk: int) -> Pair:
    pair = Pair.objects.filter(project=project, pk=pk).first()
    if pair is None:
        raise UserError(f"This project has no pair {pk}.", code="no_such_pair", field="pair")
    return pair


def _by_name(project: Project, said: dict[str, Any]) -> dict[str, Any]:
    said = dict(said)
    if "annotator" in said:
        said["annotator"] = annotator_named(project, said["annotator"])
    if "model" in said:
        said["model"] = model_named(project, said["model"])
    return said
