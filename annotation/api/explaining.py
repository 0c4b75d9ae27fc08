"""Why people's verdicts are right, as judges say it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator, MachineRationale
from annotation.serializers.explaining import (
    ExplainEstimateSerializer,
    ExplainQuery,
    ExplainRequest,
    MachineRationaleQuery,
    MachineRationaleSerializer,
)
from annotation.services.explaining import estimate_explaining, start_explaining, waiting
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_project, get_visible
from steelyard.runs.serializers import RunSerializer
from steelyard.web.api import read_by


class RationaleList(ListAPIView):
    """Reasons that judges have written for people's verdicts, the newest first; people's own are in
    their judgments."""

    serializer_class = MachineRationaleSerializer
    queryset = MachineRationale.objects.none()

    def get_queryset(self) -> QuerySet[MachineRationale]:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = MachineRationaleQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        said = dict(query.validated_data)
        if "judge" in said:
            said["judge__name"] = said.pop("judge")
        rows = MachineRationale.objects.filter(project=project, **said)
        return rows.select_related("judge").order_by("-pk")

    @extend_schema(parameters=[MachineRationaleQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class JudgeRationales(APIView):
    """What it would take to have a judge explain people's verdicts, and the way to do it."""

    @extend_schema(parameters=[ExplainQuery], responses=ExplainEstimateSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        judge = _judge(request, project, pk)
        said = read_by(ExplainQuery, request.query_params)
        try:
            found = waiting(judge=judge, **said)
        except UserError as error:
            return Response(ExplainEstimateSerializer({"problem": error.message}).data)
        told = estimate_explaining(judge=judge, verdicts=found.verdicts, style=said["style"])
        body = {"verdicts": len(found.verdicts), "written": found.done, **vars(told)}
        return Response(ExplainEstimateSerializer(body).data)

    @extend_schema(request=ExplainRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Start the run; for the project's admins. What is there already is not written again."""
        judge = _judge(request, project, pk)
        body = ExplainRequest(data=request.data)
        body.is_valid(raise_exception=True)
        run = start_explaining(judge=judge, by=user_of(request), **body.validated_data)
        return Response(RunSerializer(run).data, status=201)


def _judge(request: Request, project: str, pk: int) -> Annotator:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE).select_related("project", "model")
    return get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
