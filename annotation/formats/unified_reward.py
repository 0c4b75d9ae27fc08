"""UnifiedReward's lists for DPO: the better file first.

::

    [{"id": "1", "caption": "…", "jpg_0": "better.jpg", "jpg_1": "other.jpg", "label_0": 1}]
    [{"id": "1", "caption": "…", "chosen": "better.mp4", "rejected": "other.mp4"}]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from annotation.formats.base import Format, Writing
from annotation.formats.outside import won
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import vote
from annotation.formats.visual import (
    VOTE_CANNOT,
    asked,
    better_first,
    compared,
    modality_of,
)
from steelyard.lib.records import PreferenceRecord

_TIES = "Left out: a tie has no chosen answer."
_CANNOT = (
    f"Ties, votes and models. {VOTE_CANNOT}; prompts of several messages or with pictures or clips."
)


def read_image(row: Row) -> Iterator[ImportedRecord]:
    label = row.whole("label_0", 0, 1)
    said = [vote("a" if label else "b")]
    yield compared(row, row.text("caption"), ("jpg_0", "jpg_1"), said, key=row.id("id"))


def write_image(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    for row in _rows(record, writing, "jpg_0", "jpg_1"):
        yield {**row, "label_0": 1}


def read_video(row: Row) -> Iterator[ImportedRecord]:
    columns = ("chosen", "rejected")
    yield compared(row, row.text("caption"), columns, [vote("a")], key=row.id("id"))


def write_video(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    yield from _rows(record, writing, "chosen", "rejected")


def _rows(
    record: PreferenceRecord, writing: Writing, better: str, other: str
) -> Iterator[dict[str, Any]]:
    if not won(record, writing):
        return
    caption = asked(record, writing)
    if caption is None:
        return
    first, second = better_first(record, writing)
    yield {"id": record.pair, "caption": caption, better: first, other: second}


def _names_clips(row: Row) -> bool:
    names = (row.values["chosen"], row.values["rejected"])
    return all(isinstance(name, str) and modality_of(name) == "video" for name in names)


IMAGE = Format(
    name="unified_reward_image",
    title="UnifiedReward image DPO",
    modalities=("image",),
    containers=("json", "jsonl"),
    columns=("id", "caption", "jpg_0", "jpg_1", "label_0"),
    read=read_image,
    write=write_image,
    ties=_TIES,
    cannot=_CANNOT,
)
VIDEO = Format(
    name="unified_reward_video",
    title="UnifiedReward video DPO",
    modalities=("video",),
    containers=("json", "jsonl"),
    columns=("id", "caption", "chosen", "rejected"),
    fits=_names_clips,
    read=read_video,
    write=write_video,
    ties=_TIES,
    cannot=_CANNOT,
)
