"""AlpacaEval's annotations: two outputs and a judge's preference between 1 and 2.

::

    {"instruction": "…", "dataset": "…", "generator_1": "…", "output_1": "…", "generator_2": "…",
     "output_2": "…", "annotator": "…", "preference": 1.87}

1 means that output 1 is better, 2 that output 2 is; between them is the judge's probability, which
becomes a strength of 1 to 3 steps and is kept beside it. 0 and 1.5 are ties; null is no verdict,
and the pair comes in without a vote.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import pyarrow as pa

from annotation.formats.arena import votes_of
from annotation.formats.base import Format, Writing
from annotation.formats.outside import pair, single, user
from annotation.formats.records import ImportedRecord, ImportedVote
from annotation.formats.rows import Row
from annotation.formats.sides import sides, vote
from steelyard.lib.records import PreferenceRecord


def read(row: Row) -> Iterator[ImportedRecord]:
    yield pair(
        row,
        user(row.text("instruction")),
        row.text("output_1", default=""),
        row.text("output_2", default=""),
        _votes(row),
        columns=("output_1", "output_2"),
        model_a=row.name("generator_1", default="unknown", limit=200),
        model_b=row.name("generator_2", default="unknown", limit=200),
        category=row.text("dataset", default="", limit=100).strip(),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    instruction = single(record, writing)
    if instruction is None:
        return
    a, b = sides(record)
    for one in votes_of(record, writing):
        if one["outcome"] == "both_bad":
            writing.without("that both are bad, which is written as a tie")
        yield {
            "instruction": instruction,
            "dataset": record.category,
            "generator_1": a.model,
            "output_1": a.text,
            "generator_2": b.model,
            "output_2": b.text,
            "annotator": one["annotator"],
            "preference": 1.5 + one["strength"] / 6,
        }


def schema(writing: Writing) -> pa.Schema:
    texts = ("instruction", "dataset", "generator_1", "output_1", "generator_2", "output_2")
    return pa.schema(
        [*((name, pa.string()) for name in (*texts, "annotator")), ("preference", pa.float64())]
    )


def _votes(row: Row) -> list[ImportedVote]:
    if row.values.get("preference") is None:
        return []
    said: dict[str, Any] = {
        "annotator": row.name("annotator", default="AlpacaEval", limit=150),
        "kind": "judge",
    }
    preference = row.real("preference", 0, 2)
    if preference in (0, 1.5):
        return [vote("tie", p_a=0.5, **said)]
    if preference < 1:
        raise row.wrong(
            f"“preference” is {preference:g}; it must be 0, null or between 1 and 2.", "preference"
        )
    steps = max(1, ceil(3 * abs(2 * preference - 3) - 1e-9))
    p_a = round(2.0 - preference, 9)
    return [vote("a" if preference < 1.5 else "b", steps=steps, p_a=p_a, **said)]


FORMAT = Format(
    name="alpaca_eval",
    title="AlpacaEval annotations",
    modalities=("text",),
    containers=("json", "jsonl", "parquet", "csv"),
    columns=("instruction", "output_1", "output_2", "preference"),
    read=read,
    write=write,
    schema=schema,
    empty_answers="kept",
    ties="Kept, as 1.5; both bad becomes a tie.",
    cannot="In a version, the judge's exact probability: there it is 1 to 3 steps, a third of the "
    "way each; whether a person or a judge voted, reasons, tags and evidence; prompts of several "
    "messages or with pictures or clips. Skipped votes are left out.",
)
