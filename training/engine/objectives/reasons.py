"""The reasons of a record as text to learn from: whose, which, and how they are asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from steelyard.lib.hashing import stable_int, stable_uniform
from steelyard.lib.records import PreferenceRecord

ASKED = (
    "Read a message and two answers to it.\n\n"
    "<message>\n{message}\n</message>\n\n"
    "<answer 1>\n{one}\n</answer 1>\n\n"
    "<answer 2>\n{two}\n</answer 2>\n\n"
    "Which of the two answers is better, and why?"
)
"""What is asked where a rationale is learnt; both answers stand in an order drawn for the pair."""
_BY_PLACE = re.compile(
    r"\b((answer|response|option|output|reply|model)\s*#?\s*[ab12]\b"
    r"|(left|right|first|second|former|latter)\s+(one\b|answer|response|option|output|reply)"
    r"|the (former|latter)\b)",
    re.IGNORECASE,
)


class RationaleSettings(Protocol):
    """What is read of a config."""

    @property
    def seed(self) -> int: ...
    @property
    def rationale_of(self) -> str: ...
    @property
    def rationale_pick(self) -> str: ...
    @property
    def rationale_evidence(self) -> bool: ...
    @property
    def rationale_tags(self) -> bool: ...


def chosen_first(seed: int, pair: str) -> bool:
    """Whether the chosen answer stands first in the question: even odds, by seed and pair, so that
    no place is the better one."""
    return stable_uniform("rationale order", seed, pair) < 0.5


def question(record: PreferenceRecord, *, first: bool) -> list[dict[str, str]]:
    """The chat that asks which answer is better and why.

    Earlier turns stay as they are; the last message is quoted with both answers.

    Args:
        first: whether the chosen answer is answer 1.
    """
    *before, last = record.prompt
    one, two = (record.chosen, record.rejected)[:: 1 if first else -1]
    text = ASKED.format(message=last["content"], one=one, two=two)
    return [*before, {**last, "role": "user", "content": text}]


def reason(record: PreferenceRecord, settings: RationaleSettings, *, first: bool) -> str:
    """Why chosen is better, as one text; empty where nobody said so.

    Only those are heard who voted for chosen: another's reasons speak for the other answer. Where
    there is no winner nobody is.
    """
    if not record.won:
        return ""
    kinds = {vote["annotator"]: vote["kind"] for vote in record.votes if _for_chosen(record, vote)}
    texts = [
        text
        for rationale in record.rationales
        if rationale["annotator"] in kinds and _wanted(kinds[rationale["annotator"]], settings)
        if (text := _text(rationale, settings, first))
    ]
    if settings.rationale_of in {"all", "machines"}:
        texts += [text for one in record.machine_rationales if (text := one["text"].strip())]
    if not texts:
        return ""
    match settings.rationale_pick:
        case "joined":
            return "\n\n".join(texts)
        case "drawn":
            return texts[stable_int("rationale", settings.seed, record.pair) % len(texts)]
    return max(texts, key=len)


def speaks_of_places(text: str) -> bool:
    """Whether a reason names an answer by its place or letter, which were those on its writer's
    screen and need not be those in the question."""
    return _BY_PLACE.search(text) is not None


def permuted(places: Sequence[int], *, seed: int) -> dict[int, int]:
    """Each place to another one of them, none to itself where there are two or more."""
    order = sorted(places, key=lambda place: (stable_uniform("shuffled", seed, place), place))
    return dict(zip(order, [*order[1:], *order[:1]], strict=True))


def _for_chosen(record: PreferenceRecord, vote: dict[str, Any]) -> bool:
    return bool(vote["outcome"] == record.chosen_side)


def _wanted(kind: str, settings: RationaleSettings) -> bool:
    of = {"person": "people"}.get(kind, "judges")
    return settings.rationale_of in {"all", of}


def _text(rationale: dict[str, Any], settings: RationaleSettings, first: bool) -> str:
    parts = [rationale["text"].strip()]
    if settings.rationale_tags and rationale["tags"]:
        parts.append(f"Reasons: {', '.join(rationale['tags'])}.")
    if settings.rationale_evidence:
        parts += _quotes(rationale, first)
    return "\n".join(part for part in parts if part)


def _quotes(rationale: dict[str, Any], first: bool) -> list[str]:
    """What was marked in the answers' texts, by the places that they have in the question."""
    return [
        f"In answer {1 if (item['answer'] == 'chosen') == first else 2}: “{item['quote']}”"
        for item in rationale.get("evidence", [])
        if item["kind"] == "span" and item["quote"].strip()
    ]
