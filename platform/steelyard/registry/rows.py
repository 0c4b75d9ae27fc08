"""Reading a version's rows a page at a time, and as files to download."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steelyard.lib.lines import lines_of
from steelyard.lib.records import SCHEMA_KEY, SCHEMA_OF_SEVERAL, from_parquet
from steelyard.registry.models import DatasetVersion

_BATCH = 2048


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

    def place_of(self, pair: str, project: str = "") -> int | None:
        """The first row of the pair of this key; rows lie in the order of their pairs, so that one
        row group is read, or two where the pair's rows lie in both.

        Args:
            project: whose row, where the version is of several.
        """
        for group, (file, number) in enumerate(self.groups):
            place = file.schema_arrow.get_field_index("pair")
            seen = file.metadata.row_group(number).column(place).statistics
            if seen is not None and seen.has_min_max and not seen.min <= pair <= seen.max:
                continue
            columns = ["pair", "project"] if project else ["pair"]
            table = file.read_row_group(number, columns=columns)
            mine = pc.equal(table["pair"], pair)
            if project:
                mine = pc.and_(mine, pc.equal(table["project"], project))
            at = pc.index(mine, True).as_py()
            if at >= 0:
                return self.starts[group] + at
        return None

    def has_votes_of(self, annotator: str) -> bool:
        return any(
            pc.any(pc.equal(_leaf(batch, "annotator"), annotator)).as_py()
            for batch in self.batches(["votes.list.element.annotator"])
        )

    def count_votes(self, votes: np.ndarray) -> tuple[int, int]:
        """How many of these votes (sorted UUIDs of 16 bytes) stand behind rows, each counted once,
        and behind how many rows."""
        found = [np.empty(0, dtype="V16")]
        n_rows = 0
        for batch in self.batches(["votes.list.element.judgment"]):
            text = pc.replace_substring(_leaf(batch, "judgment"), "-", "")
            raw = bytes.fromhex("".join(text.to_pylist()))
            told = np.frombuffer(raw, dtype="V16")
            here = np.isin(told, votes)
            found.append(np.unique(told[here]))
            parents = pc.list_parent_indices(batch.column(0)).to_numpy()
            n_rows += len(np.unique(parents[here]))
        return len(np.unique(np.concatenate(found))), n_rows

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows."""
        return pa.concat_tables(file.read(columns=list(names)) for file in self.files)

    def batches(self, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, a row group after another."""
        for file in self.files:
            for number in range(file.metadata.num_row_groups):
                columns = None if names is None else list(names)
                yield from file.read_row_group(number, columns=columns).to_batches()


def _leaf(batch: pa.RecordBatch, name: str) -> pa.Array:
    """One field of all votes of a batch."""
    return pc.struct_field(pc.list_flatten(batch.column(0)), name)


def jsonl(version: DatasetVersion) -> Iterator[bytes]:
    """One canonical JSON line a row: the same bytes that the version's digest was made of."""
    for path in version.files:
        with pq.ParquetFile(path) as file:
            # a version of an earlier schema has fewer columns, and keeps the bytes of its time
            there = [name for name in SCHEMA_OF_SEVERAL.names if name in file.schema_arrow.names]
            # the first schema's texts of JSON were written in another way
            canonical = SCHEMA_KEY in (file.schema_arrow.metadata or {})
            for batch in file.iter_batches(batch_size=_BATCH, columns=there):
                yield lines_of(batch, written_canonical=canonical)


def file_name(version: DatasetVersion, form: str) -> str:
    """Says what the file is wherever it ends up: dataset, number, and the start of the digest."""
    return f"{version.dataset.slug}-v{version.number}-{version.digest[:8]}.{form}"
