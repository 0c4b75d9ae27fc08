"""The way into every engine: one process a folder, signs of life, and errors told apart by fault.

An engine's ``__main__`` is ``run(work)``; ``work(rundir, stop)`` does the work and writes the
result. Exit codes: 0 a result was written, 1 a crash (start again), 75 stopped by SIGTERM before
the end (start again to go on; 0 where several processes work together, since torchrun takes
anything else for a crash).

Where torchrun starts an engine several times (``RANK``), the first process does what one alone
does; the others only look at the folder, and all end with the torchrun that started them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from steelyard.lib.errors import UserError
from steelyard.lib.resources import Meter
from steelyard.lib.rundir import Onlooker, RunDir
from steelyard.lib.said import WORDS, Said

BEAT_SECONDS = 10
EXIT_AGAIN = 75
LEADER_SECONDS = 5
"""How long another process waits for the first one to tell an error that both met."""
_DIES_WITH_PARENT = 1


class Stop:
    """Whether the work should come to an end: SIGTERM came, or somebody said so in the folder."""

    def __init__(self, rundir: RunDir) -> None:
        self.rundir = rundir
        self._terminated = False

    @property
    def terminated(self) -> bool:
        """To go on later, by SIGTERM or, from another host, by the mark ``stop``."""
        return self._terminated or (self.rundir.path / "stop").exists()

    def __bool__(self) -> bool:
        return self.terminated or self.rundir.cancelled()

    def terminate(self) -> None:
        """Say that the work should stop, to go on later."""
        self._terminated = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.terminate()


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
    _tie_to_launcher()
    # in a Ray worker this is no main thread, and Ray minds the signals
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop._on_signal)
    if os.environ.get("RANK", "0") != "0":
        sys.exit(_follow(work, Onlooker(rundir.path), stop))
    with (rundir.path / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another process works on this run directory")
        _sign(lock)
        sys.exit(_guarded(work, rundir, stop))


def _sign(lock: IO[str]) -> None:
    """Who is at work: pid and start time, of torchrun where that started us. Whoever started us
    may have died before it could write that down."""
    process = psutil.Process(os.getppid() if _by_torchrun() else os.getpid())
    lock.truncate(0)
    lock.write(f"{process.pid} {process.create_time()}")
    lock.flush()


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _tie_to_launcher() -> None:
    """torchrun gives each process a session of its own, which a kill of its group does not reach:
    the kernel is asked to end us with it."""
    if not _by_torchrun() or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    with contextlib.suppress(psutil.Error):
        if "torch.distributed.run" not in psutil.Process(os.getppid()).cmdline():
            sys.exit("torchrun is gone already")


def _follow(work: Callable[[RunDir, Stop], None], rundir: Onlooker, stop: Stop) -> int:
    """The part of a process that is not the first."""
    try:
        work(rundir, stop)
    except UserError as error:
        # the first one mostly meets the same and tells it; it cannot where it waits for us
        time.sleep(LEADER_SECONDS)
        if rundir.result() is not None:
            return 0
        RunDir(rundir.path).event(error.message, "error")
        RunDir(rundir.path).finish(status="failed", code=error.code, message=error.message)
        return 1
    return 0


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
        rundir.event(Said(WORDS, "stopped"))
        rundir.stopped.touch()
    return EXIT_AGAIN if os.environ.get("WORLD_SIZE", "1") == "1" else 0


def _beat(rundir: RunDir, ended: threading.Event) -> None:
    meter = Meter()
    while not ended.wait(BEAT_SECONDS):
        rundir.beat()
        # a disk that is full, or a process that is gone, is no reason to stop beating
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            rundir.resources(**meter.read())
