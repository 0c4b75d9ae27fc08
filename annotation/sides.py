"""Which output stands where: between the places of the screen and a pair's own sides.

The first place is called A on the screen and the second B; a pair's canonical sides are a and b.
Pure: no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steelyard.lib.hashing import stable_uniform

_FLIP = {"a": "b", "b": "a"}
SCALE_TOP = 3


@dataclass(frozen=True)
class Choice:
    """One button of the verdict bar."""

    value: str
    outcome: str
    strength: int
    label: str
    short: str
    key: str


SCALE = (
    Choice("a3", "a", -3, "A is much better", "A much", "1"),
    Choice("a2", "a", -2, "A is better", "A", "2"),
    Choice("a1", "a", -1, "A is slightly better", "A slightly", "3"),
    Choice("tie", "tie", 0, "Tie", "tie", "4"),
    Choice("b1", "b", 1, "B is slightly better", "B slightly", "5"),
    Choice("b2", "b", 2, "B is better", "B", "6"),
    Choice("b3", "b", 3, "B is much better", "B much", "7"),
)
REST = (
    Choice("both_bad", "both_bad", 0, "Both are bad", "both bad", "0"),
    Choice("skip", "skip", 0, "Skip: leave it to others", "skip", "s"),
)
CHOICES = {choice.value: choice for choice in SCALE + REST}


def drawn(annotator: int, pair: int) -> bool:
    """Whether side b is shown first: a coin that depends on the two alone, so that a page kept
    open past its lease has the same order as the lease that follows."""
    return stable_uniform("sides", annotator, pair) < 0.5


def turned(outcome: str, strength: int, swapped: bool) -> tuple[str, int]:
    """From places to sides, or back: it is its own inverse."""
    if not swapped:
        return outcome, strength
    return _FLIP.get(outcome, outcome), -strength


def turned_aspects(aspects: dict[str, int], swapped: bool) -> dict[str, int]:
    return {name: -value if swapped else value for name, value in aspects.items()}


def turned_exposure(exposure: dict[str, Any], swapped: bool) -> dict[str, Any]:
    """What was seen, keyed by a and b: the two change places, the rest stays."""
    if not swapped:
        return exposure
    return {_FLIP.get(key, key): value for key, value in exposure.items()}
