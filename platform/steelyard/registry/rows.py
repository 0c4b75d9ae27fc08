"""Reading a version's rows a page at a time, and as files to download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from steelyard.lib.hashing import canonical_json
from steelyard.lib.records import SCHEMA, from_parquet
from steelyard.registry.models import DatasetVersion

_BATCH = 512


class Rows(Sequence[dict[str, Any]]):
    """The rows of a version as a paginator wants them; only what is asked for is decoded."""

    def __init__(self, version: DatasetVersion) -> None:
        self._file = pq.ParquetFile(version.parquet)

    def __len__(self) -> int:
        return self._file.metadata.num_rows

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, key: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(key, int):
            found = self._between(key, key + 1)
            if not found:
                raise IndexError(key)
            return found[0]
        start, stop, step = key.indices(len(self))
        return self._between(start, stop)[::step]

    def _between(self, start: int, stop: int) -> list[dict[str, Any]]:
        parts, place = [], 0
        for batch in self._file.iter_batches(batch_size=_BATCH):
            if place >= stop:
                break
            if place + batch.num_rows > start:
                parts.append(batch.slice(max(0, start - place), stop - max(start, place)))
            place += batch.num_rows
        return (
            [from_parquet(row) for row in pa.Table.from_batches(parts).to_pylist()] if parts else []
        )


def jsonl(version: DatasetVersion) -> Iterator[bytes]:
    """One canonical JSON line a row: the same bytes that the version's digest was made of."""
    file = pq.ParquetFile(version.parquet)
    # a version of an earlier schema has fewer columns, and keeps the bytes of its time
    there = [name for name in SCHEMA.names if name in file.schema_arrow.names]
    for batch in file.iter_batches(batch_size=_BATCH, columns=there):
        yield b"".join(canonical_json(from_parquet(row)) + b"\n" for row in batch.to_pylist())


def file_name(version: DatasetVersion, form: str) -> str:
    """Says what the file is wherever it ends up: dataset, number, and the start of the digest."""
    return f"{version.dataset.slug}-v{version.number}-{version.digest[:8]}.{form}"
