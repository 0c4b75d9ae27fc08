"""Pick-a-Pic v1 and v2: two pictures of a caption in the row itself, and which of them was picked.

::

    {"jpg_0": bytes, "jpg_1": bytes, "label_0": 1.0, "label_1": 0.0, "caption": "…", "model_0": "…",
     "model_1": "…", "user_id": 7, "ranking_id": 9, "has_label": true, "are_different": true, …}

``label_0`` is 1 where the first was picked, 0 where the second was, 0.5 for a tie. Diffusion-DPO
and diffusers' trainers read ``jpg_0``, ``jpg_1``, ``label_0`` and ``caption`` alone; diffusers'
ORPO trainer reads WebDataset shards, in which the caption is called ``original_prompt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import UNNAMED, Format, Option, Writing
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import outcome, sides, vote
from annotation.formats.visual import asked, both, cast_votes, compared, model
from steelyard.lib.hashing import digest_of
from steelyard.lib.records import PreferenceRecord

COLUMNS = Option(
    "columns",
    "Columns",
    (
        ("all", "all that Pick-a-Pic v2 has, a row a vote"),
        ("trainer", "jpg_0, jpg_1, label_0 and caption, a row a pair, for Diffusion-DPO"),
        ("orpo", "as WebDataset shards have them for diffusers' ORPO trainer, a row a pair"),
    ),
)
_LABEL = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}
_OUTCOME = {1.0: "a", 0.0: "b", 0.5: "tie"}
_ALL = [
    ("are_different", pa.bool_()),
    ("best_image_uid", pa.string()),
    ("caption", pa.string()),
    ("created_at", pa.timestamp("ns")),
    ("has_label", pa.bool_()),
    ("image_0_uid", pa.string()),
    ("image_0_url", pa.string()),
    ("image_1_uid", pa.string()),
    ("image_1_url", pa.string()),
    ("jpg_0", pa.binary()),
    ("jpg_1", pa.binary()),
    ("label_0", pa.float64()),
    ("label_1", pa.float64()),
    ("model_0", pa.string()),
    ("model_1", pa.string()),
    ("ranking_id", pa.int64()),
    ("user_id", pa.int64()),
    ("num_example_per_prompt", pa.int64()),
    ("__index_level_0__", pa.int64()),
]
_TRAINER = ("jpg_0", "jpg_1", "label_0", "caption")


def read(row: Row) -> Iterator[ImportedRecord]:
    column = "caption" if "caption" in row.values else "original_prompt"
    yield compared(
        row,
        row.text(column),
        ("jpg_0", "jpg_1"),
        [vote(_outcome(row), annotator=_annotator(row))] if _has_label(row) else [],
        model_a=model(row, "model_0"),
        model_b=model(row, "model_1"),
        key=_key(row),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    caption = asked(record, writing)
    if caption is None:
        return
    first, second = both(record, writing)
    label = _LABEL[outcome(record)]
    columns = writing.option("columns")
    row: dict[str, Any] = {"jpg_0": first, "jpg_1": second, "label_0": label}
    if columns == "trainer":
        yield {**row, "caption": caption}
    elif columns == "orpo":
        yield {**row, "label_1": 1 - label, "original_prompt": caption}
    else:
        yield from _votes(record, writing, {**row, "caption": caption})


def schema(writing: Writing) -> pa.Schema:
    kinds = dict(_ALL)
    columns = writing.option("columns")
    if columns == "trainer":
        return pa.schema([(name, kinds[name]) for name in _TRAINER])
    if columns == "orpo":
        names = ("jpg_0", "jpg_1", "label_0", "label_1")
        return pa.schema([*((n, kinds[n]) for n in names), ("original_prompt", pa.string())])
    return pa.schema(_ALL)


def _votes(
    record: PreferenceRecord, writing: Writing, pair: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    a, b = sides(record)
    for one in cast_votes(record):
        if one["outcome"] == "both_bad":
            writing.without("that both are bad, which is written as a tie")
        label = _LABEL[one["outcome"]]
        said = {
            **pair,
            "are_different": True,
            "best_image_uid": {1.0: a.media, 0.0: b.media}.get(label, "tie"),
            "created_at": None,
            "has_label": True,
            "image_0_uid": a.media,
            "image_0_url": "",
            "image_1_uid": b.media,
            "image_1_url": "",
            "label_0": label,
            "label_1": 1 - label,
            "model_0": a.model,
            "model_1": b.model,
            "ranking_id": _number(one["judgment"]),
            "user_id": _number(one["annotator"]),
            "num_example_per_prompt": 1,
            "__index_level_0__": writing.next_number(),
        }
        yield {name: said[name] for name, _ in _ALL}


def _number(name: str) -> int:
    """A number for a name, always the same and in 53 bits, as JSON can say it."""
    return int(digest_of(name)[:13], 16)


def _has_label(row: Row) -> bool:
    return row.values.get("has_label") is None or row.truth("has_label")


def _outcome(row: Row) -> str:
    label = row.real("label_0", 0, 1)
    if label not in _OUTCOME:
        raise row.wrong(f"“label_0” is {label}; it must be 1, 0, or 0.5 for a tie.", "label_0")
    if row.values.get("label_1") is not None and row.real("label_1", 0, 1) != 1 - label:
        raise row.wrong(
            f"“label_1” is {row.values['label_1']}, but “label_0” is {label}; they must add up "
            "to 1.",
            "label_1",
        )
    return _OUTCOME[label]


def _annotator(row: Row) -> str:
    number = row.id("user_id")
    return f"user {number}"[:150] if number else UNNAMED


def _key(row: Row) -> str:
    """One ranking of four pictures gives several rows, so the pictures are part of it."""
    values = [row.id(name) for name in ("ranking_id", "image_0_uid", "image_1_uid")]
    return " ".join(values) if values[0] else ""


def _captioned(row: Row) -> bool:
    return row.has("caption") or row.has("original_prompt")


FORMAT = Format(
    name="pick_a_pic",
    title="Pick-a-Pic v1, v2 and Diffusion-DPO",
    modalities=("image",),
    containers=("parquet", "webdataset", "jsonl"),
    columns=("jpg_0", "jpg_1", "label_0"),
    fits=_captioned,
    read=read,
    write=write,
    schema=schema,
    options=(COLUMNS,),
    ties="Kept, as a label of 0.5; both bad becomes a tie.",
    cannot="Names of people, who become numbers; a judge told from a person; that both are bad; "
    "strength, reasons, tags, aspects and evidence; when a vote was given; prompts of several "
    "messages or with pictures. Pictures keep their bytes, whatever their kind, though columns "
    "are called jpg. Skipped votes are left out.",
)
