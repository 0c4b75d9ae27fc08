"""Starting, finding and stopping an engine: a process on this machine, or a job on a Ray cluster.

The process is a session of its own, so it outlives the worker that started it. It is known by pid
*and* start time: a pid alone may have been given to somebody else. Where a run's config asks for
more ``processes`` it is a torchrun with as many engines below it; for the ``launcher`` ray, see
:mod:`steelyard.runs.ray_launcher`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from steelyard.lib.rundir import RunDir, write_atomically

# An engine knows only its folder: what would let it reach the database or sign as us stays behind.
_SECRETS = ("DATABASE_URL", "CELERY_BROKER_URL", "STEELYARD_SECRET_KEY", "DJANGO_SETTINGS_MODULE")
_children: list[subprocess.Popen[bytes]] = []
_TORCHRUN = "torch.distributed.run"
SAVE_SECONDS = 240
"""How long engines below a torchrun that is stopped have for their checkpoint."""


class Unreachable(Exception):
    """What runs elsewhere cannot be asked now; nothing is known of the run."""


class Job(Protocol):
    """What works on a run directory, wherever."""

    @property
    def pid(self) -> int | None: ...
    @property
    def started(self) -> float: ...
    def is_alive(self) -> bool: ...
    def signal(self, number: signal.Signals) -> None: ...


@dataclass(frozen=True)
class Process:
    pid: int
    started: float
    """Seconds since the epoch, as the kernel tells it."""
    folder: Path
    """The run directory that it works on."""

    def is_alive(self) -> bool:
        """Whether this very process runs; a zombie does not.

        The kernel's start times move when the clock is set, so one that is at work on our folder
        is ours as well.
        """
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            same = abs(process.create_time() - self.started) < 1.0
            return same or process.cmdline()[-1:] == [str(self.folder)]
        except psutil.Error:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send to the whole group, which the process leads, and to what it started.

        The engines below a torchrun have sessions of their own. To end them in peace is for
        themselves: a torchrun that is told so twice leaves them to be killed before they have
        saved.
        """
        if not self.is_alive():
            return
        below, by_torchrun = self._below()
        if by_torchrun and number == signal.SIGTERM and below:
            reached = [child.pid for child in below if _parent_of(child) == self.pid]
        else:
            reached = [self.pid, *(child.pid for child in below)]
        for pid in reached:
            # of those below only what leads a group is reached so: the rest dies with its group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)

    def _below(self) -> tuple[list[psutil.Process], bool]:
        try:
            process = psutil.Process(self.pid)
            return process.children(recursive=True), _TORCHRUN in process.cmdline()
        except psutil.Error:
            return [], False


def _parent_of(process: psutil.Process) -> int | None:
    """None where it has ended meanwhile."""
    with contextlib.suppress(psutil.Error):
        return process.ppid()
    return None


def launch(
    engine: str, rundir: RunDir, env: dict[str, str] | None = None, *, at_work: int = 1
) -> Job:
    """Start ``python -m ENGINE RUN_DIR`` on its own; what it prints goes to ``process.log``.

    Args:
        at_work: how many runs share the machine's cores, this one included.

    Raises:
        UserError: the run asks for Ray, and there is none.
        Unreachable: Ray does not answer now.
    """
    config = rundir.spec().get("config") or {}
    processes = max(1, config.get("processes", 0))
    rundir.stopped.unlink(missing_ok=True)
    if config.get("launcher") == "ray":
        from steelyard.runs import ray_launcher

        on_gpu = config.get("device") != "cpu"
        return ray_launcher.launch(engine, rundir, env or {}, workers=processes, on_gpu=on_gpu)
    environment = {**_inherited(), **_threads(at_work * processes), **(env or {})}
    arguments = [*_several(processes), "-m", engine, str(rundir.path)]
    process = _spawn(arguments, rundir, environment)
    write_atomically(rundir.path / "pid", f"{process.pid} {process.started}".encode())
    return process


def _spawn(arguments: list[str], rundir: RunDir, environment: dict[str, str]) -> Process:
    """Start Python with these arguments, as a session of its own."""
    with rundir.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=rundir.path,
            env=environment,
            start_new_session=True,
        )
    _children.append(child)
    return Process(child.pid, psutil.Process(child.pid).create_time(), rundir.path)


def _several(processes: int) -> list[str]:
    """torchrun with so many engines, whose rendezvous is on a free port of this machine."""
    if processes == 1:
        return []
    options = {"--nproc-per-node": processes, "--shutdown-timeout": SAVE_SECONDS}
    words = [str(word) for pair in options.items() for word in pair]
    return ["-m", _TORCHRUN, "--standalone", *words]


def find(rundir: RunDir) -> Job | None:
    """What is at work on this folder, or last was; None before the first.

    A launcher that dies between starting a process and writing its pid leaves one that only the
    lock file names, so that file is asked first.
    """
    if (rundir.path / "ray").exists():
        from steelyard.runs import ray_launcher

        return ray_launcher.find(rundir)
    known = [_read(rundir, name) for name in ("lock", "pid")]
    found = [process for process in known if process is not None]
    return next((p for p in found if p.is_alive()), found[-1] if found else None)


def reap() -> None:
    """Collect the children that have ended, so that none stays a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]


def _read(rundir: RunDir, name: str) -> Process | None:
    try:
        pid, started = (rundir.path / name).read_text().split()
        return Process(int(pid), float(started), rundir.path)
    except (FileNotFoundError, ValueError):
        return None


def _inherited() -> dict[str, str]:
    hidden = {*_SECRETS, *(f"{name}_FILE" for name in _SECRETS)}
    ours = {key: value for key, value in os.environ.items() if key not in hidden}
    return {**ours, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}


def _threads(at_work: int) -> dict[str, str]:
    """A fair share of the cores, unless the operator said otherwise: two runs that each take all
    of them are several times slower than two that share."""
    count = max(1, _cores() // max(1, at_work))
    fair = {"OMP_NUM_THREADS": str(count), "OMP_WAIT_POLICY": "PASSIVE"}
    return {name: os.environ.get(name, value) for name, value in fair.items()}


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
