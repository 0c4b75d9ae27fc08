from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.length import lengths
from evaluation.models import Evaluation
from evaluation.serializers_length import LengthSerializer
from evaluation.votes import votes_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible


class EvaluationLength(APIView):
    """Win rates of an evaluation of texts at equal length, by our estimator and AlpacaEval's."""

    @extend_schema(responses=LengthSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Evaluation.objects.with_parts()
        evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(LengthSerializer(lengths(evaluation, votes_of(evaluation)), many=True).data)
