"""HelpSteer3 preference: two responses, and every annotator's score with the reasons for it.

::

    {"domain": "code", "language": "python", "context": [{"role", "content"}],
     "response1": "…", "response2": "…", "overall_preference": -2,
     "individual_preference": [{"score": -2, "reasoning": "…", "feedback1": "…", "feedback2": "…"}]}

Negative means that response 1 is better, as with us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.outside import MESSAGES, pair
from annotation.formats.records import ImportedRecord, ImportedVote
from annotation.formats.rows import Row
from annotation.formats.sides import reason_of, sides, step, steps_vote
from steelyard.lib.records import PreferenceRecord

_FEEDBACK = ("On the better answer: ", "On the other answer: ")
"""A reason is about sides that are shuffled later, so what is said of each is told by its rank; in
a tie the first response counts as the better."""
_SPLIT = re.compile(f"(?:^|\n\n)({_FEEDBACK[0]}|{_FEEDBACK[1]})")
_INDIVIDUAL = pa.struct(
    [
        ("score", pa.int64()),
        ("reasoning", pa.string()),
        ("feedback1", pa.string()),
        ("feedback2", pa.string()),
    ]
)


def read(row: Row) -> Iterator[ImportedRecord]:
    yield pair(
        row,
        row.conversation("context"),
        row.text("response1"),
        row.text("response2"),
        _votes(row),
        columns=("response1", "response2"),
        category=row.text("domain", default="", limit=100).strip(),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    if any(one["outcome"] == "both_bad" for one in record.votes):
        writing.without("that both are bad, which is written as 0")
    a, b = sides(record)
    yield {
        "domain": record.category,
        "language": "",
        "context": [dict(message) for message in record.prompt],
        "response1": a.text,
        "response2": b.text,
        "overall_preference": step(record),
        "individual_preference": [
            _individual(record, one) for one in record.votes if one["outcome"] != "skip"
        ],
    }


def schema(writing: Writing) -> pa.Schema:
    return pa.schema(
        [
            ("domain", pa.string()),
            ("language", pa.string()),
            ("context", MESSAGES),
            ("response1", pa.string()),
            ("response2", pa.string()),
            ("overall_preference", pa.int64()),
            ("individual_preference", pa.list_(_INDIVIDUAL)),
        ]
    )


def _votes(row: Row) -> list[ImportedVote]:
    each = row.parts("individual_preference")
    if not each:
        return [steps_vote(row.whole("overall_preference", -3, 3))]
    return [
        steps_vote(
            one.whole("score", -3, 3), annotator=f"annotator {number}", rationale=_reason(one)
        )
        for number, one in enumerate(each, 1)
    ]


def _reason(one: Row) -> str:
    better = [one.text(column, default="") for column in ("feedback1", "feedback2")]
    if one.whole("score", -3, 3) > 0:
        better.reverse()
    said = [f"{word}{text}" for word, text in zip(_FEEDBACK, better, strict=True) if text]
    return "\n\n".join(text for text in [one.text("reasoning", default=""), *said] if text)


def _individual(record: PreferenceRecord, one: dict[str, Any]) -> dict[str, Any]:
    parts = _SPLIT.split(reason_of(record, one["annotator"]).get("text", ""))
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    feedback = [said.get(word, "") for word in _FEEDBACK]
    score = int(one["strength"])
    if score > 0:
        feedback.reverse()
    return {
        "score": score,
        "reasoning": parts[0],
        "feedback1": feedback[0],
        "feedback2": feedback[1],
    }


FORMAT = Format(
    name="helpsteer3_preference",
    title="HelpSteer3 preference",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("context", "response1", "response2", "overall_preference"),
    read=read,
    anonymous=True,
    write=write,
    schema=schema,
    empty_answers="left_out",
    ties="Kept, as a preference of 0.",
    cannot="Who voted: votes come back as annotator 1, 2 and so on of their row; models, tags and "
    "evidence; that both are bad, which becomes 0; the language, which is written as empty; "
    "prompts with pictures or clips.",
)
