"""The preference record: its bytes, and files of an earlier schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steelyard.lib.hashing import sha256_hex
from steelyard.lib.records import (
    SCHEMA,
    PreferenceRecord,
    canonical_lines,
    from_parquet,
    read_parquet,
    write_parquet,
)

EVIDENCE = [
    {"side": "b", "kind": "span", "start": 0, "end": 3, "quote": "Wet", "answer": "chosen"},
    {"side": "a", "kind": "box", "x": 0.25, "y": 0.0, "width": 0.5, "height": 1, "at": 1.5},
]
SEGMENTS = [
    {
        "judgment": "6f0c",
        "annotator": "rater",
        "start": 0,
        "end": 1.5,
        "outcome": "a",
        "strength": -1,
        "better": "rejected",
    }
]


def record(**changes: Any) -> PreferenceRecord:
    values: dict[str, Any] = {
        "pair": "1" * 64,
        "prompt_key": "2" * 64,
        "category": "weather",
        "modality": "text",
        "prompt": [{"role": "user", "content": "Rain?"}],
        "chosen": "Wet.",
        "rejected": "Dry.",
        "chosen_media": "",
        "rejected_media": "",
        "chosen_model": "large",
        "rejected_model": "small",
        "outcome": "win",
        "chosen_side": "b",
        "strength": 2.0,
        "agreement": 1.0,
        "aspects": {"clear": -0.5},
        "rationales": [
            {"annotator": "rater", "text": "wetter", "tags": ["clear"], "evidence": EVIDENCE}
        ],
        "votes": [
            {
                "judgment": "6f0c",
                "annotator": "rater",
                "kind": "person",
                "outcome": "b",
                "strength": 2,
            }
        ],
        "prompt_media": ["3" * 64],
        "segments": SEGMENTS,
    }
    return PreferenceRecord(**{**values, **changes})


def test_a_line_has_the_same_bytes_on_every_machine() -> None:
    (line,) = canonical_lines([record()])

    assert sha256_hex(line) == "cb7e211be78076f75888321c40db056d2aeeba0b18c097a35dabb2fd5a23842a"


def test_a_reference_answer_stands_in_a_line_where_there_is_one_alone() -> None:
    plain, (told,) = record().as_dict(), canonical_lines([record(reference_answer="Wet.")])

    assert json.loads(told) == {**plain, "reference_answer": "Wet."}
    assert "reference_answer" not in plain


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records = [
        record(reference_answer="Wet."),
        record(prompt_media=[], segments=[], rationales=[], aspects={}),
    ]
    write_parquet(records, tmp_path / "rows.parquet")

    assert read_parquet(tmp_path / "rows.parquet") == records
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [from_parquet(row) for row in rows] == [one.as_dict() for one in records]
    # in the file, what has no fixed shape is text, which every reader of Parquet can take
    assert json.loads(rows[0]["segments"]) == SEGMENTS
    assert json.loads(rows[0]["rationales"][0]["evidence"]) == EVIDENCE


def old_table() -> pa.Table:
    """As schema 1 had it."""
    row = record(rationales=[{"annotator": "rater", "text": "wetter", "tags": []}]).as_dict()
    del row["prompt_media"], row["segments"]
    row["aspects"] = json.dumps(row["aspects"])
    rationale = pa.struct(
        [("annotator", pa.string()), ("text", pa.string()), ("tags", pa.list_(pa.string()))]
    )
    fields = [
        pa.field("rationales", pa.list_(rationale)) if field.name == "rationales" else field
        for field in SCHEMA
        if field.name in row
    ]
    return pa.Table.from_pylist([row], schema=pa.schema(fields))


def test_a_file_of_the_first_schema_is_read_and_its_lines_stay_as_they_were(tmp_path: Path) -> None:
    pq.write_table(old_table(), tmp_path / "old.parquet")

    (read,) = read_parquet(tmp_path / "old.parquet")

    assert (read.prompt_media, read.segments) == ([], [])
    assert read.rationales == [{"annotator": "rater", "text": "wetter", "tags": []}]
    (row,) = pq.read_table(tmp_path / "old.parquet").to_pylist()
    line = from_parquet(row)
    assert "prompt_media" not in line
    assert "segments" not in line
    assert "evidence" not in line["rationales"][0]
