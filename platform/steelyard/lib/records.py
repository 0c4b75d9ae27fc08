"""The preference record: one row of a dataset version, the same for every modality and trainer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steelyard.lib.hashing import canonical_json

SCHEMA_VERSION = 1
_STRUCT_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_STRUCT_RATIONALE = pa.struct(
    [("annotator", pa.string()), ("text", pa.string()), ("tags", pa.list_(pa.string()))]
)
_STRUCT_VOTE = pa.struct(
    [
        ("judgment", pa.string()),
        ("annotator", pa.string()),
        ("kind", pa.string()),
        ("outcome", pa.string()),
        ("strength", pa.int8()),
    ]
)

SCHEMA = pa.schema(
    [
        ("pair", pa.string()),
        ("prompt_key", pa.string()),
        ("category", pa.string()),
        ("modality", pa.string()),
        ("prompt", pa.list_(_STRUCT_MESSAGE)),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("chosen_media", pa.string()),
        ("rejected_media", pa.string()),
        ("chosen_model", pa.string()),
        ("rejected_model", pa.string()),
        ("outcome", pa.string()),
        ("chosen_side", pa.string()),
        ("strength", pa.float64()),
        ("agreement", pa.float64()),
        ("weight", pa.float64()),
        ("aspects", pa.string()),
        ("rationales", pa.list_(_STRUCT_RATIONALE)),
        ("votes", pa.list_(_STRUCT_VOTE)),
        ("split", pa.string()),
    ]
)


@dataclass(frozen=True)
class PreferenceRecord:
    """One pair with its aggregated verdict.

    Content decides identity: no database key and no time stands in a record, so the same votes
    make the same bytes on another machine.
    """

    pair: str
    """SHA-256 of prompt and both outputs in canonical order."""
    prompt_key: str
    """SHA-256 of the prompt; the split is drawn from it."""
    category: str
    modality: str
    """text, image or video."""
    prompt: list[dict[str, str]]
    """Chat messages: role and content."""
    chosen: str
    """Text of the preferred output; empty for media."""
    rejected: str
    chosen_media: str
    """SHA-256 of the preferred output's file; empty for text."""
    rejected_media: str
    chosen_model: str
    rejected_model: str
    outcome: str
    """win, or tie where the recipe keeps ties (then chosen is side a)."""
    chosen_side: str
    """Which canonical side, a or b, is chosen."""
    strength: float
    """Mean absolute strength of the votes toward chosen, 0 to 3."""
    agreement: float
    """Share of votes for the outcome, 0 to 1."""
    weight: float = 1.0
    aspects: dict[str, float] = field(default_factory=dict)
    """Mean signed strength per aspect; negative favours canonical side a."""
    rationales: list[dict[str, Any]] = field(default_factory=list)
    """annotator, text, tags."""
    votes: list[dict[str, Any]] = field(default_factory=list)
    """judgment (UUID), annotator, kind, outcome, strength; outcome names the canonical side."""
    split: str = "train"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def canonical_lines(records: Iterable[PreferenceRecord]) -> Iterator[bytes]:
    """One canonical JSON line a record, in the order given; hash these for identity."""
    for record in records:
        yield canonical_json(record.as_dict()) + b"\n"


def write_parquet(records: list[PreferenceRecord], path: Path) -> None:
    """Write one zstd Parquet file with the schema above."""
    rows = []
    for record in records:
        row = record.as_dict()
        row["aspects"] = canonical_json(record.aspects).decode()
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    metadata = {b"steelyard.schema": str(SCHEMA_VERSION).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def read_parquet(path: Path) -> list[PreferenceRecord]:
    """Read a file written by :func:`write_parquet`.

    Raises:
        ValueError: columns are missing; the message names them.
    """
    table = pq.read_table(path)
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise ValueError(f"{path.name} is not a preference file: no column {', '.join(missing)}")
    rows = table.select(SCHEMA.names).to_pylist()
    return [PreferenceRecord(**{**row, "aspects": json.loads(row["aspects"])}) for row in rows]
