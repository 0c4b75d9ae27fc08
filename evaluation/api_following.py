"""Whether a training run's model makes new pairs by itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.services_following import WANTED, WISH, round_after, wish_for_round
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run
from steelyard.web.api import StrictSerializer


class NewPairsRequest(StrictSerializer):
    """What ``PUT runs/{id}/new-pairs`` takes."""

    wanted = serializers.BooleanField(help_text="Whether they are to be made.")


class NewPairsSerializer(serializers.Serializer):
    """What is to become, or has become, of a training run's model in the labelling queue."""

    wanted = serializers.BooleanField(help_text="Whether they are made once the run has ended.")
    round = serializers.IntegerField(allow_null=True, help_text="The run that makes them.")


class RunNewPairs(APIView):
    """New pairs for the labelling queue, made with a training run's model once it is there."""

    @extend_schema(responses=NewPairsSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(_told(_run(request, project, pk)))

    @extend_schema(request=NewPairsRequest, responses=NewPairsSerializer)
    def put(self, request: Request, project: str, pk: int) -> Response:
        """Wish for them, or take the wish back; 409 where the run has ended."""
        run = _run(request, project, pk)
        body = NewPairsRequest(data=request.data)
        body.is_valid(raise_exception=True)
        wish_for_round(run=run, wanted=body.validated_data["wanted"])
        run.refresh_from_db()
        return Response(_told(run))


def _run(request: Request, project: str, pk: int) -> Run:
    rows = Run.objects.filter(kind="train").select_related("project")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _told(run: Run) -> Any:
    begun = round_after(run)
    told = {"wanted": run.spec.get(WISH) == WANTED, "round": begun.pk if begun else None}
    return NewPairsSerializer(told).data
