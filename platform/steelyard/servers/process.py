"""What both embedded servers need: one starter at a time, and waiting for an answer."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class ServerError(Exception):
    """A server could not be started; the message says what to do."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock: of several processes that start a server, one does and the rest wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Ask every 50 ms; False when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.05)
    return ready()


def make_socket_dir(folder: Path) -> None:
    """A folder that only its owner may write to; others may pass through to a socket.

    Raises:
        ServerError: somebody else owns a folder of that name.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if folder.stat().st_uid not in {os.geteuid(), 0} and os.geteuid() != 0:
        raise ServerError(f"{folder} belongs to another user; remove it or set TMPDIR.")
