"""The preference record: one row of a dataset version, the same for every modality and trainer."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

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
        return dict(vars(self))


GROUP_ROWS = 4096
"""Rows of a row group: what is decoded at once to show a page of rows."""
SHARD_ROWS = 10 * GROUP_ROWS
"""Rows of a file."""


def canonical_line(record: PreferenceRecord) -> bytes:
    """The record as one line of canonical JSON."""
    return canonical_json(vars(record)) + b"\n"


def canonical_lines(records: Iterable[PreferenceRecord]) -> Iterator[bytes]:
    """One canonical JSON line a record, in the order given; hash these for identity."""
    return map(canonical_line, records)


def write_parquet(records: Sequence[PreferenceRecord], path: Path) -> None:
    """Write one zstd Parquet file with the schema above."""
    with path.open("wb") as stream, _writer(stream) as writer:
        writer.write_table(_table(records))


def read_parquet(path: Path | Sequence[Path]) -> list[PreferenceRecord]:
    """Read a file written by :func:`write_parquet`, or several one after another; of this schema or
    an earlier one.

    Raises:
        ValueError: columns are missing; the message names them.
    """
    paths = [path] if isinstance(path, Path) else path
    return [record for one in paths for record in iter_parquet(one)]


def iter_parquet(path: Path, batch_rows: int = 512) -> Iterator[PreferenceRecord]:
    """The records of a file, decoded a few at a time.

    Raises:
        ValueError: columns are missing; the message names them.
    """
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        there = [name for name in SCHEMA.names if name in names]
        missing = [name for name in SCHEMA.names if name not in {*there, *_ADDED}]
        if missing:
            raise ValueError(
                f"{path.name} is not a preference file: no column {', '.join(missing)}"
            )
        for batch in file.iter_batches(batch_size=batch_rows, columns=there):
            for row in batch.to_pylist():
                yield PreferenceRecord(**from_parquet(row))


class ShardWriter:
    """Writes records to Parquet files of ``SHARD_ROWS`` rows, each named by its own SHA-256, and
    takes the hash of all their canonical lines while they pass.

    A file has its name when it is whole and on disk; what is half written is called ``.partial``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[dict[str, Any]] = []
        """Name, sha256, size and rows of each file that is whole."""
        self.media: set[str] = set()
        self._rows = hashlib.sha256()
        self._waiting: list[PreferenceRecord] = []
        self._stream: _Hashed | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._in_shard = 0

    @property
    def rows(self) -> int:
        """How many are in files that are whole."""
        return sum(file["rows"] for file in self.files)

    @property
    def rows_sha256(self) -> str:
        return self._rows.hexdigest()

    def take_over(self, files: Iterable[dict[str, Any]]) -> None:
        """Go on behind files that an earlier process has written whole."""
        for file in files:
            for record in iter_parquet(self.folder / file["name"]):
                self._pass(record)
            self.files.append(file)

    def add(self, records: Iterable[PreferenceRecord]) -> None:
        for record in records:
            self._pass(record)
            self._waiting.append(record)
            if len(self._waiting) == GROUP_ROWS:
                self._write_group()

    def close(self) -> None:
        """Write what is left."""
        if self._waiting:
            self._write_group()
        self._end_shard()

    def abandon(self) -> None:
        """Let go of the file that is half written."""
        if self._parquet is not None and self._stream is not None:
            self._parquet.close()
            self._stream.close()
            self._parquet = self._stream = None

    def _pass(self, record: PreferenceRecord) -> None:
        self._rows.update(canonical_line(record))
        self.media.update(record.prompt_media)
        self.media.update(filter(None, (record.chosen_media, record.rejected_media)))

    def _write_group(self) -> None:
        if self._parquet is None:
            self._stream = _Hashed((self.folder / ".partial").open("wb"))
            self._parquet = _writer(self._stream)
        self._parquet.write_table(_table(self._waiting))
        self._in_shard += len(self._waiting)
        self._waiting = []
        if self._in_shard >= SHARD_ROWS:
            self._end_shard()

    def _end_shard(self) -> None:
        if self._parquet is None or self._stream is None:
            return
        self._parquet.close()
        self._stream.keep()
        sha256 = self._stream.sha256.hexdigest()
        path = (self.folder / ".partial").rename(self.folder / f"{sha256}.parquet")
        size = path.stat().st_size
        self.files.append(
            {"name": path.name, "sha256": sha256, "size": size, "rows": self._in_shard}
        )
        self._stream = self._parquet = None
        self._in_shard = 0


class _Hashed:
    """A file to write that hashes what goes through it; the columns' writer never seeks."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    def flush(self) -> None:
        self._stream.flush()

    def keep(self) -> None:
        """Flushed to disk and closed."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.close()

    def close(self) -> None:
        self._stream.close()
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _writer(stream: Any) -> pq.ParquetWriter:
    metadata = {b"steelyard.schema": str(SCHEMA_VERSION).encode()}
    return pq.ParquetWriter(stream, SCHEMA.with_metadata(metadata), compression="zstd")


def _table(records: Sequence[PreferenceRecord]) -> pa.Table:
    """Column by column; what nests is built from flat lists, which is several times quicker than
    from a dictionary a row."""
    columns = []
    for item in SCHEMA:
        values = [getattr(record, item.name) for record in records]
        if item.name in _AS_TEXT:
            columns.append(pa.array(map(_as_text, values), item.type))
        elif pa.types.is_list(item.type) and pa.types.is_struct(item.type.value_type):
            columns.append(_structs(values, item.type))
        else:
            columns.append(pa.array(values, item.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _as_text(value: Any) -> str:
    return canonical_json(value).decode() if value else "[]" if value == [] else "{}"


def _structs(values: list[list[dict[str, Any]]], kind: pa.ListType) -> pa.Array:
    flat = [item for items in values for item in items]
    ends = [0]
    for items in values:
        ends.append(ends[-1] + len(items))
    children = []
    for item in kind.value_type:
        column = [one.get(item.name) for one in flat]
        if item.name == "evidence":
            column = [None if one is None else canonical_json(one).decode() for one in column]
        children.append(pa.array(column, item.type))
    struct = pa.StructArray.from_arrays(children, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), struct, type=kind)


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
