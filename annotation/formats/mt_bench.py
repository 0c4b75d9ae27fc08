"""MT-bench human judgments: two models' conversations, judged after their first or second turn.

::

    {"question_id": 81, "model_a": "…", "model_b": "…", "winner": "model_b", "judge": "expert_1",
     "conversation_a": [{"role", "content"}], "conversation_b": […], "turn": 1}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.arena import (
    CANNOT,
    WINNER,
    conversation,
    kind_of_judge,
    outcome_of,
    part_ways,
    turns,
    votes_of,
)
from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.outside import MESSAGES, pair
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import sides, vote
from steelyard.lib.records import PreferenceRecord


def read(row: Row) -> Iterator[ImportedRecord]:
    turn = row.whole("turn", 1, 100)
    talks = [
        _until(turn, row.conversation(column)) for column in ("conversation_a", "conversation_b")
    ]
    messages, a, b = part_ways(row, talks[0], talks[1])
    judge = row.name("judge", limit=150)
    yield pair(
        row,
        messages,
        a,
        b,
        [vote(outcome_of(row), annotator=judge, kind=kind_of_judge(judge))],
        columns=("conversation_a", "conversation_b"),
        model_a=row.name("model_a", limit=200),
        model_b=row.name("model_b", limit=200),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    a, b = sides(record)
    for one in votes_of(record, writing):
        if one["outcome"] == "both_bad":
            writing.without("that both are bad, which is written as a tie")
        yield {
            "question_id": int(record.prompt_key[:15], 16),
            "model_a": a.model,
            "model_b": b.model,
            "winner": WINNER["tie" if one["outcome"] == "both_bad" else one["outcome"]],
            "judge": one["annotator"],
            "conversation_a": conversation(record, a),
            "conversation_b": conversation(record, b),
            "turn": turns(record),
        }


def schema(writing: Writing) -> pa.Schema:
    texts = ("model_a", "model_b", "winner", "judge")
    return pa.schema(
        [
            ("question_id", pa.int64()),
            *((name, pa.string()) for name in texts),
            ("conversation_a", MESSAGES),
            ("conversation_b", MESSAGES),
            ("turn", pa.int64()),
        ]
    )


def _until(turn: int, messages: Messages) -> Messages:
    """The conversation up to the answer of a turn."""
    answers = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    return messages[: answers[turn - 1] + 1] if len(answers) >= turn else messages


def _is_mt_bench(row: Row) -> bool:
    return not row.has("anony")


FORMAT = Format(
    name="mt_bench",
    title="MT-bench human judgments",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "turn"),
    fits=_is_mt_bench,
    read=read,
    write=write,
    schema=schema,
    empty_answers="left_out",
    ties="Kept; both bad becomes a tie.",
    cannot="That both are bad. The number of the question is drawn from the prompt. " + CANNOT,
)
