"""Canonical JSON of rows that lie in Arrow columns: the bytes of
:func:`steelyard.lib.records.canonical_lines`, made a column after another.

A column becomes a list with the JSON of each row, and a struct is its columns zipped together with
the names between them: nothing is looked up and no dictionary is made for a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from steelyard.lib.hashing import canonical_json

AS_TEXT = frozenset({"aspects", "segments", "evidence"})
"""Columns whose text is JSON already."""
LEFT_OUT = frozenset({"reference_answer"})
"""Columns that a row without such a text does not name."""


def lines_of(rows: pa.Table | pa.RecordBatch, *, written_canonical: bool = True) -> bytes:
    """One line of canonical JSON a row, each with its line break.

    Args:
        written_canonical: whether columns whose text is JSON hold canonical JSON, as those of this
            schema do; otherwise they are read and written anew.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    names = sorted(rows.schema.names)
    columns = [_json(_one(rows.column(name)), name, written_canonical) for name in names]
    lines = _objects(names, columns, b"}\n")
    return b"".join(lines)


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _json(column: pa.Array, name: str, canonical: bool) -> list[bytes]:
    """The JSON of each row's value."""
    kind = column.type
    if pa.types.is_string(kind):
        texts = strings(column)
        if name in LEFT_OUT:
            return [orjson.dumps(text) if text else _ABSENT for text in texts]
        return _as_they_are(texts, canonical) if name in AS_TEXT else list(map(orjson.dumps, texts))
    if column.null_count:
        return [canonical_json(value) for value in column.to_pylist()]
    if pa.types.is_list(kind):
        return _lists(column, name, canonical)
    if pa.types.is_struct(kind):
        names = sorted(field.name for field in kind)
        inner = [_json(column.field(one), one, canonical) for one in names]
        return list(_objects(names, inner, b"}"))
    values = column.to_numpy(zero_copy_only=False)
    if pa.types.is_floating(kind) and not np.isfinite(values).all():
        raise ValueError(f"{name} has a number that JSON cannot say")
    return [repr(value).encode() for value in values.tolist()]


def strings(column: pa.Array) -> list[Any]:
    """Its texts, None where there is none; several times quicker than ``to_pylist``."""
    return column.to_numpy(zero_copy_only=False).tolist()


def _as_they_are(texts: list[str | None], canonical: bool) -> list[bytes]:
    if not canonical:
        read = (None if text is None else json.loads(text) for text in texts)
        return [_ABSENT if value is None else canonical_json(value) for value in read]
    return [_ABSENT if text is None else text.encode() for text in texts]


_ABSENT = b""
"""No JSON is empty; a key whose value is absent is left out, as in rows of the first schema."""


def _lists(column: pa.ListArray, name: str, canonical: bool) -> list[bytes]:
    ends = column.offsets.to_numpy()
    items = _json(column.flatten(), name, canonical)
    if not items:
        return [b"[]"] * len(column)
    places = (ends - ends[0]).tolist()
    return [
        b"[%b]" % (items[start] if stop == start + 1 else b",".join(items[start:stop]))
        for start, stop in pairwise(places)
    ]


def _objects(names: list[str], columns: list[list[bytes]], end: bytes) -> Iterator[bytes]:
    """An object a row; names are in their order."""
    parts: list[Iterable[bytes]] = []
    sign = b"{"
    for name, column in zip(names, columns, strict=True):
        key = sign + canonical_json(name) + b":"
        if name in LEFT_OUT and not any(column):
            continue
        if (name in AS_TEXT or name in LEFT_OUT) and _ABSENT in column:
            # never the first by name, so that what is left out takes its comma with it
            parts.append([value and key + value for value in column])
        else:
            parts += [repeat(key), column]
        sign = b","
    return map(b"".join, zip(*parts, repeat(end), strict=False))
