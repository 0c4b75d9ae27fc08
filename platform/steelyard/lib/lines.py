"""Canonical JSON of rows that lie in Arrow columns: the bytes of
:func:`steelyard.lib.records.canonical_lines`, made a column after another.

Arrow puts the cells of a row together, with the names between them. No Python object is made for a
cell, unless it has a character that JSON writes otherwise, and the interpreter is free meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from steelyard.lib.hashing import canonical_json

AS_TEXT = frozenset({"aspects", "segments", "evidence", "machine_rationales"})
"""Columns whose text is JSON already; where it is null, a row does not name them."""
LEFT_OUT = frozenset({"reference_answer", "project"})
"""Columns that a row without such a text does not name."""
_BYTES = pa.large_binary()
"""Of any length together, which the lines of many long texts may be."""
Part: TypeAlias = bytes | pa.Array
"""What all rows have here, or what each of them has."""


def lines_of(rows: pa.Table | pa.RecordBatch, *, written_canonical: bool = True) -> bytes:
    """One line of canonical JSON a row, each with its line break.

    Args:
        written_canonical: whether columns whose text is JSON hold canonical JSON, as those of this
            schema do; otherwise they are read and written anew.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return bytes(buffer_of_lines(rows, written_canonical=written_canonical))


def buffer_of_lines(
    rows: pa.Table | pa.RecordBatch, *, written_canonical: bool = True
) -> memoryview:
    """:func:`lines_of` where Arrow has written them."""
    if not len(rows):
        return memoryview(b"")
    names = sorted(rows.schema.names)
    columns = [_json(_one(rows.column(name)), name, written_canonical) for name in names]
    lines = _joined(_object(names, columns, b"}\n"), len(rows))
    _, offsets, data = lines.buffers()
    first, last = np.frombuffer(offsets, np.int64)[[lines.offset, lines.offset + len(lines)]]
    return memoryview(data)[first:last]


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _json(column: pa.Array, name: str, canonical: bool) -> list[Part]:
    """The JSON of each row's value, in parts."""
    kind = column.type
    if pa.types.is_string(kind):
        if name in LEFT_OUT:
            return [_if_any(column)]
        return [_as_it_is(column, canonical)] if name in AS_TEXT else _texts(column)
    if column.null_count:
        return [_array(map(canonical_json, column.to_pylist()))]
    if pa.types.is_list(kind):
        ends = column.offsets.to_numpy()
        items = column.flatten()
        said = _joined(_json(items, name, canonical), len(items))
        lists = pa.ListArray.from_arrays(pa.array(ends - ends[0], pa.int32()), said)
        return [b"[", pc.binary_join(lists, _scalar(b",")), b"]"]
    if pa.types.is_struct(kind):
        names = sorted(field.name for field in kind)
        return _object(names, [_json(column.field(one), one, canonical) for one in names], b"}")
    return [_numbers(column.to_numpy(zero_copy_only=False), name)]


def strings(column: pa.Array) -> list[Any]:
    """Its texts, None where there is none; several times quicker than ``to_pylist``."""
    return column.to_numpy(zero_copy_only=False).tolist()


def _array(cells: Iterable[bytes | None]) -> pa.Array:
    return pa.array(list(cells), _BYTES)


def _texts(column: pa.Array) -> list[Part]:
    if column.null_count:
        return [_array(map(orjson.dumps, strings(column)))]
    odd = _odd(column)
    cells = column.cast(_BYTES)
    if odd.any():
        written = (orjson.dumps(text)[1:-1] for text in strings(column.filter(pa.array(odd))))
        cells = pc.replace_with_mask(cells, pa.array(odd), _array(written))
    return [b'"', cells, b'"']


def _if_any(column: pa.Array) -> pa.Array:
    """Null where there is no text."""
    column = column.fill_null("")
    nothing = pc.equal(pc.binary_length(column), 0)
    return pc.if_else(nothing, pa.scalar(None, _BYTES), _joined(_texts(column), len(column)))


def _odd(column: pa.Array) -> np.ndarray:
    """Which texts have a character that JSON writes otherwise."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    odd = np.zeros(len(column), dtype=bool)
    if data is None or ends[0] == ends[-1]:
        return odd
    said = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    at = np.flatnonzero((said < ord(" ")) | (said == ord('"')) | (said == ord("\\")))
    odd[np.searchsorted(ends - ends[0], at, "right") - 1] = True
    return odd


def _as_it_is(column: pa.Array, canonical: bool) -> pa.Array:
    """Null where a text is or says null: its key is left out, as in rows of the first schema."""
    if canonical:
        return column.cast(_BYTES)
    read = (None if text is None else json.loads(text) for text in strings(column))
    return _array(None if value is None else canonical_json(value) for value in read)


def _numbers(values: np.ndarray, name: str) -> pa.Array:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name} has a number that JSON cannot say")
    # by their bits, which tell 0.0 and -0.0 apart
    bits, place = np.unique(values.view(f"i{values.itemsize}"), return_inverse=True)
    said = _array(repr(value).encode() for value in bits.view(values.dtype).tolist())
    return said.take(pa.array(place))


def _object(names: list[str], columns: list[list[Part]], end: bytes) -> list[Part]:
    """An object; names are in their order."""
    parts: list[Part] = []
    sign = b"{"
    for name, column in zip(names, columns, strict=True):
        key = sign + canonical_json(name) + b":"
        cells = column[0]
        if isinstance(cells, pa.Array) and cells.null_count:
            if cells.null_count == len(cells):
                continue
            # never the first by name, so that what is left out takes its comma with it
            named = pc.binary_join_element_wise(_scalar(key), cells, _scalar(b""))
            parts.append(named.fill_null(b""))
        else:
            parts += [key, *column]
        sign = b","
    return [*parts, end]


def _joined(parts: list[Part], length: int) -> pa.Array:
    """The parts of each row, one behind another."""
    if not length:
        return pa.array([], _BYTES)
    merged: list[Part] = []
    for part in parts:
        if merged and isinstance(part, bytes) and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    if len(merged) == 1 and isinstance(merged[0], pa.Array):
        return merged[0]
    cells = [_scalar(part) if isinstance(part, bytes) else part for part in merged]
    return pc.binary_join_element_wise(*cells, _scalar(b""))


def _scalar(part: bytes) -> pa.Scalar:
    return pa.scalar(part, _BYTES)
