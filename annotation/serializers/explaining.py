from __future__ import annotations

from rest_framework import serializers

from annotation.models import MachineRationale, Style
from steelyard.web.api import StrictSerializer


class MachineRationaleSerializer(serializers.ModelSerializer):
    """Why a verdict that people gave is right, as a model says it."""

    judge = serializers.CharField(source="judge.name")

    class Meta:
        model = MachineRationale
        fields = ["id", "pair", "outcome", "judge", "style", "text", "run", "made_at"]
        read_only_fields = fields


class MachineRationaleQuery(serializers.Serializer):
    """Filters of ``GET rationales``."""

    pair = serializers.IntegerField(required=False)
    judge = serializers.CharField(required=False, help_text="Name of a judge.")
    style = serializers.ChoiceField(  # type: ignore[assignment]
        choices=Style.choices, required=False
    )


class ExplainQuery(serializers.Serializer):
    style = serializers.ChoiceField(  # type: ignore[assignment]
        choices=Style.choices, default=Style.GENERAL
    )
    limit = serializers.IntegerField(
        min_value=0, default=0, help_text="Verdicts, the oldest pairs first; 0 for all."
    )


class ExplainRequest(StrictSerializer, ExplainQuery):
    """What ``POST judges/{id}/rationales`` takes."""


class ExplainEstimateSerializer(serializers.Serializer):
    """What it would take, about; answers known from before cost nothing and are not taken off."""

    verdicts = serializers.IntegerField(
        default=0, help_text="Of people, that have no such reason yet."
    )
    written = serializers.IntegerField(default=0, help_text="Reasons that are there already.")
    calls = serializers.IntegerField(default=0)
    tokens_in = serializers.IntegerField(default=0)
    tokens_out = serializers.IntegerField(default=0)
    cost = serializers.FloatField(allow_null=True, default=None)
    minutes = serializers.FloatField(allow_null=True, default=None)
    problem = serializers.CharField(
        allow_blank=True, default="", help_text="Why it cannot be asked; empty where it can."
    )
