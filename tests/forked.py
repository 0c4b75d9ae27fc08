"""Engine processes that start at once: forked from one that has loaded the libraries already.

They are processes of their own, with signals, exit codes, a session and a log; only the seconds in
which ``python -m training.engine`` loads torch and transformers are spared. For each engine at
least one test starts that command itself, by ``cold=True`` or, through a run, by the mark
``cold_start``.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HEAVY = {
    "annotation.engine",
    "annotation.engine.scoring",
    "annotation.engine.tuning",
    "evaluation.engine",
    "steelyard.demo.engine",
    "training.engine",
    "training.engine.preflight",
    "training.engine.trying",
}
"""The engines that load torch."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.loaded"])


class Forked:
    """What tests ask of a :class:`subprocess.Popen`."""

    def __init__(self, work: Callable[[], None], log: Path) -> None:
        """Start a process; it waits for :meth:`go`."""
        self._go, waiting = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_begin, args=(waiting, work, log), daemon=True)
        self.process.start()
        waiting.close()
        self._go.recv()

    def go(self) -> Forked:
        self._go.send(None)
        self._go.close()
        return self

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float = 300) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked engine", timeout)
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _begin(waiting: Connection, work: Callable[[], None], log: Path) -> None:
    os.setsid()
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    # it dies with the tests, and may have children all the same
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    waiting.send(None)
    waiting.recv()
    waiting.close()
    work()


class Command:
    """``python -m ENGINE FOLDER`` in an environment."""

    def __init__(self, engine: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.engine, self.folder, self.environment = engine, folder, dict(environment)

    def __call__(self) -> None:
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.folder)
        sys.argv = [self.engine, str(self.folder)]
        runpy.run_module(self.engine, run_name="__main__", alter_sys=True)


def start(engine: str, folder: Path, log: Path, environment: Mapping[str, str]) -> Forked:
    """Start an engine on a run's folder."""
    return Forked(Command(engine, folder, environment), log).go()


def launch_forked(real: Any) -> Any:
    """For :func:`steelyard.runs.launchers._spawn`: an engine that loads torch is forked, any other
    command is started as it always is."""
    import psutil

    from steelyard.runs.launchers import Process

    def spawn(arguments: list[str], rundir: Any, environment: dict[str, str]) -> Process:
        if len(arguments) != 3 or arguments[1] not in HEAVY:
            return real(arguments, rundir, environment)
        child = Forked(Command(arguments[1], rundir.path, environment), rundir.log)
        process = Process(child.pid, psutil.Process(child.pid).create_time(), rundir.path)
        child.go()
        return process

    return spawn
