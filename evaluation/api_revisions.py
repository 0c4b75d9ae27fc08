"""Answers that a training run has revised, and whether that made them better."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.serializers.names import annotator_named
from evaluation.serializers_revisions import RevisionsRequest, RevisionsSerializer
from evaluation.services_revisions import chains_of, start_revisions, told_of_run
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run
from steelyard.runs.serializers import RunSerializer


class RunRevisions(APIView):
    """A training run's revised answers, and judges' win rates after each revision."""

    @extend_schema(responses=RevisionsSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        run = _run(request, project, pk)
        found = {"answers": chains_of(run), "judged": told_of_run(run)}
        return Response(RevisionsSerializer(found).data)

    @extend_schema(request=RevisionsRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Have a judge compare each revision with the answer before any."""
        run = _run(request, project, pk)
        body = RevisionsRequest(data=request.data)
        body.is_valid(raise_exception=True)
        judge = annotator_named(run.project, body.validated_data["judge"], "judge")
        made = start_revisions(run=run, judge=judge, by=user_of(request))
        return Response(RunSerializer(made).data, status=201)


def _run(request: Request, project: str, pk: int) -> Run:
    rows = Run.objects.filter(kind="train").select_related("project")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
