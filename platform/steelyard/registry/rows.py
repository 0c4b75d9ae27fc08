"""Reading a version's rows a page at a time, and as files to download."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from steelyard.lib.hashing import canonical_json
from steelyard.lib.records import SCHEMA, from_parquet
from steelyard.registry.models import DatasetVersion

_BATCH = 512


class Rows(Sequence[dict[str, Any]]):
    """The rows of a version as a paginator wants them; only the row groups that hold what is asked
    for are decoded."""

    def __init__(self, version: DatasetVersion) -> None:
        self.files = [pq.ParquetFile(path) for path in version.files]
        self.groups = [
            (file, number) for file in self.files for number in range(file.metadata.num_row_groups)
        ]
        sizes = (file.metadata.row_group(number).num_rows for file, number in self.groups)
        self.starts = list(accumulate(sizes, initial=0))

    def __len__(self) -> int:
        return self.starts[-1]

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, key: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(key, int):
            if not -len(self) <= key < len(self):
                raise IndexError(key)
            return self.at([key % len(self)])[0]
        return self.at(range(*key.indices(len(self))))

    def at(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these places, in their order."""
        wanted: dict[int, list[int]] = {}
        for place in places:
            wanted.setdefault(bisect_right(self.starts, place) - 1, []).append(place)
        found = {}
        for group, inside in wanted.items():
            file, number = self.groups[group]
            table = file.read_row_group(number)
            local = pa.array([place - self.starts[group] for place in inside])
            for place, row in zip(inside, table.take(local).to_pylist(), strict=True):
                found[place] = from_parquet(row)
        return [found[place] for place in places]

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows."""
        return pa.concat_tables(file.read(columns=list(names)) for file in self.files)

    def batches(self, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, a row group after another."""
        for file in self.files:
            for number in range(file.metadata.num_row_groups):
                columns = None if names is None else list(names)
                yield from file.read_row_group(number, columns=columns).to_batches()


def jsonl(version: DatasetVersion) -> Iterator[bytes]:
    """One canonical JSON line a row: the same bytes that the version's digest was made of."""
    for path in version.files:
        with pq.ParquetFile(path) as file:
            # a version of an earlier schema has fewer columns, and keeps the bytes of its time
            there = [name for name in SCHEMA.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=_BATCH, columns=there):
                rows = batch.to_pylist()
                yield b"".join(canonical_json(from_parquet(row)) + b"\n" for row in rows)


def file_name(version: DatasetVersion, form: str) -> str:
    """Says what the file is wherever it ends up: dataset, number, and the start of the digest."""
    return f"{version.dataset.slug}-v{version.number}-{version.digest[:8]}.{form}"
