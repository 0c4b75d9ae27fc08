"""From two scores to a verdict: which side, and how much better."""

from __future__ import annotations

import math
from collections.abc import Iterable

TIE_BAND = 0.1
STEPS = (1.0, 2.0)
"""From how many spreads on a difference counts as strength 2, and as 3."""


def spread_of(differences: Iterable[float]) -> float:
    """How far apart the two sides of a pair usually are: the root mean square of differences.

    Which side is a says nothing, so they are taken about zero and not about their mean. 0 where
    there are none.
    """
    squares = [one * one for one in differences]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else 0.0


def verdict_of(difference: float, spread: float, tie_band: float) -> tuple[str, int]:
    """Outcome and strength as a judgment keeps them (negative: a is better).

    Args:
        difference: how much better a is than b.
        spread: what :func:`spread_of` gives.
        tie_band: a difference of at most so many spreads is a tie.
    """
    size = abs(difference)
    if size == 0 or size <= tie_band * spread:
        return "tie", 0
    strength = 1 + sum(size >= step * spread for step in STEPS)
    return ("a", -strength) if difference > 0 else ("b", strength)
