"""The way into every engine: one process a folder, signs of life, and errors told apart by fault.

An engine's ``__main__`` is ``run(work)``; ``work(rundir, stop)`` does the work and writes the
result. Exit codes: 0 a result was written, 1 a crash (start again), 75 stopped by SIGTERM before
the end (start again to go on).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from steelyard.lib.errors import UserError
from steelyard.lib.resources import Meter
from steelyard.lib.rundir import RunDir

BEAT_SECONDS = 10
EXIT_AGAIN = 75


class Stop:
    """Whether the work should come to an end: SIGTERM came, or somebody cancelled."""

    def __init__(self, rundir: RunDir) -> None:
        self.rundir = rundir
        self.terminated = False

    def __bool__(self) -> bool:
        return self.terminated or self.rundir.cancelled()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.terminated = True


def run(work: Callable[[RunDir, Stop], None], argv: list[str] | None = None) -> None:
    """Do the work of one run directory and exit.

    Args:
        work: checks ``stop`` between steps; when it is true it saves a checkpoint and returns
            without a result.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or not (Path(arguments[0]) / "run.json").exists():
        sys.exit("usage: python -m <engine> RUN_DIR   (a folder with run.json)")
    rundir = RunDir(Path(arguments[0]).resolve())
    stop = Stop(rundir)
    signal.signal(signal.SIGTERM, stop._on_signal)
    with (rundir.path / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another process works on this run directory")
        _sign(lock)
        sys.exit(_guarded(work, rundir, stop))


def _sign(lock: IO[str]) -> None:
    """Who holds the lock: pid and start time. Whoever started us may have died before it could
    write that down."""
    lock.truncate(0)
    lock.write(f"{os.getpid()} {psutil.Process().create_time()}")
    lock.flush()


def _guarded(work: Callable[[RunDir, Stop], None], rundir: RunDir, stop: Stop) -> int:
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(rundir, ended), daemon=True)
    beat.start()
    try:
        work(rundir, stop)
    except UserError as error:
        rundir.event(error.message, "error")
        rundir.finish(status="failed", code=error.code, message=error.message)
    finally:
        ended.set()
    if rundir.result() is not None:
        return 0
    if rundir.cancelled():
        rundir.finish(status="cancelled")
        return 0
    if stop.terminated:
        rundir.event("stopped before the end; it goes on from here when it is started again")
        rundir.stopped.touch()
    return EXIT_AGAIN


def _beat(rundir: RunDir, ended: threading.Event) -> None:
    meter = Meter()
    while not ended.wait(BEAT_SECONDS):
        rundir.beat()
        # a disk that is full, or a process that is gone, is no reason to stop beating
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            rundir.resources(**meter.read())
