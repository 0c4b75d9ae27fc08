from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from training.models import TrainingJob
from training.querysets import TrainingJobQuerySet
from training.serializers import (
    RecipeSerializer,
    TrainingJobRequest,
    TrainingJobSerializer,
    named,
    recipes_in_words,
)
from training.services import start_training


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
