from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator
from evaluation.grids import lines_so_far
from evaluation.models import Evaluation
from evaluation.presets import figures_of
from evaluation.querysets import EvaluationQuerySet
from evaluation.questions import aspect_rates
from evaluation.routing import corrected
from evaluation.serializers import (
    EvaluationDetailSerializer,
    EvaluationRequest,
    EvaluationSerializer,
    GenerationRequest,
    GenerationSerializer,
    JudgeRequest,
    RoundRequest,
    models_named,
)
from evaluation.services import ask_judge, resume_evaluation, start_evaluation
from evaluation.services_round import start_generation, start_round
from evaluation.standings import unreadable, win_rates
from evaluation.votes import votes_of
from steelyard.accounts.people import user_of
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.files import address_of
from steelyard.runs.models import Run
from steelyard.runs.serializers import RunSerializer


class EvaluationList(ListAPIView):
    """Evaluations of a project, and the way to start one."""

    serializer_class = EvaluationSerializer
    queryset = Evaluation.objects.none()

    def get_queryset(self) -> EvaluationQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return (
            Evaluation.objects.filter(project=project).with_parts().prefetch_related("candidates")
        )

    @extend_schema(request=EvaluationRequest, responses={201: EvaluationSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = EvaluationRequest(data=request.data)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        data["baseline"] = models_named(found, [data["baseline"]], field="baseline")[0]
        data["candidates"] = models_named(found, data["candidates"], field="candidates")
        data["judges"] = judges_named(found, data["judges"])
        if data["people"] is None:
            data["people"] = not data["judges"]
        named = ("source", "version", "set", "category", "limit")
        data["prompt_set"] = {name: data.pop(name) for name in named if name in data}
        evaluation = start_evaluation(project=found, by=user_of(request), **data)
        return Response(EvaluationSerializer(evaluation).data, status=201)


class EvaluationDetail(APIView):
    """One evaluation with its win rates, people and judges apart."""

    @extend_schema(responses=EvaluationDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Evaluation.objects.with_parts()
        evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(_detail(evaluation))


class EvaluationJudges(APIView):
    """Ask one more judge about the comparisons, or one that failed about the rest."""

    @extend_schema(request=JudgeRequest, responses={201: EvaluationDetailSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        rows = Evaluation.objects.with_parts()
        evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        body = JudgeRequest(data=request.data)
        body.is_valid(raise_exception=True)
        judge = _judge_named(evaluation.project, body.validated_data["judge"])
        assert judge is not None
        ask_judge(evaluation=evaluation, judge=judge, by=user_of(request))
        return Response(_detail(rows.get(pk=pk)), status=201)


class EvaluationResume(APIView):
    """Generate what is missing after an evaluation failed; the outputs that were made are kept."""

    @extend_schema(request=None, responses=EvaluationDetailSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        rows = Evaluation.objects.with_parts()
        evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        resume_evaluation(evaluation=evaluation, by=user_of(request))
        return Response(_detail(rows.get(pk=pk)))


def _detail(evaluation: Evaluation) -> Any:
    votes = votes_of(evaluation)
    evaluation.win_rates = win_rates(evaluation, votes)  # type: ignore[attr-defined]
    evaluation.figures = figures_of(evaluation, votes)  # type: ignore[attr-defined]
    evaluation.routed = [  # type: ignore[attr-defined]
        {"model": model, "found": found}
        for model in evaluation.candidates.all()
        if (found := corrected(evaluation, votes, model.pk)) is not None
    ]
    evaluation.aspects = aspect_rates(evaluation, votes)  # type: ignore[attr-defined]
    garbled = unreadable(evaluation)
    names = {seat.judge_id: seat.judge.name for seat in evaluation.seats}
    evaluation.unreadable = {  # type: ignore[attr-defined]
        names[pk]: number for pk, number in garbled.items() if pk in names
    }
    return EvaluationDetailSerializer(evaluation).data


class RoundList(APIView):
    """Rounds of new pairs: a model answers prompts that may be trained on."""

    @extend_schema(request=RoundRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = RoundRequest(data=request.data)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        for field in ("model", "opponent"):
            if field in data:
                data[field] = models_named(found, [data[field]], field=field)[0]
        run = start_round(project=found, by=user_of(request), **data)
        return Response(RunSerializer(run).data, status=201)


class GenerationList(APIView):
    """Outputs of models to prompts, made in the background and paired for the labelling queue."""

    @extend_schema(request=GenerationRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = GenerationRequest(data=request.data)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        data["models"] = models_named(found, data["models"], field="models")
        run = start_generation(project=found, by=user_of(request), **data)
        return Response(RunSerializer(run).data, status=201)


class GenerationDetail(APIView):
    """A generation's state, and every output that it has made so far."""

    @extend_schema(responses=GenerationSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Run.objects.filter(kind="round").select_related("project")
        run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        outputs = [
            {
                **line,
                "sample": line.get("sample", 0),
                "text": line.get("text") or "",
                "file": address_of(run, line.get("media")) or "",
            }
            for line in lines_so_far(run)
        ]
        return Response(GenerationSerializer({"run": run, "outputs": outputs}).data)


def _judge_named(project: Project, name: str) -> Annotator | None:
    if not name:
        return None
    judge = Annotator.objects.filter(project=project, kind="judge", name=name).first()
    if judge is None:
        raise serializers.ValidationError(
            {"judge": [f"No judge of this project is named {name!r}."]}
        )
    return judge


def judges_named(project: Project, names: list[str]) -> list[Annotator]:
    """In that order, each once."""
    found = {j.name: j for j in Annotator.objects.filter(project=project, kind="judge")}
    for name in names:
        if name not in found:
            raise serializers.ValidationError(
                {"judges": [f"No judge of this project is named {name!r}."]}
            )
    return [found[name] for name in dict.fromkeys(names)]
