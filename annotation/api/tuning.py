"""Tuning a judge by people's reasons."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator
from annotation.serializers.names import model_named
from annotation.serializers.tuning import TuningPlanSerializer, TuningRequest, TuningSerializer
from annotation.services.tuned import tuned_by
from annotation.services.tuning import problem_of, split, start_tuning
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run
from steelyard.runs.serializers import RunSerializer


class Tunings(APIView):
    """What a judge would be tuned on, and the way to tune it."""

    @extend_schema(responses=TuningPlanSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        judge = _judge(request, project, pk)
        found = split(judge)
        plan = {
            "found": found.found,
            "parts": [
                {"part": name, "pairs": pairs, "prompts": prompts}
                for name, (pairs, prompts) in found.sizes.items()
            ],
            "reasons": found.reasons,
            "seed": found.seed,
            "least_budget": found.least,
            "budget": found.budget,
            "calls": found.calls(judge, found.budget),
            "problem": problem_of(judge, found),
        }
        return Response(TuningPlanSerializer(plan).data)

    @extend_schema(request=TuningRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Start the run. What it finds becomes the judge's next version, which nobody but people
        puts to use."""
        judge = _judge(request, project, pk)
        body = TuningRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        reflection = model_named(judge.project, said.pop("reflection"))
        run = start_tuning(judge=judge, reflection=reflection, by=user_of(request), **said)
        return Response(RunSerializer(run).data, status=201)


class TuningDetail(APIView):
    """One tuning run: the texts that were tried, and the agreement on the test pairs."""

    @extend_schema(responses=TuningSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        user = user_of(request)
        run = get_visible(Run, user, pk=pk, project__slug=project, kind="tune_judge")
        return Response(TuningSerializer(tuned_by(run)).data)


def _judge(request: Request, project: str, pk: int) -> Annotator:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    rows = rows.select_related("project", "model__project", "parent")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
