"""Frozen records to write: what versions hold, small and with everything that may be in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from annotation.formats.base import Format, Reading, Writing
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from steelyard.lib.hashing import digest_of
from steelyard.lib.records import PreferenceRecord


def vote(annotator: str, outcome: str, strength: int = 0, kind: str = "person") -> dict[str, Any]:
    number = sum(annotator.encode())
    return {
        "judgment": f"00000000-0000-4000-8000-{number:04d}{abs(strength)}{len(outcome):07d}",
        "annotator": annotator,
        "kind": kind,
        "outcome": outcome,
        "strength": strength,
    }


def record(
    prompt: list[dict[str, str]], chosen: str, rejected: str, **more: Any
) -> PreferenceRecord:
    said: dict[str, Any] = {
        "pair": digest_of([prompt, chosen, rejected]),
        "prompt_key": digest_of(prompt),
        "category": "",
        "modality": "text",
        "chosen_media": "",
        "rejected_media": "",
        "chosen_model": "large",
        "rejected_model": "small",
        "outcome": "win",
        "chosen_side": "a",
        "strength": 1.0,
        "agreement": 1.0,
        **more,
    }
    return PreferenceRecord(prompt=prompt, chosen=chosen, rejected=rejected, **said)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


WIN_B = record(
    user("Name a sea."),
    "The Baltic.",
    "Alps,\n“ölig”\u2028",
    category="places",
    chosen_side="b",
    strength=2.0,
    votes=[vote("rater", "b", 3), vote("robot", "a", -1, "judge"), vote("scorer", "b", 2)],
    rationales=[
        {"annotator": "rater", "text": "It is a sea.\n\nThe other is none.", "tags": ["right"]},
    ],
)
TALK = record(
    [*user("Hello"), {"role": "assistant", "content": "Good day"}, *user("7 times 8?")],
    "56",
    "54",
    strength=1.0,
    votes=[vote("rater", "a", -1)],
    split="test",
)
SYSTEM = record(
    [{"role": "system", "content": "Be brief."}, *user("Why?")],
    "So.",
    "Because it is so.",
    votes=[vote("scorer", "a", -3)],
    strength=3.0,
)
TIE = record(
    user("Name a lake."),
    "Como.",
    "Garda.",
    outcome="tie",
    strength=0.0,
    votes=[vote("rater", "tie"), vote("scorer", "both_bad"), vote("robot", "skip")],
)
BARE = record(user("Name a town."), "Ulm.", "The sun.", strength=0.4)
RECORDS = [WIN_B, TALK, SYSTEM, TIE, BARE]


def written(
    format: Format, records: Iterable[PreferenceRecord] = RECORDS, **options: str
) -> tuple[list[dict[str, Any]], Writing]:
    """The rows of records, and what was counted meanwhile."""
    writing = format.writing(options)
    return list(format.rows(records, writing)), writing


def read(format: Format, rows: Iterable[dict[str, Any]]) -> list[ImportedRecord]:
    return list(format.records(numbered(rows), Reading()))


def numbered(rows: Iterable[dict[str, Any]]) -> Iterable[Row]:
    return (Row(number, row, f"Row {number}") for number, row in enumerate(rows, 1))
