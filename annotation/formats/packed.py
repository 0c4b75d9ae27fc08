"""ZIP and TAR archives with rows and the media that they name.

Nothing is unpacked to a path that an archive names: a name only finds an entry. What entries unpack
to is counted while it is read, whatever the archive says of its size.
"""

from __future__ import annotations

import gzip
import posixpath
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from annotation.formats.row_files import ROW_FILES
from steelyard.lib.errors import UserError

MAX_FILES = 50_000
MAX_UNPACKED = 8 * 2**30
_MAX_INDEX = 64 * 2**20
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    struct.error,
)
_CHUNK = 2**20


Source = Path | IO[bytes]
"""A file, or one that is open and can be read from any place."""


def is_packed(source: Source, head: bytes) -> bool:
    """Whether a file that begins like that is a ZIP or TAR archive, perhaps in gzip."""
    if _is_zip(head) or head[257:262] == b"ustar":
        return True
    if not head.startswith(b"\x1f\x8b"):
        return False
    try:
        with _opened(source) as packed, gzip.GzipFile(fileobj=packed) as stream:
            return stream.read(262)[257:262] == b"ustar"
    except (OSError, EOFError, zlib.error):
        return False


@contextmanager
def open_packed(source: Source) -> Iterator[Packed]:
    """The archive, open as long as the block.

    Raises:
        UserError: it is damaged, holds too much, or an entry's name leads out of it.
    """
    with _opened(source) as stream, tempfile.TemporaryFile() as plain:
        head = stream.read(512)
        stream.seek(0)
        if _is_zip(head):
            _check_index(stream)
            yield Zip(stream)
            return
        if head.startswith(b"\x1f\x8b"):
            _unpack(gzip.GzipFile(fileobj=stream), plain)
            yield Tar(plain)
            return
        yield Tar(stream)


@contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    """The file from its start; one that was open stays open, at its start again."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield stream
        return
    source.seek(0)
    try:
        yield source
    finally:
        source.seek(0)


class Packed(ABC):
    """What an archive holds, by name."""

    def __init__(self, names: list[str]) -> None:
        self.left = MAX_UNPACKED
        if len(names) > MAX_FILES:
            raise _wrong(f"The archive has more than {MAX_FILES:,} files; bring it in in parts.")
        self.names = [name for name in names if not name.startswith("__MACOSX/")]
        for name in self.names:
            _check_name(name)
        if len(set(self.names)) < len(self.names):
            raise _wrong("The archive has two files of the same name; pack it again.")
        self._known = set(self.names)
        self._folders = ["", *sorted({_folder(name) for name in self.names if _has_rows(name)})]
        top = {PurePosixPath(name).parts[0] for name in self.names if name}
        if len(top) == 1:
            self._folders += top

    def found(self, name: str) -> str:
        """The entry that a row calls so: by its whole name, by that seen from where the rows
        lie, or by that within the one folder that everything lies in.

        Raises:
            UserError: there is none.
        """
        entry = self._find(name)
        if entry is None:
            raise _wrong(f"The archive has no file “{name[:200]}”.")
        return entry

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def _find(self, name: str) -> str | None:
        plain = _plain(name)
        seen = (posixpath.normpath(posixpath.join(folder, plain)) for folder in self._folders)
        return next((each for each in seen if each in self._known), None)

    @contextmanager
    def open(self, name: str) -> Iterator[Counted]:
        """An entry's bytes, unpacked as they are read, to be read once from the start."""
        entry = self.found(name)
        try:
            stream = self._open(entry)
        except _BROKEN as error:
            raise _unreadable(entry, error) from None
        with stream:
            yield Counted(self, entry, stream)

    @contextmanager
    def spooled(self, name: str) -> Iterator[Path]:
        """An entry as a file of its own, for readers that go to and fro in it."""
        with tempfile.NamedTemporaryFile(prefix="steelyard-") as file, self.open(name) as stream:
            shutil.copyfileobj(stream, file, _CHUNK)
            file.flush()
            yield Path(file.name)

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes that an entry says it unpacks to; for progress alone, since it may lie."""

    @abstractmethod
    def _open(self, entry: str) -> IO[bytes]: ...


class Zip(Packed):
    def __init__(self, stream: IO[bytes]) -> None:
        try:
            self._zip = zipfile.ZipFile(stream)
        except (*_BROKEN, ValueError):
            raise _wrong("This ZIP archive is cut off or damaged; pack it again.") from None
        entries = [entry for entry in self._zip.infolist() if not entry.is_dir()]
        self._entries = {_plain(entry.filename): entry for entry in entries}
        super().__init__([_plain(entry.filename) for entry in entries])

    def size(self, name: str) -> int:
        return self._entries[name].file_size

    def _open(self, entry: str) -> IO[bytes]:
        return self._zip.open(self._entries[entry])


class Tar(Packed):
    def __init__(self, stream: IO[bytes]) -> None:
        stream.seek(0)
        names = []
        self._entries: dict[str, tarfile.TarInfo] = {}
        try:
            self._tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115
            for entry in self._tar:
                # links and devices are none of the files that rows may name
                if entry.isfile():
                    names.append(_plain(entry.name))
                    self._entries[names[-1]] = entry
                if len(names) > MAX_FILES:
                    break
        except _BROKEN:
            raise _wrong("This TAR archive is cut off or damaged; pack it again.") from None
        super().__init__(names)

    def size(self, name: str) -> int:
        return self._entries[name].size

    def _open(self, entry: str) -> IO[bytes]:
        stream = self._tar.extractfile(self._entries[entry])
        assert stream is not None
        return stream


class Counted:
    """A file in an archive; what comes out of it is counted against the archive's share."""

    def __init__(self, packed: Packed, name: str, stream: IO[bytes]) -> None:
        self._packed, self._name, self._stream = packed, name, stream
        self._read = 0

    def tell(self) -> int:
        return self._read

    def read(self, size: int = -1) -> bytes:
        return self._count(self._stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._count(self._stream.readline, size)

    def _count(self, call: Callable[[int], bytes], size: int) -> bytes:
        try:
            data = call(size)
        except _BROKEN as error:
            raise _unreadable(self._name, error) from None
        self._read += len(data)
        self._packed.left -= len(data)
        if self._packed.left < 0:
            raise too_large()
        return data


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _check_index(stream: IO[bytes]) -> None:
    """Refuse an index of a ZIP archive that would fill the memory, before it is read."""
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


def _unpack(stream: gzip.GzipFile, into: IO[bytes]) -> None:
    left = MAX_UNPACKED
    while True:
        try:
            data = stream.read(_CHUNK)
        except _BROKEN:
            raise _wrong("This archive is cut off or damaged; pack it again.") from None
        if not data:
            return
        left -= len(data)
        if left < 0:
            raise too_large()
        into.write(data)


def _check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or (len(name) > 1 and name[1] == ":"):
        raise _wrong(
            f"The archive has an entry “{name[:200]}” that leads out of it; pack it again."
        )


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _has_rows(name: str) -> bool:
    return name.lower().endswith(tuple(ending for endings in ROW_FILES for ending in endings))


def _plain(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _unreadable(name: str, error: Exception) -> UserError:
    if isinstance(error, RuntimeError) and "password" in str(error):
        return _wrong(f"{name} is encrypted; pack the archive without a password.")
    return _wrong(f"{name} cannot be unpacked ({error}); pack the archive again, as plain ZIP.")


def too_large() -> UserError:
    return _wrong(
        f"The file unpacks to more than {MAX_UNPACKED // 2**30} GiB; bring it in in parts.",
        code="too_large",
    )


def _wrong(message: str, *, code: str = "bad_archive") -> UserError:
    return UserError(message, code=code, field="file")
