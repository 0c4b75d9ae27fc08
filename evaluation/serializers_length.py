from __future__ import annotations

from rest_framework import serializers


class AuthorsSerializer(serializers.Serializer):
    """AlpacaEval's estimator, as its authors define it."""

    win_rate = serializers.FloatField(source="rate")
    terms = serializers.ChoiceField(
        choices=["full", "difficulty", "reduced"],
        help_text="full: with the authors' gamed rows and difficulties of prompts; difficulty: "
        "with difficulties made of the models judged on the set; reduced: with neither.",
    )
    by_odds = serializers.BooleanField(
        help_text="Whether the judge's probabilities stood for its verdicts."
    )
    words = serializers.CharField(help_text="What it is.")


class LengthSerializer(serializers.Serializer):
    """Win rates of one candidate by one source as they would be, were both answers equally long."""

    candidate = serializers.CharField(source="candidate.name")
    source = serializers.CharField(help_text="people or judges")  # type: ignore[assignment]
    judge = serializers.CharField(source="judge.name", default=None, allow_null=True)
    prompts = serializers.IntegerField(source="length.ours.prompts")
    raw = serializers.FloatField(source="length.ours.raw", help_text="As voted.")
    raw_lo = serializers.FloatField(
        source="length.voted.lo", allow_null=True, help_text="Its 95 % interval."
    )
    raw_hi = serializers.FloatField(source="length.voted.hi", allow_null=True)
    longer = serializers.FloatField(
        source="length.longer", help_text="Share of prompts on which the candidate's is longer."
    )
    win_rate = serializers.FloatField(
        source="length.ours.controlled",
        allow_null=True,
        help_text="Ours: maximum likelihood; null where the votes do not determine it.",
    )
    lo = serializers.FloatField(
        source="length.ours.lo", allow_null=True, help_text="95 % interval clustered by prompt"
    )
    hi = serializers.FloatField(source="length.ours.hi", allow_null=True)
    reason = serializers.CharField(source="length.ours.reason", allow_blank=True)
    alpaca_eval = AuthorsSerializer(
        source="length.theirs", allow_null=True, help_text="null under five prompts with votes"
    )
