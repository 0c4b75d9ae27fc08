"""Reading a verdict out of what a judge wrote.

Judges are asked for a last line ``Verdict: A (strength 2)``, and write what they like: JSON, bold
letters, ``[[A]]``, a sentence. What is read is the last thing that looks like a verdict; what
cannot be read without guessing is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_THINKING = re.compile(
    # some servers leave the opening tag out; a cut-off thought has no closing one
    r"^.*</think(?:ing)?>|<think(?:ing)?>.*$",
    re.DOTALL | re.IGNORECASE,
)
_LINE = re.compile(
    r"(?:^|[\s*_#>])(?:final\s+)?(?:verdict|winner|preference)(?:\s+is)?[\s*_]*[:=][\s*_]*(?P<said>[^\n]+)",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\[\[\s*(?P<said>[^\[\]\n]{1,20})\]\]")
_ALONE = re.compile(r"(?:^|\n)\W*(?P<said>A|B|[Tt]ie|[Bb]oth bad)\W*$")
_BOTH_BAD = re.compile(
    r"\bboth\b.{0,20}\b(?:bad|poor|wrong|fail|unacceptable)|\bneither\b(?!.{0,10}\bbetter)", re.I
)
_TIE = re.compile(
    r"\b(?:tie|tied|draw|equal|equally|same)\b|\bneither\b|\bboth\b.{0,20}\bgood", re.I
)
_BETTER = re.compile(
    r"\b(?P<side>[AB])\b\s*(?:>+|wins\b|beats\b|(?:is|was)\s+(?:(?!not\b|as\b|no\b)\w+\s+){0,3}?"
    r"(?:better|best|right|correct|stronger|superior|preferred|preferable|winner)\b)"
)
_WHO = re.compile(
    r"^\W*(?:the\s+)?(?:answer|response|assistant|option|output)?\W*(?P<side>[ab12])\b", re.I
)
_STRENGTH = re.compile(r"strength\W{0,6}(?P<n>[1-3])\b", re.I)
_WORDS = [
    (3, re.compile(r"\b(?:by far|much|far|strongly|overwhelmingly)\b", re.I)),
    (2, re.compile(r"\b(?:clearly|significantly|considerably|moderately)\b", re.I)),
    (1, re.compile(r"\b(?:slightly|marginally|somewhat|a bit|a little)\b", re.I)),
]
_KEYS = ("verdict", "outcome", "winner", "preference", "choice", "better")
_REASONS = ("rationale", "reason", "reasoning", "explanation", "why")
_SIDES = {"a": "a", "1": "a", "b": "b", "2": "b"}


@dataclass(frozen=True)
class Verdict:
    outcome: str
    """a, b, tie or both_bad, in the letters that the judge was shown."""
    strength: int | None
    """1 to 3 where the judge named one; None for a tie, both bad, or where it did not."""
    rationale: str
    aspects: dict[str, int] = field(default_factory=dict)
    """Signed strengths of those that could be read; negative where A is better."""


def read_verdict(text: str, aspects: Sequence[str] = ()) -> Verdict | None:
    """The verdict and its reason, or None where none can be read.

    Args:
        aspects: names of what gets a verdict of its own.
    """
    text = _THINKING.sub("", text).strip()
    return _from_json(text, aspects) or _from_words(text, aspects)


def _from_words(text: str, aspects: Sequence[str]) -> Verdict | None:
    read, text = _aspect_lines(text, aspects)
    for pattern in (_LINE, _BRACKETS, _ALONE):
        for found in reversed(list(pattern.finditer(text))):
            outcome = _outcome(found["said"])
            if outcome:
                rationale = (text[: found.start()].strip(" \n*_#>[]") or text).strip()
                return Verdict(outcome, _strength(outcome, found["said"]), rationale, read)
    return None


def _aspect_lines(text: str, aspects: Sequence[str]) -> tuple[dict[str, int], str]:
    """What lines like ``Aspect clarity: A (strength 2)`` say, and the text without them."""
    read: dict[str, int] = {}
    for name in aspects:
        line = re.compile(
            rf"^[\s*_#>-]*(?:aspect\s+)?{re.escape(name)}[\s*_]*[:=][\s*_]*(?P<said>.+)$",
            re.IGNORECASE | re.MULTILINE,
        )
        for found in line.finditer(text):
            outcome = _outcome(found["said"])
            if outcome:
                read[name] = _signed(outcome, _strength(outcome, found["said"]))
        text = line.sub("", text)
    return read, text


def _aspects_in(said: object, aspects: Sequence[str]) -> dict[str, int]:
    """What a JSON answer says of each: a word, or an object with verdict and strength."""
    if not isinstance(said, dict):
        return {}
    lowered = {str(key).lower(): value for key, value in said.items()}
    read: dict[str, int] = {}
    for name in aspects:
        value = lowered.get(name.lower())
        strength = value.get("strength") if isinstance(value, dict) else None
        word = value.get("verdict") if isinstance(value, dict) else value
        outcome = _outcome(str(word)) if word is not None else None
        if outcome:
            named = _strength(outcome, f"strength {strength}" if strength else str(word))
            read[name] = _signed(outcome, named)
    return read


def _signed(outcome: str, strength: int | None) -> int:
    return {"a": -1, "b": 1}.get(outcome, 0) * (strength or 1)


def _from_json(text: str, aspects: Sequence[str]) -> Verdict | None:
    for value in reversed(list(_objects(text))):
        lowered = {str(key).lower(): item for key, item in value.items()}
        if aspects and '"aspects"' in text and "aspects" not in lowered:
            # an aspect's own object out of an answer that was cut off
            continue
        said = next((lowered[key] for key in _KEYS if key in lowered), None)
        outcome = _outcome(str(said)) if said is not None else None
        if outcome:
            rationale = next((str(lowered[key]) for key in _REASONS if key in lowered), "")
            named = f"strength {lowered['strength']}" if "strength" in lowered else str(said)
            named = named.replace("-", "")
            read = _aspects_in(lowered.get("aspects"), aspects)
            return Verdict(outcome, _strength(outcome, named), rationale.strip(), read)
    return None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand anywhere in the text, in order."""
    decoder, place = json.JSONDecoder(strict=False), text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except ValueError:
            place = text.find("{", place + 1)
            continue
        if isinstance(value, dict):
            yield value
        place = text.find("{", end)


def _outcome(said: str) -> str | None:
    said = said.replace("_", " ").strip()
    if found := _BETTER.search(said):
        return found["side"].lower()
    if _BOTH_BAD.search(said):
        return "both_bad"
    if _TIE.search(said):
        return "tie"
    capitals = set(re.findall(r"\b[AB]\b", said))
    if len(capitals) > 1:
        return None
    if found := _WHO.match(said):
        side = _SIDES[found["side"].lower()]
        # "a tie-like answer, B" begins with an article, not with a letter
        return side if not capitals or side.upper() in capitals else None
    if len(capitals) == 1:
        return capitals.pop().lower()
    return None


def _strength(outcome: str, said: str) -> int | None:
    if outcome not in {"a", "b"}:
        return None
    if found := _STRENGTH.search(said):
        return int(found["n"])
    return next((strength for strength, word in _WORDS if word.search(said)), None)
