"""Rows beside the media that they name: a folder, or a ZIP archive of one.

::

    pairs.jsonl   media/<sha256>.png   media/<sha256>.mp4

As a ``datasets`` folder the rows are ``metadata.jsonl``, and a column that names files is called
``<column>_file_name``: ``load_dataset(folder)`` then gives pictures and clips under ``<column>``.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from annotation.formats import write_files
from annotation.formats.base import MediaFile
from annotation.formats.containers import FOLDER_FILES
from annotation.formats.write_files import beside

_CHUNK = 2**20
Aside = Callable[[], dict[str, bytes]]


def write_folder(
    rows: Iterable[dict[str, Any]],
    folder: Path,
    file: str,
    *,
    aside: Aside | None = None,
    schema: pa.Schema | None = None,
) -> int:
    """Write rows as ``file``, which its ending says the kind of, and their media beside it.

    Args:
        file: ``metadata.jsonl`` for a folder that ``datasets.load_dataset`` reads with media.
        aside: called after the rows, for small files that go along.

    Returns:
        How many rows there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _write(rows, _Folder(folder), folder / file, aside, schema)


def write_zip(
    rows: Iterable[dict[str, Any]],
    path: Path,
    file: str,
    *,
    aside: Aside | None = None,
    schema: pa.Schema | None = None,
) -> int:
    """:func:`write_folder` in a ZIP archive; the same rows always become the same bytes."""
    with (
        zipfile.ZipFile(path, "w") as packed,
        tempfile.TemporaryDirectory(dir=path.parent) as spool,
    ):
        sink = _Zip(packed)
        written = Path(spool) / file
        count = _write(rows, sink, written, aside, schema)
        sink.add_file(file, written, pack=True)
    return count


class _Sink(ABC):
    def __init__(self) -> None:
        self._there: set[str] = set()

    def add_media(self, file: MediaFile) -> None:
        """Once, however many rows name it."""
        if file.name not in self._there:
            self._there.add(file.name)
            self.add_file(beside(file), file.path, pack=False)

    @abstractmethod
    def add_file(self, name: str, path: Path, *, pack: bool) -> None: ...

    @abstractmethod
    def add_bytes(self, name: str, data: bytes) -> None: ...


class _Folder(_Sink):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def add_file(self, name: str, path: Path, *, pack: bool) -> None:
        to = self._folder / name
        to.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, to)

    def add_bytes(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)


class _Zip(_Sink):
    def __init__(self, packed: zipfile.ZipFile) -> None:
        super().__init__()
        self._zip = packed

    def add_file(self, name: str, path: Path, *, pack: bool) -> None:
        entry = _entry(name, pack=pack)
        entry.file_size = path.stat().st_size
        with path.open("rb") as source, self._zip.open(entry, "w") as to:
            shutil.copyfileobj(source, to, _CHUNK)

    def add_bytes(self, name: str, data: bytes) -> None:
        self._zip.writestr(_entry(name, pack=True), data)


def _entry(name: str, *, pack: bool) -> zipfile.ZipInfo:
    # a fixed time, so that the same rows are the same bytes; media are packed already
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED if pack else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    return entry


def _write(
    rows: Iterable[dict[str, Any]],
    sink: _Sink,
    path: Path,
    aside: Aside | None,
    schema: pa.Schema | None,
) -> int:
    container = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if container != "parquet":
        rows = _with_media(rows, sink, renamed=path.name in FOLDER_FILES)
    count = write_files.write(rows, path, container, schema=schema)
    for name, data in (aside() if aside else {}).items():
        sink.add_bytes(name, data)
    return count


def _with_media(
    rows: Iterable[dict[str, Any]], sink: _Sink, *, renamed: bool
) -> Iterator[dict[str, Any]]:
    for row in rows:
        for file in _files(row):
            sink.add_media(file)
        yield {_folder_name(k, v): v for k, v in row.items()} if renamed else row


def _files(value: Any) -> Iterator[MediaFile]:
    if isinstance(value, MediaFile):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _files(item)
    elif isinstance(value, list):
        for item in value:
            yield from _files(item)


def _folder_name(column: str, value: Any) -> str:
    if isinstance(value, MediaFile):
        return f"{column}_file_name"
    if isinstance(value, list) and any(isinstance(item, MediaFile) for item in value):
        return f"{column}_file_names"
    return column
