"""Rows into files: JSON Lines, a JSON array, CSV, Parquet; one after another, in bounded memory,
and the same rows always to the same bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.formats import shards
from annotation.formats.base import MediaFile

MEDIA_FOLDER = "media"
_BATCH_ROWS = 1000
_BATCH_BYTES = 16 * 2**20
Named = Callable[[MediaFile], str]
_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


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
    schema: pa.Schema | None = None,
    named: Named = beside,
) -> int:
    """Write rows as ``jsonl``, ``json``, ``csv``, ``parquet`` or, in one shard, ``webdataset``; a
    path that ends with .gz packs the first three. Returns how many rows there are.

    Args:
        schema: of the rows, for Parquet; learnt from the first thousand rows without one.
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
    rows: Iterable[dict[str, Any]], path: Path, schema: pa.Schema | None = None
) -> int:
    """One zstd Parquet file. Files are put into it in the form that ``datasets`` reads as Image or
    Video, and the file says so in its ``huggingface`` metadata."""
    rest = iter(rows)
    first = list(islice(rest, _BATCH_ROWS))
    schema = schema or _learnt(first)
    said = schema.with_metadata(_about(schema))
    raw = {field.name for field in schema if pa.types.is_binary(field.type)}
    count = 0
    with pq.ParquetWriter(path, said, compression="zstd") as writer:
        for batch in _batches(chain(first, rest), raw):
            writer.write_table(pa.Table.from_pylist(batch, schema=said))
            count += len(batch)
    return count


def file_field(name: str, feature: str, *, many: bool = False) -> pa.Field:
    """A Parquet column of files: ``Image`` or ``Video`` to ``datasets``; a list of them if many."""
    kind = pa.list_(_FILE) if many else _FILE
    return pa.field(name, kind, metadata={"feature": feature})


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


def _embedded(value: Any, size: list[int]) -> Any:
    """The value with the bytes of each file in it, which are added up in ``size``."""
    if isinstance(value, MediaFile):
        data = value.path.read_bytes()
        size[0] += len(data)
        return {"bytes": data, "path": value.name}
    if isinstance(value, dict):
        return {key: _embedded(item, size) for key, item in value.items()}
    if isinstance(value, list):
        return [_embedded(item, size) for item in value]
    return value


def _batches(
    rows: Iterable[dict[str, Any]], raw: Collection[str]
) -> Iterator[list[dict[str, Any]]]:
    """Rows with their files in them: in raw columns as bytes, else as ``datasets`` has them."""
    batch: list[dict[str, Any]] = []
    size = [0]
    for row in rows:
        held = _embedded(row, size)
        batch.append(held | {name: held[name]["bytes"] for name in raw if held.get(name)})
        if len(batch) == _BATCH_ROWS or size[0] > _BATCH_BYTES:
            yield batch
            batch, size = [], [0]
    if batch:
        yield batch


def _learnt(rows: list[dict[str, Any]]) -> pa.Schema:
    """The columns that these rows have; one that is null throughout is of texts."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields = []
    for name in names:
        values = [row.get(name) for row in rows]
        files = [file for value in values for file in _files(value)]
        if files:
            feature = "Video" if files[0].mime.startswith("video/") else "Image"
            many = any(isinstance(value, list) for value in values)
            fields.append(file_field(name, feature, many=many))
            continue
        kind = pa.array(values).type
        fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) else kind))
    return pa.schema(fields)


def _files(value: Any) -> list[MediaFile]:
    if isinstance(value, list):
        return [file for file in value if isinstance(file, MediaFile)]
    return [value] if isinstance(value, MediaFile) else []


def _about(schema: pa.Schema) -> dict[str, str]:
    """What ``datasets`` reads the columns as; only needed where there are files."""
    if not any((field.metadata or {}).get(b"feature") for field in schema):
        return {}
    features = {field.name: _feature(field.type, field.metadata) for field in schema}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _feature(kind: pa.DataType, metadata: dict[bytes, bytes] | None = None) -> Any:
    """As ``datasets`` writes it; a list in brackets is understood by its old and new versions."""
    if pa.types.is_list(kind):
        return [_feature(kind.value_type, metadata)]
    if metadata and b"feature" in metadata:
        return {"_type": metadata[b"feature"].decode()}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
