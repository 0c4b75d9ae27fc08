from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.models import Evaluation
from evaluation.serializers_stopping import GoOnRequest, StoppingSerializer
from evaluation.services_stopping import go_on, stop_evaluation
from evaluation.stopping import state_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_visible


class EvaluationStopping(APIView):
    """How sure an evaluation is by people's votes, and how many more it needs."""

    @extend_schema(responses=StoppingSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Evaluation.objects.select_related("project", "baseline")
        evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(StoppingSerializer(state_of(evaluation)).data)


class EvaluationStop(APIView):
    """Ask people no more, for the project's admins."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=None, responses=StoppingSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        user = user_of(request)
        evaluation = get_visible(Evaluation, user, ADMINS, pk=pk, project__slug=project)
        stop_evaluation(evaluation=evaluation, by=user)
        return Response(StoppingSerializer(state_of(evaluation)).data)


class EvaluationGoOn(APIView):
    """Ask people again, or raise the budget while they are asked, for the project's admins."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=GoOnRequest, responses=StoppingSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        user = user_of(request)
        evaluation = get_visible(Evaluation, user, ADMINS, pk=pk, project__slug=project)
        body = GoOnRequest(data=request.data)
        body.is_valid(raise_exception=True)
        go_on(evaluation=evaluation, by=user, budget=body.validated_data["budget"])
        return Response(StoppingSerializer(state_of(evaluation)).data)
