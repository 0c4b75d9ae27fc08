"""Arena human preference 140k: conversations in parts, votes in sessions.

::

    {"id": "…", "model_a": "…", "model_b": "…", "winner": "both_bad",
     "evaluation_session_id": "…", "evaluation_order": 1,
     "conversation_a": [{"role": "user", "content": [{"type": "text", "text": "…"}]}, …],
     "conversation_b": […], "full_conversation": […], "language": "en", "is_code": false}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.arena import (
    CANNOT,
    TIES,
    WINNER,
    conversation,
    outcome_of,
    part_ways,
    votes_of,
)
from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.outside import files, pair
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import Side, sides, vote
from steelyard.lib.records import PreferenceRecord

_WINNER = {**WINNER, "both_bad": "both_bad"}
_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(_PART))]))


def read(row: Row) -> Iterator[ImportedRecord]:
    messages, a, b = part_ways(
        row, row.conversation("conversation_a"), row.conversation("conversation_b")
    )
    names, blobs = _pictures(row)
    yield pair(
        row,
        messages,
        a,
        b,
        [vote(outcome_of(row), first="a")],
        columns=("conversation_a", "conversation_b"),
        model_a=row.name("model_a", limit=200),
        model_b=row.name("model_b", limit=200),
        key=row.id("id"),
        media=names,
        blobs=blobs,
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    a, b = sides(record)
    for order, one in enumerate(votes_of(record, writing), 1):
        talk_a, talk_b = (_parts(record, side) for side in (a, b))
        yield {
            "id": one["judgment"],
            "model_a": a.model,
            "model_b": b.model,
            "winner": _WINNER[one["outcome"]],
            "evaluation_session_id": record.pair,
            "evaluation_order": order,
            "conversation_a": talk_a,
            "conversation_b": talk_b,
            "full_conversation": [
                {
                    "user": talk_a[-2],
                    "model_side_a": talk_a[-1],
                    "model_side_b": talk_b[-1],
                }
            ],
            "language": "",
            "is_code": False,
        }


def schema(writing: Writing) -> pa.Schema:
    texts = ("id", "model_a", "model_b", "winner", "evaluation_session_id")
    turn = _TURNS.value_type
    sides = [("user", turn), ("model_side_a", turn), ("model_side_b", turn)]
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("evaluation_order", pa.int32()),
            ("conversation_a", _TURNS),
            ("conversation_b", _TURNS),
            ("full_conversation", pa.list_(pa.struct(sides))),
            ("language", pa.string()),
            ("is_code", pa.bool_()),
        ]
    )


def _pictures(row: Row) -> tuple[list[str], dict[str, bytes]]:
    """The pictures in what the user asked first."""
    content = row.values["conversation_a"][0]["content"]
    found = content if isinstance(content, list) else []
    shown = [part["image"] for part in found if isinstance(part, dict) and part.get("image")]
    return files(Row(row.number, {"image": shown}, row.place), "image")


def _parts(record: PreferenceRecord, side: Side) -> Messages:
    return [
        {"role": m["role"], "content": [{"type": "text", "text": m["content"]}]}  # type: ignore[dict-item]
        for m in conversation(record, side)
    ]


FORMAT = Format(
    both_bad=True,
    name="arena_140k",
    title="Arena human preference 140k",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=(
        "model_a",
        "model_b",
        "winner",
        "conversation_a",
        "conversation_b",
        "evaluation_session_id",
    ),
    read=read,
    anonymous=True,
    write=write,
    schema=schema,
    empty_answers="left_out",
    ties=TIES,
    cannot="Who voted; the counts of conv_metadata, which are read over and not written. " + CANNOT,
)
