"""What every managed server needs: one starter at a time, patience, and knowing whose a pid is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, Signals

import psutil


class ServerError(Exception):
    """A server could not be started or stopped; the message says what to do."""


@dataclass(frozen=True)
class Process:
    """A process known by pid *and* start time: a pid alone may have passed to somebody else."""

    pid: int
    started: float
    """Seconds since the epoch, as the kernel tells it."""

    @classmethod
    def of(cls, pid: int) -> Process:
        """Raises psutil.NoSuchProcess where nobody has that pid."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, text: str) -> Process | None:
        """From ``<pid> <start time>``; None where it says something else."""
        try:
            pid, started = text.split()
            return cls(int(pid), float(started))
        except ValueError:
            return None

    def is_alive(self) -> bool:
        """Whether this very process runs. A zombie does not: it only waits for its parent."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False

    def signal(self, number: Signals) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    def signal_group(self, number: Signals) -> None:
        """To the process and those it started, where it leads a group; to none where it is gone."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def serving(pid: int, program: str, folder: Path) -> Process | None:
    """The process of that pid, if it really is this program at work in this folder.

    What a pid file says proves nothing: after a reboot its number may be anybody's.
    """
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        if alive and process.name() == program and Path(process.cwd()) == folder.resolve():
            return Process(pid, process.create_time())
    return None


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


def end(process: Process, gently: Signals, seconds: float) -> None:
    """Ask a process to end, and insist with SIGKILL when the time is over."""
    process.signal(gently)
    if not wait_until(lambda: not process.is_alive(), seconds):
        process.signal(SIGKILL)
        wait_until(lambda: not process.is_alive(), 5)


def make_data_dir(folder: Path) -> None:
    """The data folder. Where we make it, others may pass through (PostgreSQL serves as another
    user where we are root) but not look around; one that exists keeps its mode."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def make_socket_dir(folder: Path) -> None:
    """A folder that only its owner may write to; others may pass through to a socket.

    Raises:
        ServerError: somebody else made it, who could then serve in our place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ServerError(
            f"{folder} belongs to user {owner(folder)}, and sockets there could be theirs. "
            f"Start as that user, or remove the folder."
        )
    folder.chmod(0o711)


def owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


def tail(log: Path, limit: int = 1500) -> str:
    """The end of a log, indented, for a message."""
    if not log.exists():
        return "  (it wrote nothing)"
    lines = log.read_bytes()[-limit:].decode(errors="replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in lines[-12:]) or "  (it wrote nothing)"
