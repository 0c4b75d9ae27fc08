"""Checkpoints of a training job: what there is, keeping some, letting one go."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible
from training.keeping import checkpoints_of, keep_checkpoints, let_go
from training.models import TrainingJob
from training.serializers_checkpoints import CheckpointSerializer, KeepCheckpointsRequest


class CheckpointList(APIView):
    """The checkpoints of a run that there are models of, or could be; keep some as models."""

    @extend_schema(responses=CheckpointSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        return _listed(_job(request, project, pk))

    @extend_schema(request=KeepCheckpointsRequest, responses={201: CheckpointSerializer(many=True)})
    def post(self, request: Request, project: str, pk: int) -> Response:
        job = _job(request, project, pk)
        body = KeepCheckpointsRequest(data=request.data)
        body.is_valid(raise_exception=True)
        keep_checkpoints(job=job, by=user_of(request), **body.validated_data)
        return _listed(job, status=201)


class CheckpointDetail(APIView):
    """One checkpoint that is kept."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int, step: int) -> Response:
        """Take its model away with its files; refused where something was made with it."""
        let_go(job=_job(request, project, pk), step=step, by=user_of(request))
        return Response(status=204)


def _job(request: Request, project: str, pk: int) -> TrainingJob:
    rows = TrainingJob.objects.with_parts()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _listed(job: TrainingJob, status: int = 200) -> Response:
    return Response(CheckpointSerializer(checkpoints_of(job), many=True).data, status=status)
