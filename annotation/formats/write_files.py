"""Rows into files: JSON Lines, a JSON array, CSV, Parquet; one after another, in bounded memory,
and the same rows always to the same bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.formats import shards
from annotation.formats.base import MediaFile
from annotation.formats.columns import Columns, for_datasets

MEDIA_FOLDER = "media"
_BATCH_ROWS = 1000
_BATCH_BYTES = 16 * 2**20
Named = Callable[[MediaFile], str]


def beside(file: MediaFile) -> str:
    """What a row calls a file that lies beside it: ``media/<sha256>.png``."""
    return f"{MEDIA_FOLDER}/{file.name}"


def with_names(value: Any, named: Named = beside) -> Any:
    """The value with a name in place of each file in it."""
    if isinstance(value, MediaFile):
        return named(value)
    if isinstance(value, dict):
        return {key: with_names(item, named) for key, item in value.items()}
    if isinstance(value, list):
        return [with_names(item, named) for item in value]
    return value


def write(
    rows: Iterable[dict[str, Any]],
    path: Path,
    container: str,
    *,
    schema: pa.Schema | Columns | None = None,
    named: Named = beside,
) -> int:
    """Write rows as ``jsonl``, ``json``, ``csv``, ``parquet`` or, in one shard, ``webdataset``; a
    path that ends with .gz packs the first three. Returns how many rows there are.

    Args:
        schema: of the rows, for Parquet; without one it is learnt from them.
        named: what a row calls a file that lies beside it; Parquet holds the file itself.
    """
    if container == "parquet":
        return write_parquet(rows, path, schema)
    if container == "webdataset":
        with path.open("wb") as shard:
            return shards.write_shard(rows, shard)
    with _opened(path) as stream:
        if container == "csv":
            return write_csv((with_names(row, named) for row in rows), stream)
        return _WRITERS[container](map(_encoder(named), rows), stream)


def _encoder(named: Named) -> Callable[[dict[str, Any]], bytes]:
    """Makes JSON of a row, with a name in place of each file in it."""

    def name_of(value: Any) -> str:
        if isinstance(value, MediaFile):
            return named(value)
        raise TypeError(f"{type(value).__name__} is nothing that JSON can say")

    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=name_of).encode
    return lambda row: encode(row).encode()


def write_jsonl(rows: Iterable[bytes], stream: IO[bytes]) -> int:
    count = 0
    for row in rows:
        stream.write(row + b"\n")
        count += 1
    return count


def write_json(rows: Iterable[bytes], stream: IO[bytes]) -> int:
    """An array with an element a line."""
    count = 0
    stream.write(b"[")
    for row in rows:
        stream.write((b",\n" if count else b"\n") + row)
        count += 1
    stream.write(b"\n]\n")
    return count


def write_csv(rows: Iterable[dict[str, Any]], stream: IO[bytes]) -> int:
    """The columns of the first row; what is no text or number stands as JSON, null as nothing.

    Raises:
        ValueError: a later row has other columns.
    """
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
    count = 0
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: _cell(value) for key, value in row.items()})
        count += 1
    text.detach()
    return count


def write_parquet(
    rows: Iterable[dict[str, Any]], path: Path, schema: pa.Schema | Columns | None = None
) -> int:
    """One zstd Parquet file. Files are put into it in the form that ``datasets`` reads as Image or
    Video, and the file says so in its ``huggingface`` metadata.

    Args:
        schema: of the rows; or what is learnt of it from them, see :func:`settle`.
    """
    known = schema if isinstance(schema, pa.Schema) else None
    learnt = schema if isinstance(schema, Columns) else Columns()
    count = 0
    writer = _Appending(path, known or learnt.schema())
    for batch in _batches(rows):
        if known is None and learnt.learn(batch):
            writer.change(learnt.schema())
        writer.add(batch)
        count += len(batch)
    writer.close()
    return count


def settle(path: Path, columns: Columns) -> None:
    """Give a Parquet file the columns that files written after it have besides."""
    writer = _Appending(path, columns.schema(), there=True)
    writer.close()


class _Appending:
    """A Parquet file that grows by batches; where its columns change, what it has is written anew,
    a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema, *, there: bool = False) -> None:
        self._path, self._has_rows = path, there
        self._open(schema)

    def change(self, schema: pa.Schema) -> None:
        self.close()
        self._open(schema)

    def add(self, rows: list[dict[str, Any]]) -> None:
        held = [_embedded(row) for row in rows]
        for row in held:
            row |= {name: row[name]["bytes"] for name in self._raw if row.get(name)}
        self._writer.write_table(pa.Table.from_pylist(held, schema=self._said))
        self._has_rows = True

    def close(self) -> None:
        self._writer.close()

    def _open(self, schema: pa.Schema) -> None:
        self._said = for_datasets(schema)
        self._raw = {field.name for field in schema if pa.types.is_binary(field.type)}
        before = self._path.with_name(f"{self._path.name}.before")
        if self._has_rows:
            self._path.rename(before)
        self._writer = pq.ParquetWriter(self._path, self._said, compression="zstd")
        if not self._has_rows:
            return
        with pq.ParquetFile(before) as file:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number).to_pylist()
                self._writer.write_table(pa.Table.from_pylist(group, schema=self._said))
        before.unlink()


_WRITERS: dict[str, Callable[[Iterable[bytes], IO[bytes]], int]] = {
    "jsonl": write_jsonl,
    "json": write_json,
}


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("wb") as stream:
        if path.suffix != ".gz":
            yield stream
            return
        # neither name nor time stand in it, so that the same rows are the same bytes
        with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _embedded(value: Any) -> Any:
    """The value with the bytes of each file in it."""
    if isinstance(value, MediaFile):
        return {"bytes": value.path.read_bytes(), "path": value.name}
    if isinstance(value, dict):
        return {key: _embedded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_embedded(item) for item in value]
    return value


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """So many rows that they can be held with their files."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(map(_size_of, row.values()))
        if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size_of(value: Any) -> int:
    """Of the files in it."""
    if isinstance(value, MediaFile):
        return value.path.stat().st_size
    if isinstance(value, (dict, list)):
        return sum(map(_size_of, value.values() if isinstance(value, dict) else value))
    return 0
