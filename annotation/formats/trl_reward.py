"""TRL's data for reward models with a margin: a preference and by how much.

::

    {"chosen": […], "rejected": […], "margin": 2.0}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from annotation.formats import trl_preference
from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.outside import WITH_MEDIA
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import steps_of
from steelyard.lib.records import PreferenceRecord

# a reward model scores whole conversations, so the prompt stands in both as a rule
_PROMPT = replace(trl_preference.PROMPT, choices=(trl_preference.IMPLICIT, trl_preference.EXPLICIT))


def read(row: Row) -> Iterator[ImportedRecord]:
    margin = row.real("margin", -1e9, 1e9)
    if margin < 0:
        raise row.wrong(f"“margin” is {margin:g}; the chosen answer cannot be worse.", "margin")
    yield trl_preference.read_pair(row, steps=steps_of(margin))


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    for row in trl_preference.write(record, writing):
        yield {**row, "margin": float(record.strength)}


def schema(writing: Writing) -> pa.Schema:
    return trl_preference.schema(writing).append(pa.field("margin", pa.float64()))


FORMAT = Format(
    name="trl_reward",
    title="TRL reward with margin",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("chosen", "rejected", "margin"),
    fits=trl_preference.is_pair,
    read=read,
    write=write,
    anonymous=True,
    options=(trl_preference.SHAPE, _PROMPT, WITH_MEDIA),
    schema=schema,
    ties=trl_preference.TIES,
    cannot="As TRL preference, but for the strength, which is the margin: read back as 1 to 3 "
    "whole steps.",
)
