"""The files of a dataset version: rows in, Parquet files named by their hashes out."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steelyard.lib import records
from steelyard.lib.lines import buffer_of_lines
from steelyard.lib.records import parquet_writer

_HASHED_ROWS = 2048
"""Rows whose lines are made at once."""
_AHEAD = 2
"""Row groups that wait for a thread or are with one."""


class ShardWriter:
    """Writes rows to Parquet files of ``SHARD_ROWS`` rows, each named by its own SHA-256, and takes
    the hash of all their canonical lines while they pass.

    A file has its name when it is whole and on disk; what is half written is called ``.partial``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[dict[str, Any]] = []
        """Name, sha256, size and rows of each file that is whole."""
        self.media: set[str] = set()
        self._rows = hashlib.sha256()
        self._stream: _Hashed | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._in_shard = 0

    @property
    def rows(self) -> int:
        """How many are in files that are whole."""
        return sum(file["rows"] for file in self.files)

    @property
    def rows_sha256(self) -> str:
        return self._rows.hexdigest()

    def take_over(self, files: Iterable[dict[str, Any]]) -> None:
        """Go on behind files that an earlier process has written whole."""
        for file in files:
            with pq.ParquetFile(self.folder / file["name"]) as read:
                for number in range(read.num_row_groups):
                    self._pass(read.read_row_group(number))
            self.files.append(file)

    def add(self, rows: pa.Table) -> None:
        """A row group: ``GROUP_ROWS`` rows with the schema above, fewer only at the end."""
        self._pass(rows)
        self._write(rows)

    def add_all(self, groups: Iterable[pa.Table]) -> Iterator[int]:
        """Add row groups, and tell after each how many rows there are. One thread hashes them and
        another compresses them, for which the interpreter is hardly needed, while the caller's
        makes the next."""
        rows = self.rows + self._in_shard
        behind: deque[tuple[int, list[Future[None]]]] = deque()
        with ExitStack() as stack:
            threads = [
                stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=name))
                for name in ("lines", "shards")
            ]
            for group in chain(groups, [None] * _AHEAD):
                if len(behind) >= _AHEAD or (group is None and behind):
                    number, busy = behind.popleft()
                    for one in busy:
                        one.result()
                    rows += number
                    yield rows
                if group is not None:
                    steps = zip(threads, (self._pass, self._write), strict=True)
                    behind.append((len(group), [on.submit(step, group) for on, step in steps]))

    def close(self) -> None:
        """Name the last file; what was added is whole."""
        self._end_shard()

    def abandon(self) -> None:
        """Let go of the file that is half written."""
        if self._parquet is not None and self._stream is not None:
            self._parquet.close()
            self._stream.close()
            self._parquet = self._stream = None

    def _write(self, rows: pa.Table) -> None:
        if self._parquet is None:
            self._stream = _Hashed((self.folder / ".partial").open("wb"))
            self._parquet = parquet_writer(self._stream, rows.schema)
        self._parquet.write_table(rows)
        self._in_shard += len(rows)
        if self._in_shard >= records.SHARD_ROWS:
            self._end_shard()

    def _pass(self, rows: pa.Table) -> None:
        for start in range(0, len(rows), _HASHED_ROWS):
            self._rows.update(buffer_of_lines(rows.slice(start, _HASHED_ROWS)))
        for name in ("chosen_media", "rejected_media"):
            self.media.update(rows.column(name).unique().to_pylist())
        self.media.update(pc.list_flatten(rows.column("prompt_media")).unique().to_pylist())
        self.media.discard("")

    def _end_shard(self) -> None:
        if self._parquet is None or self._stream is None:
            return
        self._parquet.close()
        self._stream.keep()
        sha256 = self._stream.sha256.hexdigest()
        path = (self.folder / ".partial").rename(self.folder / f"{sha256}.parquet")
        size = path.stat().st_size
        self.files.append(
            {"name": path.name, "sha256": sha256, "size": size, "rows": self._in_shard}
        )
        self._stream = self._parquet = None
        self._in_shard = 0


class _Hashed:
    """A file to write that hashes what goes through it; the columns' writer never seeks."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    def flush(self) -> None:
        self._stream.flush()

    def keep(self) -> None:
        """Flushed to disk and closed."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.close()

    def close(self) -> None:
        self._stream.close()
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
