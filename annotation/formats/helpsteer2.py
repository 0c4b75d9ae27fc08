"""HelpSteer2-Preference: two responses, a signed strength and the words of those who judged.

::

    {"split": "train", "prompt": "…", "response_1": "…", "response_2": "…",
     "preference_strength": -2, "preference_statement": "…", "preference_elaboration": "…",
     "three_most_similar_preferences": [{"statement", "elaboration", "strength"}],
     "all_preferences_unprocessed": [{"statement", "elaboration", "strength"}]}

Negative means that response 1 is better, as with us; -100 that neither is valid, which is our “both
bad”. Several turns of a prompt are parted by
``<extra_id_1>User`` and ``<extra_id_1>Assistant``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.outside import as_list, pair
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import reason_of, sides, step, steps_vote, vote
from steelyard.lib.records import PreferenceRecord

_TURN = re.compile(r"\n*<extra_id_1>(User|Assistant)\n")
_NEITHER = -100
"""What annotators give where neither response is valid."""
_PREFERENCE = pa.struct(
    [("statement", pa.string()), ("elaboration", pa.string()), ("strength", pa.int64())]
)


def read(row: Row) -> Iterator[ImportedRecord]:
    yield pair(
        row,
        _messages(row),
        row.text("response_1"),
        row.text("response_2"),
        _votes(row),
        columns=("response_1", "response_2"),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if record.outcome == "tie":
        writing.leave_out("a tie, for which the format has no strength")
        return
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    if any(message["role"] == "system" for message in record.prompt):
        writing.leave_out("it has a system message, for which there is no mark")
        return
    each = [_preference(record, one) for one in record.votes if one["outcome"] != "skip"]
    strength = step(record)
    first = next((one for one in each if _agrees(one, strength) and one["statement"]), {})
    a, b = sides(record)
    yield {
        "split": record.split,
        "prompt": _prompt(record),
        "response_1": a.text,
        "response_2": b.text,
        "preference_strength": strength,
        "preference_statement": first.get("statement", ""),
        "preference_elaboration": first.get("elaboration", ""),
        "three_most_similar_preferences": [one for one in each if _agrees(one, strength)][:3],
        "all_preferences_unprocessed": each,
    }


def schema(writing: Writing) -> pa.Schema:
    texts = ("preference_statement", "preference_elaboration")
    return pa.schema(
        [
            *((name, pa.string()) for name in ("split", "prompt", "response_1", "response_2")),
            ("preference_strength", pa.int64()),
            *((name, pa.string()) for name in texts),
            ("three_most_similar_preferences", pa.list_(_PREFERENCE)),
            ("all_preferences_unprocessed", pa.list_(_PREFERENCE)),
        ]
    )


def _messages(row: Row) -> Messages:
    parts = _TURN.split(row.text("prompt"))
    roles = ["user", *("user" if who == "User" else "assistant" for who in parts[1::2])]
    return [{"role": role, "content": text} for role, text in zip(roles, parts[::2], strict=True)]


def _prompt(record: PreferenceRecord) -> str:
    first, *rest = record.prompt
    return first["content"] + "".join(
        f"\n\n<extra_id_1>{m['role'].capitalize()}\n{m['content']}" for m in rest
    )


def _votes(row: Row) -> list[ImportedVote]:
    if not row.values.get("all_preferences_unprocessed"):
        return [_vote(row, "preference_strength", rationale=_reason(row, "preference_"))]
    as_list(row, "all_preferences_unprocessed")
    votes = []
    for number, one in enumerate(row.parts("all_preferences_unprocessed"), 1):
        said: dict[str, Any] = {"annotator": f"annotator {number}", "rationale": _reason(one)}
        votes.append(_vote(one, "strength", **said))
    return votes


def _vote(row: Row, column: str, **said: Any) -> ImportedVote:
    if row.values.get(column) == _NEITHER:
        return vote("both_bad", **said)
    return steps_vote(row.whole(column, -3, 3), **said)


def _reason(row: Row, prefix: str = "") -> str:
    texts = [row.text(f"{prefix}{name}", default="") for name in ("statement", "elaboration")]
    return "\n\n".join(text for text in texts if text)


def _preference(record: PreferenceRecord, one: dict[str, Any]) -> dict[str, Any]:
    statement, _, elaboration = (
        reason_of(record, one["annotator"]).get("text", "").partition("\n\n")
    )
    strength = _NEITHER if one["outcome"] == "both_bad" else int(one["strength"])
    return {"statement": statement, "elaboration": elaboration, "strength": strength}


def _agrees(one: dict[str, Any], strength: int) -> bool:
    return one["strength"] * strength > 0 and one["strength"] != _NEITHER


FORMAT = Format(
    name="helpsteer2_preference",
    title="HelpSteer2-Preference",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("prompt", "response_1", "response_2", "preference_strength"),
    read=read,
    anonymous=True,
    write=write,
    schema=schema,
    empty_answers="left_out",
    ties="Left out, since a strength of 0 does not occur; single votes for a tie are kept.",
    cannot="Who voted: votes come back as annotator 1, 2 and so on of their row; models, tags and "
    "evidence; system messages; prompts with pictures or clips.",
)
