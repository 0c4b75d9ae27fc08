from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.agreement import judge_reports
from annotation.models import Annotator
from annotation.serializers.judges import (
    AnnotatorSerializer,
    JudgeReportSerializer,
    JudgeRequest,
    JudgeRunRequest,
    ScorerRequest,
)
from annotation.serializers.names import model_named
from annotation.services.judging import create_judge, pairs_for, start_judging
from annotation.services.scoring import create_scorer
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.serializers import RunSerializer


class AnnotatorList(ListAPIView):
    """People and AI judges who judge in a project."""

    serializer_class = AnnotatorSerializer
    queryset = Annotator.objects.none()

    def get_queryset(self) -> QuerySet[Annotator]:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return Annotator.objects.filter(project=project).select_related("model")


class JudgeList(APIView):
    """AI judges with their agreement, and the way to make one."""

    @extend_schema(responses=JudgeReportSerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        return Response(JudgeReportSerializer(judge_reports(found), many=True).data)

    @extend_schema(request=JudgeRequest, responses={201: AnnotatorSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = JudgeRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        judge = create_judge(
            project=found,
            name=said["name"],
            model=model_named(found, said["model"]),
            criteria=said["criteria"],
            sampling={key: said[key] for key in ("temperature", "max_new_tokens")},
        )
        return Response(AnnotatorSerializer(judge).data, status=201)


class JudgeRuns(APIView):
    """Ask a judge."""

    @extend_schema(request=JudgeRunRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Start a run in which the judge compares pairs, each in both orders. Its verdicts come in
        as judgments while it goes on."""
        rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
        judge = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        body = JudgeRunRequest(data=request.data)
        body.is_valid(raise_exception=True)
        pairs = pairs_for(judge=judge, **body.validated_data)
        run = start_judging(judge=judge, pairs=pairs, by=user_of(request))
        return Response(RunSerializer(run).data, status=201)


class ScorerList(APIView):
    """Scorers of pictures and clips, and the way to add one; ``judges/{id}/runs`` starts one."""

    @extend_schema(responses=AnnotatorSerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        rows = Annotator.objects.filter(project=found, kind="judge").exclude(scorer={})
        return Response(AnnotatorSerializer(rows.select_related("model"), many=True).data)

    @extend_schema(request=ScorerRequest, responses={201: AnnotatorSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = ScorerRequest(data=request.data)
        body.is_valid(raise_exception=True)
        judge = create_scorer(project=found, by=user_of(request), **body.validated_data)
        return Response(AnnotatorSerializer(judge).data, status=201)
