"""The preference record: one row of a dataset version, the same for every modality and trainer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steelyard.lib.hashing import canonical_json
from steelyard.lib.lines import strings

SCHEMA_VERSION = 4
"""2 added prompt_media, segments and the rationales' evidence, 3 reference_answer, 4
machine_rationales; files of earlier ones are read without."""
LINES_VERSION = 2
"""Of the canonical lines, which a version's digest covers: 3 and 4 changed no line of rows
that have none of what they added."""
SCHEMA_KEY = b"steelyard.schema"
"""Where a file's metadata has its number."""
_ADDED = {"prompt_media", "segments", "reference_answer", "machine_rationales", "project"}
_IF_ANY = ("reference_answer", "machine_rationales", "project")
"""What a row's line has only where it says something."""
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
        ("reference_answer", pa.string()),
        ("machine_rationales", pa.string()),
    ]
)
SCHEMA_OF_SEVERAL = SCHEMA.append(pa.field("project", pa.string()))
"""Of rows that several projects have given: files of one keep the bytes that they had before
there was such a column."""


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
    """win; or, where the recipe keeps such, tie or both_bad (then chosen is side a, and there is no
    winner)."""
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
    reference_answer: str = ""
    """What the prompt's author holds to be right; of prompts that have none, no line says so."""
    machine_rationales: list[dict[str, Any]] = field(default_factory=list)
    """Why chosen is better, as models say it of people's verdict, where the recipe asked for such:
    author (``model``), judge, style, text. Canonical JSON in Parquet, null where there is none."""
    project: str = ""
    """Name in URLs of the project that gave the row, where several did; else no line says so."""

    @property
    def won(self) -> bool:
        """Whether chosen is better than rejected."""
        return self.outcome == "win"

    def as_dict(self) -> dict[str, Any]:
        return _said(dict(vars(self)))


GROUP_ROWS = 4096
"""Rows of a row group: what is decoded at once to show a page of rows."""
SHARD_ROWS = 10 * GROUP_ROWS
"""Rows of a file."""


def canonical_lines(records: Iterable[PreferenceRecord]) -> Iterator[bytes]:
    """One canonical JSON line a record, in the order given: their hash is what a version is known
    by. :func:`steelyard.lib.lines.lines_of` makes the same bytes of many rows at once."""
    return (canonical_json(record.as_dict()) + b"\n" for record in records)


def write_parquet(records: Sequence[PreferenceRecord], path: Path) -> None:
    """Write one zstd Parquet file with the schema above."""
    with path.open("wb") as stream, parquet_writer(stream) as writer:
        writer.write_table(table_of(records))


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
        there = [name for name in SCHEMA_OF_SEVERAL.names if name in names]
        missing = [name for name in SCHEMA.names if name not in {*there, *_ADDED}]
        if missing:
            raise ValueError(
                f"{path.name} is not a preference file: no column {', '.join(missing)}"
            )
        for batch in file.iter_batches(batch_size=batch_rows, columns=there):
            columns = [_values(batch.column(name)) for name in there]
            for row in zip(*columns, strict=True):
                yield PreferenceRecord(**from_parquet(dict(zip(there, row, strict=True))))


def _values(column: pa.Array) -> list[Any]:
    return strings(column) if pa.types.is_string(column.type) else column.to_pylist()


def parquet_writer(stream: Any, schema: pa.Schema = SCHEMA) -> pq.ParquetWriter:
    """Writes row groups with one of the schemas above to a file or to what can be written like
    one."""
    return pq.ParquetWriter(
        stream,
        schema.with_metadata({SCHEMA_KEY: str(SCHEMA_VERSION).encode()}),
        compression="zstd",
        use_dictionary=[*_REPEATED, *schema.names[len(SCHEMA) :]],
        write_statistics=["pair"],
    )


_REPEATED = [
    *("category", "modality", "chosen_model", "rejected_model", "outcome", "chosen_side", "split"),
    *("chosen_media", "rejected_media", "strength", "agreement", "weight", "aspects", "segments"),
    "reference_answer",
    *(f"votes.list.element.{name}" for name in ("annotator", "kind", "outcome", "strength")),
    *("prompt.list.element.role", "rationales.list.element.annotator"),
]
"""Columns in which the same values come again; others are written as they are. Only pairs are
looked for by the statistics of row groups."""


def tables_of(records: Iterable[PreferenceRecord]) -> Iterator[pa.Table]:
    """Records as the row groups that a :class:`ShardWriter` takes."""
    left = iter(records)
    while group := list(islice(left, GROUP_ROWS)):
        yield table_of(group)


def table_of(records: Sequence[PreferenceRecord]) -> pa.Table:
    """Rows with one of the schemas above, column by column."""
    columns = {}
    several = any(record.project for record in records)
    for item in SCHEMA_OF_SEVERAL if several else SCHEMA:
        values = [getattr(record, item.name) for record in records]
        if item.name == "machine_rationales":
            values = [as_text(value) if value else None for value in values]
        columns[item.name] = list(map(as_text, values)) if item.name in _AS_TEXT else values
    return table_of_columns(columns)


def table_of_columns(columns: Mapping[str, list[Any] | pa.Array]) -> pa.Table:
    """Rows with one of the schemas above of a list a column, or of an Arrow array; what has no
    fixed shape comes as canonical JSON, but for evidence in rationales, which is written here."""
    schema = SCHEMA_OF_SEVERAL if "project" in columns else SCHEMA
    arrays = [
        values
        if isinstance(values := columns[item.name], pa.Array)
        else array_of(values, item.type)
        for item in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def array_of(values: list[Any], kind: pa.DataType) -> pa.Array:
    """What nests is built from flat lists, which is several times quicker than from a dictionary a
    row."""
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    ends = pa.array(accumulate(map(len, values), initial=0), pa.int32())
    flat = list(chain.from_iterable(values))
    inner = (
        _structs(flat, kind.value_type)
        if pa.types.is_struct(kind.value_type)
        else pa.array(flat, kind.value_type)
    )
    return pa.ListArray.from_arrays(ends, inner, type=kind)


def _structs(flat: list[dict[str, Any]], kind: pa.StructType) -> pa.Array:
    children = []
    for item in kind:
        column = [one.get(item.name) for one in flat]
        if item.name == "evidence":
            column = [None if one is None else as_text(one) for one in column]
        children.append(array_of(column, item.type))
    return pa.StructArray.from_arrays(children, fields=list(kind))


def as_text(value: Any) -> str:
    return canonical_json(value).decode() if value else "[]" if value == [] else "{}"


def from_parquet(row: dict[str, Any]) -> dict[str, Any]:
    """A row as Parquet has it in the form of :meth:`PreferenceRecord.as_dict`; what an earlier
    schema had no column for stays absent, so that its canonical JSON is that of its own time."""
    said = {name: _read(row[name]) for name in _AS_TEXT if name in row}
    if row.get("machine_rationales"):
        said["machine_rationales"] = _read(row["machine_rationales"])
    rationales = [
        {
            key: _read(value) if key == "evidence" else value
            for key, value in rationale.items()
            if key != "evidence" or value is not None
        }
        for rationale in row["rationales"]
    ]
    return _said({**row, **said, "rationales": rationales})


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what is there only where it says something."""
    for name in _IF_ANY:
        if not row.get(name):
            row.pop(name, None)
    return row


def _read(text: str) -> Any:
    """What a text of JSON says; most say nothing."""
    return [] if text == "[]" else {} if text == "{}" else json.loads(text)
