"""Between frozen records, which say chosen and rejected, and formats with two sides a and b."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.formats.base import UNNAMED, Writing
from annotation.formats.records import ImportedVote
from steelyard.lib.records import PreferenceRecord


@dataclass(frozen=True)
class Side:
    """One answer of a frozen record."""

    text: str
    media: str
    model: str


def sides(record: PreferenceRecord) -> tuple[Side, Side]:
    """The answers a and b, as the votes call them."""
    chosen = Side(record.chosen, record.chosen_media, record.chosen_model)
    rejected = Side(record.rejected, record.rejected_media, record.rejected_model)
    return (chosen, rejected) if record.chosen_side == "a" else (rejected, chosen)


def outcome(record: PreferenceRecord) -> str:
    """a, b, tie or both_bad: what the votes came to."""
    return record.chosen_side if record.won else record.outcome


def signed(record: PreferenceRecord) -> float:
    """The strength, negative where a is better; 0 without a winner, else at least a little."""
    sign = {"a": -1, "b": 1}.get(outcome(record), 0)
    return sign * max(record.strength, 1e-9)


def step(record: PreferenceRecord, most: int = 3) -> int:
    """:func:`signed` as a whole number of steps, -most to most; a win is at least one."""
    value = signed(record)
    size = min(most, max(1, int(abs(value) + 0.5)))
    return 0 if value == 0 else size if value > 0 else -size


def reason_of(record: PreferenceRecord, annotator: str) -> dict[str, Any]:
    """The rationale that an annotator gave, ``{}`` where there is none."""
    for rationale in record.rationales:
        if rationale["annotator"] == annotator:
            return rationale
    return {}


def aspects_of_one(record: PreferenceRecord, writing: Writing) -> dict[str, int]:
    """What the aspects of a pair's one vote are; of several votes a record has only the means,
    which is counted as lost."""
    if not record.aspects:
        return {}
    if len(record.votes) == 1:
        return {name: int(steps) for name, steps in record.aspects.items()}
    writing.without("what each of several votes says of aspects")
    return {}


def whole(record: PreferenceRecord) -> dict[str, Any]:
    """What the votes came to as one vote, for a record that tells none."""
    return {
        "judgment": record.pair,
        "annotator": UNNAMED,
        "kind": "person",
        "outcome": outcome(record),
        "strength": step(record),
    }


def vote(
    outcome: str,
    *,
    steps: int = 1,
    annotator: str = UNNAMED,
    kind: str = "person",
    rationale: str = "",
    tags: list[str] | None = None,
    aspects: dict[str, int] | None = None,
    first: str = "",
    p_a: float | None = None,
) -> ImportedVote:
    """A vote for an outcome; ``steps`` says how strongly, without a sign."""
    sign = {"a": -1, "b": 1}.get(outcome, 0)
    return ImportedVote(
        annotator=annotator,
        kind=kind,
        outcome=outcome,
        strength=sign * steps,
        rationale=rationale,
        tags=tags or [],
        aspects=aspects or {},
        first=first,
        p_a=p_a,
    )


def steps_vote(steps: int, **said: Any) -> ImportedVote:
    """A vote from a signed number of steps, negative where a is better."""
    return vote("a" if steps < 0 else "b" if steps > 0 else "tie", steps=abs(steps), **said)


def steps_of(size: float) -> int:
    """A strength of any size as 1 to 3 whole steps."""
    return min(3, max(1, int(size + 0.5)))
