"""Starting, finding and stopping an engine's process on this machine.

The process is a session of its own, so it outlives the worker that started it. It is known by pid
*and* start time: a pid alone may have been given to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from steelyard.lib.rundir import RunDir, write_atomically

# An engine knows only its folder: what would let it reach the database or sign as us stays behind.
_SECRETS = ("DATABASE_URL", "CELERY_BROKER_URL", "STEELYARD_SECRET_KEY", "DJANGO_SETTINGS_MODULE")


@dataclass(frozen=True)
class Process:
    pid: int
    started: float
    """Seconds since the epoch, as the kernel tells it."""

    def is_alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send to the whole group, which the process leads."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def launch(engine: str, rundir: RunDir, env: dict[str, str] | None = None) -> Process:
    """Start ``python -m ENGINE RUN_DIR`` on its own; what it prints goes to ``process.log``."""
    environment = {k: v for k, v in os.environ.items() if k not in _SECRETS}
    environment |= {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", **(env or {})}
    with rundir.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", engine, str(rundir.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=rundir.path,
            env=environment,
            start_new_session=True,
        )
    process = Process(child.pid, psutil.Process(child.pid).create_time())
    write_atomically(_pid_file(rundir), f"{process.pid} {process.started}".encode())
    return process


def find(rundir: RunDir) -> Process | None:
    """The process that was last started for this folder, alive or not."""
    try:
        pid, started = _pid_file(rundir).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return Process(int(pid), float(started))


def reap() -> None:
    """Collect children that have ended, so that none stays a zombie."""
    with contextlib.suppress(ChildProcessError):
        for child in psutil.Process().children():
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def _pid_file(rundir: RunDir) -> Path:
    return rundir.path / "pid"
