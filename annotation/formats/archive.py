"""A ZIP archive with one JSON Lines file and the media that it names.

Nothing is unpacked to a path: a name only finds an entry, so no entry can reach outside. What an
entry unpacks to is counted while it is read, whatever the archive says of its size.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO

from steelyard.lib.errors import UserError

MAX_LINES_BYTES = 64 * 2**20
MAX_FILES = 50_000
MAX_UNPACKED = 8 * 2**30
_MAX_INDEX = 64 * 2**20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


def is_archive(head: bytes) -> bool:
    """Whether a file that begins like that is a ZIP archive."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


class Archive:
    """What an archive holds, by name.

    Args:
        stream: seekable; stays open as long as the archive is read.

    Raises:
        UserError: it is damaged, holds too much, or not exactly one JSON Lines file.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.left = MAX_UNPACKED
        check_index(stream)
        try:
            self._zip = zipfile.ZipFile(stream)
        except (*_BROKEN, ValueError, struct.error):
            raise _wrong("This ZIP archive is cut off or damaged; pack it again.") from None
        entries = [entry for entry in self._zip.infolist() if _counts(entry.filename)]
        if len(entries) > MAX_FILES:
            raise _wrong(f"The archive has more than {MAX_FILES:,} files; bring it in in parts.")
        self._entries = {_plain(entry.filename): entry for entry in entries}
        if len(self._entries) < len(entries):
            raise _wrong("The archive has two files of the same name; pack it again.")
        self._lines = self._the_lines()

    def lines(self) -> bytes:
        """The JSON Lines file."""
        with self.open(self._lines) as stream:
            data = stream.read(MAX_LINES_BYTES + 1)
        if len(data) > MAX_LINES_BYTES:
            raise _wrong(f"{self._lines} is larger than {MAX_LINES_BYTES // 2**20} MiB.")
        return data

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def open(self, name: str) -> Unpacked:
        """An entry's bytes, unpacked as they are read; the name may be one beside the lines."""
        entry = self._find(name)
        if entry is None:
            raise _wrong(f"The archive has no file “{name[:200]}”.")
        try:
            return Unpacked(self, name, self._zip.open(entry))
        except _BROKEN as error:
            raise _unreadable(name, error) from None

    def _find(self, name: str) -> zipfile.ZipInfo | None:
        beside = PurePosixPath(getattr(self, "_lines", "")).parent / _plain(name)
        return self._entries.get(_plain(name)) or self._entries.get(str(beside))

    def _the_lines(self) -> str:
        found = [name for name in self._entries if name.lower().endswith((".jsonl", ".ndjson"))]
        if len(found) != 1:
            said = f"has {len(found)}: {', '.join(sorted(found)[:3])}" if found else "has none"
            raise _wrong(f"The archive must hold one file of lines (.jsonl); it {said}.")
        return found[0]


class Unpacked:
    """A file in an archive, to be read once from its start."""

    def __init__(self, archive: Archive, name: str, stream: IO[bytes]) -> None:
        self._archive, self._name, self._stream = archive, name, stream

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except _BROKEN as error:
            raise _unreadable(self._name, error) from None
        self._archive.left -= len(data)
        if self._archive.left < 0:
            raise _wrong(
                f"The archive unpacks to more than {MAX_UNPACKED // 2**30} GiB; bring it in in "
                "parts.",
                code="too_large",
            )
        return data


def check_index(stream: IO[bytes]) -> None:
    """Refuse an index that would fill the memory, before it is read."""
    size = stream.seek(0, 2)
    tail_at = max(0, size - 65_557)
    stream.seek(tail_at)
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise _wrong("This ZIP archive is cut off or damaged; pack it again.")
    (index,) = struct.unpack_from("<I", tail, at + 12)
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        (index,) = struct.unpack_from("<Q", tail, at - 36)
    stream.seek(0)
    if index > _MAX_INDEX:
        raise _wrong(f"The archive has more than {MAX_FILES:,} files; bring it in in parts.")


def _counts(name: str) -> bool:
    """Folders and what a Mac packs besides are passed over."""
    return not name.endswith("/") and not name.startswith("__MACOSX/")


def _plain(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _unreadable(name: str, error: Exception) -> UserError:
    if isinstance(error, RuntimeError) and "password" in str(error):
        return _wrong(f"{name} is encrypted; pack the archive without a password.")
    return _wrong(f"{name} cannot be unpacked ({error}); pack the archive again, as plain ZIP.")


def _wrong(message: str, *, code: str = "bad_archive") -> UserError:
    return UserError(message, code=code, field="file")
