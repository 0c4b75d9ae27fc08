"""Things that a process has found out lately and need not find out again at once."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """A bounded table whose entries are forgotten after some seconds. In the memory of one
    process: nothing may depend on an entry being there, or being the same elsewhere.

    Threads may share it: each of its steps is one operation of a dict.
    """

    def __init__(self, seconds: float, most: int = 10_000) -> None:
        self.seconds = seconds
        self.most = most
        self._entries: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable) -> T | None:
        until, value = self._entries.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def put(self, key: Hashable, value: T) -> T:
        if len(self._entries) >= self.most:
            self._entries.clear()
        self._entries[key] = (time.monotonic() + self.seconds, value)
        return value
