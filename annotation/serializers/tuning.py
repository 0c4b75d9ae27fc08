from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.services.tuned import Tuned
from annotation.services.tuning import MOST_BUDGET, MOST_SEED
from steelyard.web.api import StrictSerializer


class TuningRequest(StrictSerializer):
    """What ``POST judges/{id}/tunings`` takes."""

    reflection = serializers.CharField(help_text="Name of the model that writes criteria.")
    budget = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_BUDGET,
        help_text="Verdicts of the judge in the search, each in both orders.",
    )
    seed = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_SEED,
        help_text="Of the parts and the search; of a line that was tuned before it stays.",
    )


class TuningPartSerializer(serializers.Serializer):
    part = serializers.CharField()
    pairs = serializers.IntegerField()
    prompts = serializers.IntegerField()


class TuningPlanSerializer(serializers.Serializer):
    """What a judge would be tuned on."""

    found = serializers.IntegerField(help_text="Pairs of which most people prefer one side.")
    parts = TuningPartSerializer(many=True)
    reasons = serializers.IntegerField(help_text="People's reasons on the training pairs.")
    seed = serializers.IntegerField()
    least_budget = serializers.IntegerField()
    budget = serializers.IntegerField(help_text="Taken where none is said.")
    calls = serializers.IntegerField(help_text="Most calls of the judge with that budget.")
    problem = serializers.CharField(
        allow_blank=True, help_text="Why it cannot be tuned now; empty where it can."
    )


class TunedTextSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    parent = serializers.IntegerField(allow_null=True)  # type: ignore[assignment]
    validation = serializers.FloatField(help_text="Agreement with people on validation pairs.")
    criteria = serializers.CharField()
    best = serializers.BooleanField()


class TuningSerializer(serializers.Serializer):
    """A tuning run, so far or in the end."""

    run = serializers.IntegerField(source="run.pk")
    state = serializers.CharField(source="run.state")
    judge = serializers.CharField(source="judge.name")
    made = serializers.CharField(
        source="made.name",
        allow_null=True,
        default=None,
        help_text="The judge's next version; null where no text was better, or not yet.",
    )
    pairs = serializers.DictField(child=serializers.IntegerField(), help_text="Of each part.")
    budget = serializers.IntegerField()
    seed = serializers.IntegerField()
    texts = TunedTextSerializer(many=True)
    test = serializers.SerializerMethodField(
        help_text="before, after and gain on the test pairs, each with rate, lo and hi; null "
        "before the end."
    )

    @extend_schema_field({"type": "object", "nullable": True, "additionalProperties": {}})
    def get_test(self, tuned: Tuned) -> dict[str, Any] | None:
        names = ("before", "after", "gain", "prompts")
        return {name: tuned.found[name] for name in names} if tuned.found else None
