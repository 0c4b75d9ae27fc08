"""GenAI-Bench: votes of the GenAI-Arena on two pictures or two clips.

::

    {"prompt": "…", "left_model": "…", "left_output_image": …, "right_model": "…",
     "right_output_image": …, "vote_type": "leftvote"}
    {"source_image": …, "source_prompt": "…", "target_prompt": "…", "instruct_prompt": "…", …}
    {"id": 1, "prompt": "…", "video_left": …, "video_right": …, "vote_type": "tievote"}

The second is of edited pictures: what was asked is ``instruct_prompt``, about ``source_image``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.arena import outcome_of
from annotation.formats.base import Format, Option, Writing
from annotation.formats.columns import file_field
from annotation.formats.outside import only_images, single
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import sides, vote
from annotation.formats.visual import VOTE_CANNOT, asked, both, cast_votes, compared, model, shown
from steelyard.lib.records import PreferenceRecord

TASK = Option(
    "task",
    "Task",
    (
        ("generation", "pictures made from a prompt"),
        ("edition", "pictures made by changing one, which the prompt is about"),
    ),
)
_VOTE = {"a": "leftvote", "b": "rightvote", "tie": "tievote", "both_bad": "bothbad_vote"}
_IMAGES = ("left_output_image", "right_output_image")
_VIDEOS = ("video_left", "video_right")
_TIES = "Kept; a tie and both bad are two things."
_CANNOT = f"Who voted. {VOTE_CANNOT}; prompts of several messages. Skipped votes are left out."


def read_image(row: Row) -> Iterator[ImportedRecord]:
    edited = row.values.get("source_image") is not None
    source, blobs = shown(row, "source_image") if edited else ("", {})
    yield compared(
        row,
        row.text("instruct_prompt" if edited else "prompt"),
        _IMAGES,
        [vote(outcome_of(row, "vote_type"))],
        model_a=model(row, "left_model"),
        model_b=model(row, "right_model"),
        media=[source] if edited else [],
        blobs=blobs,
    )


def write_image(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    asked_for = _edition(record, writing) if _is_edition(writing) else _generation(record, writing)
    if asked_for is None:
        return
    a, b = sides(record)
    left, right = both(record, writing)
    for one in cast_votes(record):
        yield {
            **asked_for,
            "left_model": a.model,
            "left_output_image": left,
            "right_model": b.model,
            "right_output_image": right,
            "vote_type": _VOTE[one["outcome"]],
        }


def schema_image(writing: Writing) -> pa.Schema:
    texts = ("source_prompt", "target_prompt", "instruct_prompt")
    told = [pa.field(name, pa.string()) for name in texts] if _is_edition(writing) else []
    told += [file_field("source_image", "Image")] if _is_edition(writing) else []
    return pa.schema(
        [
            *(told or [pa.field("prompt", pa.string())]),
            pa.field("left_model", pa.string()),
            file_field("left_output_image", "Image"),
            pa.field("right_model", pa.string()),
            file_field("right_output_image", "Image"),
            pa.field("vote_type", pa.string()),
        ]
    )


def read_video(row: Row) -> Iterator[ImportedRecord]:
    yield compared(
        row,
        row.text("prompt"),
        _VIDEOS,
        [vote(outcome_of(row, "vote_type"))],
        model_a=model(row, "left_model"),
        model_b=model(row, "right_model"),
        key=row.id("id"),
    )


def write_video(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    prompt = asked(record, writing)
    if prompt is None:
        return
    left, right = both(record, writing)
    a, b = sides(record)
    for one in cast_votes(record):
        yield {
            "id": one["judgment"],
            "prompt": prompt,
            "left_model": a.model,
            "right_model": b.model,
            "video_left": left,
            "video_right": right,
            "vote_type": _VOTE[one["outcome"]],
        }


def schema_video(writing: Writing) -> pa.Schema:
    texts = ("id", "prompt", "left_model", "right_model")
    return pa.schema(
        [
            *(pa.field(name, pa.string()) for name in texts),
            *(file_field(name, "Video") for name in _VIDEOS),
            pa.field("vote_type", pa.string()),
        ]
    )


def _is_edition(writing: Writing) -> bool:
    return writing.option("task") == "edition"


def _generation(record: PreferenceRecord, writing: Writing) -> dict[str, Any] | None:
    prompt = asked(record, writing)
    return None if prompt is None else {"prompt": prompt}


def _edition(record: PreferenceRecord, writing: Writing) -> dict[str, Any] | None:
    instruction = single(record, writing)
    if instruction is None:
        return None
    if len(record.prompt_media) != 1:
        writing.leave_out("its prompt is not about one picture that was to be changed")
        return None
    source = writing.media(record.prompt_media[0])
    if not only_images([source], writing):
        return None
    return {
        "source_prompt": "",
        "target_prompt": "",
        "instruct_prompt": instruction,
        "source_image": source,
    }


def _asks(row: Row) -> bool:
    return row.has("prompt") or row.has("source_image", "instruct_prompt")


IMAGE = Format(
    both_bad=True,
    name="genai_bench_image",
    title="GenAI-Bench image",
    modalities=("image",),
    containers=("parquet", "jsonl", "json"),
    columns=(*_IMAGES, "vote_type"),
    fits=_asks,
    read=read_image,
    anonymous=True,
    write=write_image,
    schema=schema_image,
    options=(TASK,),
    ties=_TIES,
    cannot="Of an edited picture what its prompts were before and after: they are written as empty "
    f"and not read. {_CANNOT}",
)
VIDEO = Format(
    both_bad=True,
    name="genai_bench_video",
    title="GenAI-Bench video",
    modalities=("video",),
    containers=("parquet", "jsonl", "json"),
    columns=("prompt", *_VIDEOS, "vote_type"),
    read=read_video,
    anonymous=True,
    write=write_video,
    schema=schema_video,
    ties=_TIES,
    cannot=f"Prompts with pictures or clips. {_CANNOT}",
)
