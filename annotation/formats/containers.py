"""What rows lie in: JSON Lines, a JSON array, CSV or TSV, Parquet, each alone, packed with gzip, or
in a ZIP or TAR archive beside media, or as WebDataset shards. Rows come one after another, so that
memory stays bounded."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from annotation.formats import shards
from annotation.formats.packed import MAX_UNPACKED, Packed, is_packed, open_packed, too_large
from annotation.formats.row_files import ROW_FILES, count_parquet, read_parquet, read_text
from annotation.formats.rows import Row, RowError
from steelyard.lib.errors import UserError

OnError = Callable[[RowError], None]


class Place:
    """How far a reading is in its file; for whoever waits for it."""

    def __init__(self) -> None:
        self.rows = 0
        """How many there are, 0 where that is not known before they are read."""
        self.size = 0
        """Bytes of the files of rows, packed ones as they are packed."""
        self._before = 0
        self._tell: Callable[[], int] = int

    def reads(self, tell: Callable[[], int], before: int = 0) -> None:
        """From now on it is in a file of which that tells the place, behind so many bytes."""
        self._before, self._tell = before, tell

    def at(self) -> int:
        """Bytes read."""
        return min(self._before + self._tell(), self.size)


FOLDER_FILES = ("metadata.jsonl", "metadata.csv")
"""What ``datasets`` calls the rows of a folder of pictures or clips, in which a column that names
files ends with ``_file_name`` or ``_file_names``."""
_FILE_NAME = re.compile("_file_names?$")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


def rows(
    path: Path,
    name: str = "",
    *,
    after: int = 0,
    only: str = "",
    on_error: OnError | None = None,
    place: Place | None = None,
) -> Iterator[Row]:
    """The rows of a file, one after another.

    What the file is, is seen from its first bytes, and from its name only for CSV and TSV. Of an
    archive all files of rows are read in the order of their names, of the first kind there is of
    Parquet, JSON Lines, CSV and JSON; their rows are numbered through.

    Args:
        name: what its owner calls it; the path's own name where it is empty.
        after: rows up to this number are passed over, for a reading that goes on.
        only: of an archive read this file alone.
        on_error: takes the error of a row after which the next can be found; without it the first
            error ends the reading.
        place: is told where in the file the reading is.

    Raises:
        UserError: it is none of these, is cut off or damaged, or is empty.
        RowError: a row is no row; it is named.
    """
    name = name or path.name
    found = False

    def take(error: RowError) -> None:
        nonlocal found
        found = True
        (on_error or _raise)(error)

    place = place or Place()
    for row in _rows(path, name, after, only, take, place):
        found = True
        if row.number > after:
            yield row
    # the file is closed and has no place any more
    size = place.size
    place.reads(lambda: size)
    if not found and not after:
        raise UserError("The file is empty; it has no rows.", code="empty_file", field="file")


def first_row(path: Path, name: str = "", *, only: str = "") -> Row:
    """The first row, for guessing a format and mapping columns.

    Raises:
        UserError: as :func:`rows`.
    """
    stream = rows(path, name, only=only)
    try:
        return next(stream)
    finally:
        stream.close()  # type: ignore[attr-defined]


def _rows(
    path: Path, name: str, after: int, only: str, take: OnError, place: Place
) -> Iterator[Row]:
    with path.open("rb") as stream:
        head = stream.read(512)
    if is_packed(path, head):
        with open_packed(path) as packed:
            yield from _packed_rows(packed, only, take, place)
    elif head.startswith(_PARQUET):
        place.rows = count_parquet(path)
        yield from read_parquet(path, after=after, on_error=take)
    elif head.startswith(_GZIP):
        with path.open("rb") as stream, gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
            place.size = path.stat().st_size
            place.reads(stream.tell)
            yield from read_text(Whole(unpacked), name.removesuffix(".gz"), on_error=take)
    else:
        with path.open("rb") as stream:
            place.size = path.stat().st_size
            place.reads(stream.tell)
            yield from read_text(stream, name, on_error=take)


def _packed_rows(packed: Packed, only: str, take: OnError, place: Place) -> Iterator[Row]:
    """The rows of all files of rows, numbered through; their place names the file."""
    if not only and shards.is_shard(packed):
        place.rows = shards.count(packed)
        yield from shards.rows(packed, take)
        return
    before = 0
    files = [packed.found(only)] if only else files_of_rows(packed)
    place.size = sum(map(packed.size, files))
    passed = 0
    for file in files:
        last = before

        def named(error: RowError, before: int = before, file: str = file) -> RowError:
            nonlocal last
            last = before + error.number
            place = f"{error.place} of {file}"
            return RowError(error.reason, place=place, number=last, column=error.column)

        def taken(error: RowError, named: Callable[[RowError], RowError] = named) -> None:
            take(named(error))

        place.reads(int, passed)
        found = _file_rows(packed, file, taken, partial(place.reads, before=passed))
        passed += packed.size(file)
        while True:
            try:
                row = next(found, None)
            except RowError as error:
                # one that ended the file by itself does not say yet which file it was
                raise error if error.place.endswith(file) else named(error) from None
            if row is None:
                break
            last = before + row.number
            yield Row(last, _columns(file, row.values), f"{row.place} of {file}")
        before = last


def _columns(file: str, values: dict[str, Any]) -> dict[str, Any]:
    """The columns by the names that ``datasets`` gives those of a folder of pictures or clips."""
    if Path(file).name not in FOLDER_FILES:
        return values
    return {_FILE_NAME.sub("", column) or column: value for column, value in values.items()}


def _file_rows(
    packed: Packed, file: str, take: OnError, reads: Callable[[Callable[[], int]], None]
) -> Iterator[Row]:
    lower = file.lower()
    if lower.endswith(".parquet"):
        with packed.spooled(file) as path:
            yield from read_parquet(path, on_error=take)
        return
    with packed.open(file) as stream:
        reads(stream.tell)
        if lower.endswith(".gz"):
            unpacked = gzip.GzipFile(fileobj=cast(IO[bytes], stream), mode="rb")
            yield from read_text(Whole(unpacked), lower.removesuffix(".gz"), on_error=take)
        else:
            yield from read_text(stream, lower, on_error=take)


def files_of_rows(packed: Packed) -> list[str]:
    """The files of an archive that hold the rows.

    Raises:
        UserError: there is none.
    """
    for endings in ROW_FILES:
        found = sorted(
            name
            for name in packed.names
            if name.lower().endswith(endings) and Path(name).name not in _ABOUT
        )
        if found:
            return found
    raise UserError(
        "The archive must hold a file of rows (.jsonl, .json, .csv, .tsv or .parquet); it has "
        f"none: {', '.join(sorted(packed.names)[:3]) or 'it is empty'}.",
        code="bad_archive",
        field="file",
    )


_ABOUT = {
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "croissant.json",
    "export.json",
}
"""Files about the data, which hold no rows."""


class Whole:
    """A gzip stream of which a cut-off end is told apart from a real one, and which may unpack to
    so much and no more."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_UNPACKED

    def read(self, size: int = -1) -> bytes:
        return self._try(self._stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._try(self._stream.readline, size)

    def _try(self, call: Callable[[int], bytes], size: int) -> bytes:
        try:
            data = call(size)
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(
                f"The gzip file is cut off or damaged ({error}); pack it again.",
                code="bad_archive",
                field="file",
            ) from None
        self._left -= len(data)
        if self._left < 0:
            raise too_large()
        return data


def _raise(error: RowError) -> None:
    raise error
