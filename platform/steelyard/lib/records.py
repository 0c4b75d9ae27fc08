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

SCHEMA_VERSION = 2
"""2 added prompt_media, segments and the rationales' evidence; files of 1 are read without."""
_ADDED = {"prompt_media", "segments"}
_AS_TEXT = ("aspects", "segments")
"""What has no fixed shape stands in Parquet as canonical JSON."""
_STRUCT_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_STRUCT_RATIONALE = pa.struct(
    [
        ("annotator", pa.string()),
        ("text", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("evidence", pa.string()),
    ]
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
        ("prompt_media", pa.list_(pa.string())),
        ("segments", pa.string()),
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
    """annotator, text, tags, evidence: what the text points at, each item with its canonical
    ``side``, which ``answer`` that is (chosen or rejected), and ``kind``: a span (``start`` and
    ``end`` in code points of the answer's text, ``quote``), a box (``x``, ``y``, ``width``,
    ``height`` in fractions of the picture, ``at`` in seconds where it is a video's) or a time
    (``start``, ``end`` in seconds)."""
    votes: list[dict[str, Any]] = field(default_factory=list)
    """judgment (UUID), annotator, kind, outcome, strength; outcome names the canonical side."""
    split: str = "train"
    prompt_media: list[str] = field(default_factory=list)
    """SHA-256 of the pictures and clips that the prompt is about, in order."""
    segments: list[dict[str, Any]] = field(default_factory=list)
    """Verdicts on parts of a video: judgment (UUID), annotator, start and end in seconds, outcome
    and strength against the canonical sides, and which answer is ``better`` there: chosen, rejected
    or tie."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def canonical_lines(records: Iterable[PreferenceRecord]) -> Iterator[bytes]:
    """One canonical JSON line a record, in the order given; hash these for identity."""
    for record in records:
        yield canonical_json(record.as_dict()) + b"\n"


def write_parquet(records: list[PreferenceRecord], path: Path) -> None:
    """Write one zstd Parquet file with the schema above."""
    table = pa.Table.from_pylist([_row(record) for record in records], schema=SCHEMA)
    metadata = {b"steelyard.schema": str(SCHEMA_VERSION).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def read_parquet(path: Path) -> list[PreferenceRecord]:
    """Read a file written by :func:`write_parquet`, of this schema or an earlier one.

    Raises:
        ValueError: columns are missing; the message names them.
    """
    table = pq.read_table(path)
    there = [name for name in SCHEMA.names if name in table.column_names]
    missing = [name for name in SCHEMA.names if name not in {*there, *_ADDED}]
    if missing:
        raise ValueError(f"{path.name} is not a preference file: no column {', '.join(missing)}")
    return [PreferenceRecord(**from_parquet(row)) for row in table.select(there).to_pylist()]


def from_parquet(row: dict[str, Any]) -> dict[str, Any]:
    """A row as Parquet has it in the form of :meth:`PreferenceRecord.as_dict`; what an earlier
    schema had no column for stays absent, so that its canonical JSON is that of its own time."""
    said = {name: json.loads(row[name]) for name in _AS_TEXT if name in row}
    rationales = [
        {
            key: json.loads(value) if key == "evidence" else value
            for key, value in rationale.items()
            if key != "evidence" or value is not None
        }
        for rationale in row["rationales"]
    ]
    return {**row, **said, "rationales": rationales}


def _row(record: PreferenceRecord) -> dict[str, Any]:
    row = record.as_dict()
    for name in _AS_TEXT:
        row[name] = canonical_json(row[name]).decode()
    for rationale in row["rationales"]:
        if "evidence" in rationale:
            rationale["evidence"] = canonical_json(rationale["evidence"]).decode()
    return row
