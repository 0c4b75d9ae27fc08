"""How sure a judge was, from the tokens that could have stood where its verdict stands."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from steelyard.inference.endpoint import Token

LEAST = 0.2
"""Less than this much of the probability on the four verdicts says nothing about them."""
_VERDICT = re.compile(r"verdict[\s\"'*_]*[:=][\s\"'*_\[(]*", re.IGNORECASE)
_AROUND = " \t\n\"'*_`[]():={},."


def chances_of(tokens: Sequence[Token]) -> dict[str, float] | None:
    """The probabilities of a, b, tie and both_bad at the place of the last verdict, in the letters
    that were shown; None where there is no such place or they are not told.
    """
    text = "".join(token.text for token in tokens)
    found = list(_VERDICT.finditer(text))
    if not found:
        return None
    place, at = found[-1].end(), 0
    for token in tokens:
        at += len(token.text)
        if at > place:
            return _shared_out(token.chances)
    return None


def p_a(probabilities: Mapping[str, float]) -> float:
    """How probable it is that a is better, a tie and two bad answers being one half."""
    return probabilities["a"] + (probabilities["tie"] + probabilities["both_bad"]) / 2


def _shared_out(chances: Mapping[str, float]) -> dict[str, float] | None:
    sums = dict.fromkeys(("a", "b", "tie", "both_bad"), 0.0)
    for text, chance in chances.items():
        outcome = _outcome(text.strip(_AROUND))
        if outcome:
            sums[outcome] += math.exp(min(chance, 0.0))
    total = sum(sums.values())
    if total < LEAST:
        return None
    return {outcome: round(value / total, 6) for outcome, value in sums.items()}


def _outcome(word: str) -> str | None:
    if word in {"A", "B"}:
        return word.lower()
    if len(word) > 1 and "both bad".startswith(word.lower()):
        return "both_bad"
    return "tie" if word and "tie".startswith(word.lower()) else None
