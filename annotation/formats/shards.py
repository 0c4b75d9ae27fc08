"""WebDataset shards: TAR archives in which the files of a sample have one name before the first
dot, and stand one after another.

::

    000000000.jpg_0.jpg  000000000.jpg_1.jpg  000000000.label_0.txt  000000000.original_prompt.txt
    000000000.json

Everything of a sample that is no file stands in its ``.json``; short texts that trainers read have
a file of their own besides.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from annotation.formats.base import MediaFile
from annotation.formats.packed import Packed
from annotation.formats.row_files import MAX_ROW, ROW_FILES, not_utf8
from annotation.formats.rows import Row, RowError, kind_of

TEXTS = ("label_0", "label_1", "original_prompt", "caption")
"""Columns that have a file of their own beside the ``.json``."""
SHARD_BYTES = 2**30
SHARD_SAMPLES = 5_000
"""So that a shard has fewer files than an archive may have."""
_NOT_ROWS = (".json", ".json.gz")
_OTHER_ROWS = tuple(
    ending for endings in ROW_FILES for ending in endings if ending not in _NOT_ROWS
)


def write_shard(rows: Iterable[dict[str, Any]], stream: IO[bytes]) -> int:
    """One shard; the same rows always become the same bytes. Returns how many samples there are."""
    count = 0
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            _add(tar, f"{count:09d}", row)
            count += 1
    return count


def write_shards(
    rows: Iterable[dict[str, Any]],
    folder: Path,
    *,
    name: str = "shard",
    most_bytes: int = SHARD_BYTES,
    most_samples: int = SHARD_SAMPLES,
) -> Iterator[tuple[Path, int]]:
    """Shards of about that size, ``shard-000000.tar`` and so on, each with its number of samples
    when it is whole."""
    rest = iter(rows)
    held = next(rest, None)
    number = 0
    while held is not None:
        path = folder / f"{name}-{number:06d}.tar"
        count = 0
        with (
            path.open("wb") as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        ):
            while held is not None and count < most_samples and tar.offset < most_bytes:
                _add(tar, f"{number:06d}-{count:06d}", held)
                count += 1
                held = next(rest, None)
        yield path, count
        number += 1


def is_shard(packed: Packed) -> bool:
    """Whether an archive is a shard: no file of rows, no ``.json`` alone, and samples of several
    files."""
    if any(name.lower().endswith(_OTHER_ROWS) for name in packed.names):
        return False
    several = False
    for _, names in groupby(packed.names, _key):
        found = list(names)
        if len(found) == 1 and found[0].lower().endswith(_NOT_ROWS):
            return False
        several = several or len(found) > 1
    return several


def count(packed: Packed) -> int:
    """How many samples it has."""
    return sum(1 for _ in groupby(packed.names, _key))


def rows(packed: Packed, wrong: Callable[[RowError], None]) -> Iterator[Row]:
    """A row a sample: texts and what its ``.json`` says as values, other files by their names."""
    for number, (key, names) in enumerate(groupby(packed.names, _key), 1):
        try:
            yield Row(number, _values(packed, number, key, list(names)), f"Sample {key}")
        except RowError as error:
            wrong(error)


def _add(tar: tarfile.TarFile, key: str, row: dict[str, Any]) -> None:
    about: dict[str, Any] = {}
    for column, value in row.items():
        found = value if isinstance(value, list) else [value]
        if found and all(isinstance(one, MediaFile) for one in found):
            for at, file in enumerate(found):
                _add_media(tar, key, f"{column}_{at}" if isinstance(value, list) else column, file)
            continue
        about[column] = value
        if column in TEXTS:
            _add_bytes(tar, f"{key}.{column}.txt", str(value).encode())
    _add_bytes(tar, f"{key}.json", json.dumps(about, ensure_ascii=False).encode())


def _add_media(tar: tarfile.TarFile, key: str, column: str, file: MediaFile) -> None:
    # trainers ask for jpg_0.jpg; what kind of picture it is they see from its bytes
    ending = "jpg" if column.startswith("jpg_") else Path(file.name).suffix[1:]
    entry = tarfile.TarInfo(f"{key}.{column}.{ending}")
    entry.size = file.path.stat().st_size
    with file.path.open("rb") as stream:
        tar.addfile(entry, stream)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _key(name: str) -> str:
    """All up to the first dot of the file's own name."""
    folder, slash, own = name.rpartition("/")
    return f"{folder}{slash}{own.split('.', 1)[0]}"


def _values(packed: Packed, number: int, key: str, names: list[str]) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for name in names:
        column, dot, ending = name[len(key) + 1 :].rpartition(".")
        if ending == "txt":
            texts[column or "txt"] = _text(packed, number, key, name)
        elif ending == "json" and not dot:
            about = _object(packed, number, key, name)
        else:
            texts[column or ending] = name
    return texts | {column: value for column, value in about.items() if value is not None}


def _object(packed: Packed, number: int, key: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(_text(packed, number, key, name))
    except (ValueError, RecursionError) as error:
        raise _wrong(number, key, f"{name} is not JSON ({error}).") from None
    if not isinstance(value, dict):
        raise _wrong(number, key, f"{name} is {kind_of(value)}; it must be an object in braces.")
    return value


def _text(packed: Packed, number: int, key: str, name: str) -> str:
    with packed.open(name) as stream:
        data = stream.read(MAX_ROW + 1)
    if len(data) > MAX_ROW:
        raise _wrong(number, key, f"{name} is longer than {MAX_ROW // 2**20} MiB.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(f"Sample {key}", number, data, error.start) from None


def _wrong(number: int, key: str, message: str) -> RowError:
    return RowError(message, place=f"Sample {key}", number=number)
