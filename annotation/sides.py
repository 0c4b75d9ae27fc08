"""Which output stands where: between the places of the screen and a pair's own sides.

The first place is called A on the screen and the second B; a pair's canonical sides are a and b.
Pure: no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from steelyard.lib.hashing import stable_uniform

_FLIP = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Choice:
    """One button of the verdict bar."""

    value: str
    """As the page sends it: a3 to a1, tie, b1 to b3, both_bad, skip."""
    outcome: str
    strength: int
    label: str | Promise
    short: str | Promise
    key: str = ""


_TIE = Choice("tie", "tie", 0, _("Tie"), _("tie"))
_WORDS = {
    "slightly": (
        (_("A is slightly better"), _("A slightly")),
        (_("B is slightly better"), _("B slightly")),
    ),
    "better": ((_("A is better"), _("A")), (_("B is better"), _("B"))),
    "much": ((_("A is much better"), _("A much")), (_("B is much better"), _("B much"))),
}
_DEGREES = {3: ["better"], 5: ["better", "much"], 7: ["slightly", "better", "much"]}
"""For each number of steps the words of its strengths, the weakest first."""

BOTH_BAD = Choice("both_bad", "both_bad", 0, _("Both are bad"), _("both bad"), "0")
SKIP = Choice("skip", "skip", 0, _("Skip: leave it to others"), _("skip"), "s")


def scale(steps: int, tie: bool) -> list[Choice]:
    """The buttons from “A much better” to “B much better”, with keys from 1, left to right.

    Args:
        steps: 3, 5 or 7, counted with the middle, whether or not it can be chosen.
        tie: whether the middle is there.
    """
    strengths = range(1, len(_DEGREES[steps]) + 1)
    a = [_side("a", steps, strength) for strength in reversed(strengths)]
    b = [_side("b", steps, strength) for strength in strengths]
    row = [*a, *([_TIE] if tie else []), *b]
    return [
        Choice(c.value, c.outcome, c.strength, c.label, c.short, str(key))
        for key, c in enumerate(row, start=1)
    ]


def _side(side: str, steps: int, strength: int) -> Choice:
    label, short = _WORDS[_DEGREES[steps][strength - 1]][side == "b"]
    sign = -1 if side == "a" else 1
    return Choice(f"{side}{strength}", side, sign * strength, label, short)


def value_of(outcome: str, strength: int) -> str:
    """The button that says so."""
    return f"{outcome}{max(abs(strength), 1)}" if outcome in _FLIP else outcome


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
