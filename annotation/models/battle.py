"""A vote in one number: what a leaderboard reads of it."""

from __future__ import annotations

from django.db.models import BigIntegerField, Case, F, GeneratedField, Q, When
from django.db.models.functions import Greatest, Least

MODEL_BITS = 16
"""Two models come above the result's two bits, the one with the smaller key higher; the prompt is
on top. So numbers in order are votes by prompt, then by pair of models."""
PROMPT_BITS = 29
RESULTS = ("low", "high", "tie", "both_bad")
"""Which of the two models the vote is for, by their keys; a result's number is its place."""


def packed_battle() -> GeneratedField:
    """Kept by the database; null where a key is too great for its bits, and of a skip."""
    fits = Q(
        battle_prompt__lt=1 << PROMPT_BITS,
        battle_a__lt=1 << MODEL_BITS,
        battle_b__lt=1 << MODEL_BITS,
    )
    in_order = Q(battle_a__lt=F("battle_b"))
    for_low = (Q(outcome="a") & in_order) | (Q(outcome="b") & ~in_order)
    told = {
        "low": for_low,
        "high": Q(outcome__in=("a", "b")),
        "tie": Q(outcome="tie"),
        "both_bad": Q(outcome="both_bad"),
    }
    results = (When(told[name], then=at) for at, name in enumerate(RESULTS))
    result = Case(*results, default=None, output_field=BigIntegerField(null=True))
    low, high = Least("battle_a", "battle_b"), Greatest("battle_a", "battle_b")
    models = (F("battle_prompt") * (1 << MODEL_BITS) + low) * (1 << MODEL_BITS) + high
    number = When(fits, then=models * len(RESULTS) + result)
    return GeneratedField(
        expression=Case(number, default=None, output_field=BigIntegerField(null=True)),
        output_field=BigIntegerField(null=True),
        db_persist=True,
    )
