"""A file of JSON lines that one process adds to and may be killed at any moment of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


class Journal:
    """Lines are whole once :meth:`add` has returned; a half-written last one is cut off on opening.

    Whoever reads along never sees a line change: only bytes after the last line break go.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        self._stream: BinaryIO = path.open("ab")

    def add(self, line: dict[str, Any]) -> None:
        """Append one object and hand it to the operating system."""
        self._stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._stream.flush()

    def lines(self) -> Iterator[dict[str, Any]]:
        """What has been written so far, by this process and those before it."""
        with self.path.open("rb") as stream:
            for line in stream:
                yield json.loads(line)

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as stream:
        whole = 0
        for line in stream:
            if line.endswith(b"\n"):
                whole += len(line)
        stream.truncate(whole)
