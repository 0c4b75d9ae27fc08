from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.reasons import reasons_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project
from steelyard.web.api import StrictSerializer


class ReasonsQuery(StrictSerializer):
    by = serializers.ChoiceField(choices=["people", "judges"], default="people")
    outcome = serializers.ChoiceField(choices=["winner", "tie", "both_bad"], required=False)


class ReasonThemeSerializer(serializers.Serializer):
    words = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()
    share = serializers.FloatField(help_text="Of the reasons that were read.")
    first = serializers.IntegerField(help_text="For the side that was shown first.")
    second = serializers.IntegerField()
    side_unknown = serializers.IntegerField(
        help_text="For one side, where it is not known which was shown first, or both were in turn."
    )
    ties = serializers.IntegerField()
    both_bad = serializers.IntegerField()
    examples = serializers.ListField(help_text="Pair and text.")


class ReasonsSerializer(serializers.Serializer):
    read = serializers.IntegerField()
    total = serializers.IntegerField()
    themes = ReasonThemeSerializer(many=True)


class ReasonThemes(APIView):
    """What people's reasons, or judges', are about."""

    @extend_schema(parameters=[ReasonsQuery], responses=ReasonsSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        asked = ReasonsQuery(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        return Response(asdict(reasons_of(found, said["by"], said.get("outcome", ""))))
