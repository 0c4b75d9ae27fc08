from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.stopping import CandidateState, Decided
from steelyard.web.api import StrictSerializer


class GoOnRequest(StrictSerializer):
    """What ``POST evaluations/{id}/go-on`` takes."""

    budget = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=10**9,
        help_text="Votes at most, from the beginning; the plan's own where not given. While people "
        "are asked it can be raised.",
    )


class PathPointSerializer(serializers.Serializer):
    """The win rate and its always-valid interval after so many prompts or comparisons."""

    prompts = serializers.IntegerField()
    rate = serializers.FloatField()
    lo = serializers.FloatField()
    hi = serializers.FloatField()


class DecidedSerializer(serializers.Serializer):
    """What was sure, and when."""

    decision = serializers.CharField(help_text="better, worse or no difference")
    rate = serializers.FloatField()
    lo = serializers.FloatField()
    hi = serializers.FloatField()
    log_e = serializers.FloatField()
    prompts = serializers.IntegerField()
    votes = serializers.IntegerField()
    at = serializers.DateTimeField()


class CandidateStateSerializer(serializers.Serializer):
    """One candidate against the baseline by people's votes up to now."""

    candidate = serializers.CharField(source="candidate.name")
    decision = serializers.CharField(help_text="better, worse, no difference or keep voting")
    rate = serializers.FloatField(source="now.rate")
    lo = serializers.FloatField(source="now.lo", help_text="Valid however often one looks.")
    hi = serializers.FloatField(source="now.hi")
    contradictory = serializers.BooleanField(
        help_text="Whether the votes have refuted every rate, as in random order they hardly ever "
        "do: nothing is claimed, and the interval is that of this moment alone."
    )
    log_e = serializers.FloatField(
        source="now.log_e", help_text="Logarithm of the e-value against no difference."
    )
    prompts = serializers.IntegerField(
        source="now.prompts", help_text="Prompts, or with active pairs comparisons, scored."
    )
    prompts_waiting = serializers.IntegerField(
        help_text="Prompts, or comparisons, with some votes and not yet all: in a win rate, and "
        "not in here."
    )
    decided = serializers.SerializerMethodField(help_text="Null where nothing was decided.")
    later_votes = serializers.IntegerField(help_text="Votes that came after the decision.")
    labels_left = serializers.IntegerField(
        allow_null=True, help_text="Votes that are likely needed still; null where unknown."
    )
    path = serializers.SerializerMethodField(help_text="At most 200 points.")

    @extend_schema_field(DecidedSerializer(allow_null=True))
    def get_decided(self, state: CandidateState) -> dict[str, Any] | None:
        said: Decided | None = state.decided
        return DecidedSerializer(said).data if said else None

    @extend_schema_field(PathPointSerializer(many=True))
    def get_path(self, state: CandidateState) -> list[dict[str, float]]:
        path = state.now.path
        columns = (path.prompts, path.rate, path.lo, path.hi)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(("prompts", "rate", "lo", "hi"), row, strict=True)) for row in rows]


class StoppingSerializer(serializers.Serializer):
    """How sure an evaluation is by people's votes, and whether they are still asked."""

    plan = serializers.DictField(source="plan.as_json")
    by_ratings = serializers.BooleanField(
        help_text="Whether all comparisons tell of each candidate, by way of ratings."
    )
    votes = serializers.IntegerField(
        help_text="Of people since they were asked: what a budget pays for."
    )
    votes_before = serializers.IntegerField(
        help_text="Of people on the same pairs from before; evidence as much."
    )
    asked = serializers.IntegerField(help_text="Comparisons that people were asked about.")
    budget_left = serializers.IntegerField(allow_null=True)
    stopped_at = serializers.DateTimeField(source="evaluation.stopped_at", allow_null=True)
    stop_reason = serializers.CharField(
        source="evaluation.stop_reason", help_text="decided, budget, no_pairs, by_hand or empty"
    )
    later_votes = serializers.IntegerField(help_text="Votes that came after the stop.")
    candidates = CandidateStateSerializer(many=True)
