"""Arena human preference 55k: a CSV of two models' answers with the winner in three columns.

::

    id,model_a,model_b,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie

Prompt and responses are JSON lists with a text a turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.arena import CANNOT, part_ways, votes_of
from annotation.formats.base import FLAT_CONTAINERS, Format, Writing
from annotation.formats.outside import as_list, pair
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import sides, vote
from steelyard.lib.records import PreferenceRecord

_WINNERS = {"a": "winner_model_a", "b": "winner_model_b", "tie": "winner_tie"}


def read(row: Row) -> Iterator[ImportedRecord]:
    asked = _texts(row, "prompt")
    talks = [_talk(row, asked, column) for column in ("response_a", "response_b")]
    messages, a, b = part_ways(row, talks[0], talks[1])
    yield pair(
        row,
        messages,
        a,
        b,
        [vote(_outcome(row), first="a")],
        columns=("response_a", "response_b"),
        model_a=row.name("model_a", limit=200),
        model_b=row.name("model_b", limit=200),
        key=row.id("id"),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    roles = [message["role"] for message in record.prompt]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        writing.leave_out("the user and the assistant do not take turns in its prompt")
        return
    texts = [message["content"] for message in record.prompt]
    a, b = sides(record)
    for one in votes_of(record, writing):
        outcome = "tie" if one["outcome"] == "both_bad" else one["outcome"]
        if outcome != one["outcome"]:
            writing.without("that both are bad, which is written as a tie")
        yield {
            "id": one["judgment"],
            "model_a": a.model,
            "model_b": b.model,
            "prompt": _list(texts[::2]),
            "response_a": _list([*texts[1::2], a.text]),
            "response_b": _list([*texts[1::2], b.text]),
            **{column: int(outcome == side) for side, column in _WINNERS.items()},
        }


def schema(writing: Writing) -> pa.Schema:
    texts = ("id", "model_a", "model_b", "prompt", "response_a", "response_b")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in _WINNERS.values()),
        ]
    )


def _list(texts: list[str]) -> str:
    return json.dumps(texts, ensure_ascii=False)


def _texts(row: Row, column: str) -> list[str]:
    """The turns; null stands where a model said nothing."""
    found = [text or "" for text in as_list(row, column)]
    if not found or not all(isinstance(text, str) for text in found):
        raise row.wrong(f"“{column}” must be a list of texts, one a turn.", column)
    return [row.storable(column, text) for text in found]


def _talk(row: Row, asked: list[str], column: str) -> Messages:
    said = _texts(row, column)
    if len(said) != len(asked):
        raise row.wrong(f"“{column}” has {len(said)} turns, “prompt” has {len(asked)}.", column)
    return [
        {"role": role, "content": text}
        for turn in zip(asked, said, strict=True)
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


def _outcome(row: Row) -> str:
    found = [outcome for outcome, column in _WINNERS.items() if row.truth(column)]
    if len(found) != 1:
        raise row.wrong(
            f"exactly one of {', '.join(_WINNERS.values())} must be 1; {len(found)} are.",
            "winner_tie",
        )
    return found[0]


FORMAT = Format(
    name="arena_55k",
    title="Arena human preference 55k",
    modalities=("text",),
    containers=FLAT_CONTAINERS,
    columns=("model_a", "model_b", "prompt", "response_a", "response_b", *_WINNERS.values()),
    read=read,
    anonymous=True,
    write=write,
    schema=schema,
    empty_answers="left_out",
    ties="Kept; both bad becomes a tie.",
    cannot="Who voted; that both are bad; system messages. " + CANNOT,
)
