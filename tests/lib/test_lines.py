"""Lines that are made a column at a time have the bytes of canonical JSON, whatever rows hold."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.lib.hashing import canonical_json
from steelyard.lib.lines import lines_of
from steelyard.lib.records import PreferenceRecord, canonical_lines, table_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["", '"', "\\", "\x00\x1f\x7f", "\n\r\t\b\f", "\u2028\ud7ff\ue000\U0001d11e", "</script>&'"]
)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1e-7, 1e-5, 1e16, 1e22, 0.1 + 0.2, 5e-324, 123456789012345680.0]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
RATIONALE = st.fixed_dictionaries(
    {"annotator": TEXT, "text": TEXT, "tags": st.lists(TEXT, max_size=2)},
    optional={"evidence": st.lists(st.dictionaries(TEXT, JSON, max_size=2), max_size=2)},
)
VOTE = st.fixed_dictionaries(
    {
        **dict.fromkeys(("judgment", "annotator", "kind", "outcome"), TEXT),
        "strength": st.integers(-128, 127),
    }
)
SHAPES: dict[str, Any] = {
    "prompt": st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}), max_size=3),
    "strength": NUMBER,
    "agreement": NUMBER,
    "weight": NUMBER,
    "aspects": st.dictionaries(TEXT, NUMBER, max_size=2),
    "rationales": st.lists(RATIONALE, max_size=2),
    "votes": st.lists(VOTE, max_size=3),
    "prompt_media": st.lists(TEXT, max_size=2),
    "segments": st.lists(st.dictionaries(TEXT, JSON, max_size=2), max_size=2),
}
RECORD = st.builds(
    PreferenceRecord,
    **{field.name: SHAPES.get(field.name, TEXT) for field in dataclasses.fields(PreferenceRecord)},
)


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORD, max_size=5), st.integers(0, 2))
def test_the_bytes_are_those_of_canonical_json(records: list[PreferenceRecord], cut: int) -> None:
    table = table_of(records)
    lines = list(canonical_lines(records))
    assert lines_of(table) == b"".join(lines)
    # a part of columns is read as a part, and columns in pieces as if they were whole
    assert lines_of(table.slice(cut, 2)) == b"".join(lines[cut : cut + 2])
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert lines_of(pieces) == b"".join(lines)
    for batch in table.slice(cut).to_batches():
        assert lines_of(batch) == b"".join(lines[cut:])


@given(st.lists(st.none() | st.dictionaries(TEXT, JSON, max_size=2), min_size=1, max_size=4))
def test_json_that_was_written_otherwise_is_written_anew(values: list[Any]) -> None:
    texts = [None if value is None else json.dumps(value, indent=1) for value in values]
    rationales = pa.table(
        {"annotator": ["rater"] * len(texts), "evidence": pa.array(texts, pa.string())}
    )
    # what is absent is left out, as rationales of the first schema have no evidence
    said = [{} if value is None else {"evidence": value} for value in values]
    lines = [canonical_json({"annotator": "rater", **one}) + b"\n" for one in said]
    assert lines_of(rationales, written_canonical=False) == b"".join(lines)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_line_is_made_of_what_json_cannot_say(number: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        lines_of(pa.table({"strength": [1.0, number]}))
