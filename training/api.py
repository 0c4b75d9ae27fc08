from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run
from training.models import TrainingJob
from training.preflight import report_of
from training.querysets import TrainingJobQuerySet
from training.samples import lines_of, media_rows_of
from training.serializers import (
    PreflightRequest,
    PreflightSerializer,
    RecipeSerializer,
    SampleSerializer,
    TrainingJobRequest,
    TrainingJobSerializer,
    TryRequest,
    TrySerializer,
    named,
    recipes_in_words,
)
from training.services import start_preflight, start_training
from training.services_try import start_try


class RecipeList(APIView):
    """The ways to train and their settings, with help texts and defaults."""

    beyond_project = True

    @extend_schema(responses=RecipeSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response(RecipeSerializer(recipes_in_words(), many=True).data)


class TrainingJobList(ListAPIView):
    """Training jobs of a project, and the way to start one."""

    serializer_class = TrainingJobSerializer
    queryset = TrainingJob.objects.none()

    def get_queryset(self) -> TrainingJobQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return TrainingJob.objects.filter(project=project).with_parts()

    @extend_schema(request=TrainingJobRequest, responses={201: TrainingJobSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = TrainingJobRequest(data=request.data)
        body.is_valid(raise_exception=True)
        job = start_training(
            project=found, by=user_of(request), **named(found, body.validated_data)
        )
        return Response(TrainingJobSerializer(job).data, status=201)


class TrainingJobDetail(APIView):
    """One training job: what went in, its run's state, and the model that came out."""

    @extend_schema(responses=TrainingJobSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = TrainingJob.objects.with_parts()
        job = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(TrainingJobSerializer(job).data)


class PreflightList(APIView):
    """Ask what a training run of these settings would meet, before it is started."""

    @extend_schema(request=PreflightRequest, responses={201: PreflightSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = PreflightRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked = named(found, body.validated_data)
        run = start_preflight(project=found, by=user_of(request), **asked)
        return Response(_preflight(run), status=201)


class PreflightDetail(APIView):
    """A preflight's state, and its report once it is there."""

    @extend_schema(responses=PreflightSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Run.objects.filter(kind="preflight")
        run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(_preflight(run))


class TrainingJobSamples(APIView):
    """What the model wrote or painted while it was trained, beside what it made before."""

    @extend_schema(responses=SampleSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = TrainingJob.objects.with_parts()
        job = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        made = [*lines_of(job.run), *media_rows_of(job.run)]
        return Response(SampleSerializer(made, many=True).data)


class TryList(APIView):
    """Ask a model one thing; the answer is the result of a run."""

    @extend_schema(request=TryRequest, responses={201: TrySerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        rows = ModelVersion.objects.select_related("project", "base")
        model = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        body = TryRequest(data=request.data)
        body.is_valid(raise_exception=True)
        run = start_try(model=model, by=user_of(request), **body.validated_data)
        return Response(TrySerializer(run).data, status=201)


class TryDetail(APIView):
    """What a model answered, once it has."""

    @extend_schema(responses=TrySerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Run.objects.filter(kind="try")
        run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(TrySerializer(run).data)


def _preflight(run: Run) -> dict[str, Any]:
    body = {"id": run.pk, "state": run.state, "error": run.error, "report": report_of(run)}
    return dict(PreflightSerializer(body).data)
