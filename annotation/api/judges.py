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
    AskingEstimateSerializer,
    JudgeReportSerializer,
    JudgeRunRequest,
    JudgeVersionRequest,
    LimitsSerializer,
    NewJudgeRequest,
    ScorerRequest,
)
from annotation.serializers.names import model_named
from annotation.services.estimating import estimate
from annotation.services.judging import (
    create_judge,
    new_judge_version,
    pairs_for,
    set_limits,
    start_check,
    start_judging,
)
from annotation.services.rewards import create_reward
from annotation.services.scoring import create_scorer
from steelyard.accounts.people import user_of
from steelyard.inference.scorers.base import OF_TEXTS
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

    @extend_schema(request=NewJudgeRequest, responses={201: AnnotatorSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = NewJudgeRequest(data=request.data)
        body.is_valid(raise_exception=True)
        judge = create_judge(
            project=found,
            name=body.validated_data["name"],
            model=model_named(found, body.validated_data["model"]),
            **body.as_request(),
        )
        return Response(AnnotatorSerializer(judge).data, status=201)


class JudgeRuns(APIView):
    """Ask a judge."""

    @extend_schema(request=JudgeRunRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Start a run in which the judge compares pairs. Its verdicts come in as judgments while
        it goes on."""
        judge = _judge(request, project, pk)
        body = JudgeRunRequest(data=request.data)
        body.is_valid(raise_exception=True)
        pairs = pairs_for(judge=judge, **body.validated_data)
        run = start_judging(judge=judge, pairs=pairs, by=user_of(request))
        return Response(RunSerializer(run).data, status=201)


class JudgeEstimates(APIView):
    """What asking a judge would come to; nobody is asked."""

    @extend_schema(request=JudgeRunRequest, responses=AskingEstimateSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """About how many calls and tokens, how much money and time asking about these pairs would
        take. Nothing is started."""
        judge = _judge(request, project, pk)
        body = JudgeRunRequest(data=request.data)
        body.is_valid(raise_exception=True)
        pairs = pairs_for(judge=judge, **body.validated_data)
        return Response(AskingEstimateSerializer(estimate(judge=judge, pairs=pairs)).data)


class JudgeVersions(APIView):
    """The versions of a judge's line, the newest first, and the way to make the next."""

    @extend_schema(responses=AnnotatorSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        line = _judge(request, project, pk).line.select_related("model")
        return Response(AnnotatorSerializer(line, many=True).data)

    @extend_schema(request=JudgeVersionRequest, responses={201: AnnotatorSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Make the next version; what is not said stays as it is. The versions before and their
        votes stay what they were."""
        judge = _judge(request, project, pk)
        body = JudgeVersionRequest(data=request.data)
        body.is_valid(raise_exception=True)
        named = body.validated_data.get("model")
        model = model_named(judge.project, named) if named else None
        made = new_judge_version(judge=judge, model=model, **body.as_request())
        return Response(AnnotatorSerializer(made).data, status=201)


class JudgeLimits(APIView):
    """How fast a judge asks and what it may cost."""

    @extend_schema(responses=LimitsSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(LimitsSerializer(_judge(request, project, pk).limits).data)

    @extend_schema(request=LimitsSerializer, responses=AnnotatorSerializer)
    def put(self, request: Request, project: str, pk: int) -> Response:
        """Replace them all; what is not said is no longer limited."""
        judge = _judge(request, project, pk)
        body = LimitsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        set_limits(judge=judge, limits=body.validated_data)
        return Response(AnnotatorSerializer(judge).data)


class JudgeChecks(APIView):
    """Measure how much an answer gains by telling the judge to choose it."""

    @extend_schema(request=None, responses={201: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Start the run; admins only. What it finds stands in the judge's ``checks``."""
        run = start_check(judge=_judge(request, project, pk), by=user_of(request))
        return Response(RunSerializer(run).data, status=201)


class ScorerList(APIView):
    """Scorers, and the way to add one; ``judges/{id}/runs`` starts one."""

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
        said = dict(body.validated_data)
        if said["kind"] in OF_TEXTS:
            del said["kind"], said["frames"]
            model = model_named(found, said.pop("source"), field="source")
            judge = create_reward(project=found, model=model, **said)
        else:
            judge = create_scorer(project=found, by=user_of(request), **said)
        return Response(AnnotatorSerializer(judge).data, status=201)


def _judge(request: Request, project: str, pk: int) -> Annotator:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    rows = rows.select_related("project", "model__project")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
