"""Which two contestants meet next in an arena: the pair that has met least, with chance.

Every pair keeps a share of the draws, so that each probability is well above 0 and votes can be
weighed by its inverse. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

EVEN_SHARE = 0.2
"""Of the draws that heed no counts."""


@dataclass(frozen=True)
class Match:
    first: int
    second: int
    """The two, the smaller number first; which stands left another draw decides."""
    probability: float
    """Of these two, at these counts."""


def probabilities(
    contestants: Sequence[int], met: Mapping[tuple[int, int], int]
) -> list[tuple[tuple[int, int], float]]:
    """Each pair and how probable it is: the inverse square of one more than its meetings, mixed
    with an even share.

    Args:
        contestants: their numbers, two at least.
        met: how often two have met, the smaller number first.
    """
    pairs = list(combinations(sorted(set(contestants)), 2))
    if not pairs:
        raise ValueError("an arena needs two contestants at least")
    weights = [(1.0 + met.get(pair, 0)) ** -2 for pair in pairs]
    total, even = sum(weights), EVEN_SHARE / len(pairs)
    return [
        (pair, even + (1.0 - EVEN_SHARE) * weight / total)
        for pair, weight in zip(pairs, weights, strict=True)
    ]


def draw(contestants: Sequence[int], met: Mapping[tuple[int, int], int], place: float) -> Match:
    """The pair at a place in [0, 1) of the cumulative probabilities."""
    table, reached = probabilities(contestants, met), 0.0
    for (first, second), probability in table:
        reached += probability
        if place < reached:
            return Match(first, second, probability)
    (first, second), probability = table[-1]
    return Match(first, second, probability)
