"""Runs of a kind of the tests' own, whose engine is a real process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from steelyard.runs import launchers, supervisor
from steelyard.runs.models import Run
from steelyard.runs.services import start_run

COUNTING = Path(__file__).parent / "counting"


@pytest.fixture
def counting(project: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ask for a run that counts; keyword arguments tell its engine how to behave."""
    monkeypatch.syspath_prepend(str(COUNTING))
    monkeypatch.setenv("PYTHONPATH", str(COUNTING))
    settings.RUN_KINDS = {**settings.RUN_KINDS, "counting": "counting_runner"}
    made: list[Run] = []

    def ask(**spec: Any) -> Run:
        made.append(start_run(project=project, kind="counting", title="Count", spec=spec, by=None))
        return made[-1]

    yield ask
    for run in made:
        process = launchers.find(run.dir)
        if process is not None:
            process.signal(signal.SIGKILL)


@pytest.fixture
def until() -> Callable[..., None]:
    """Reconcile until something is so."""

    def wait(condition: Callable[[], Any], timeout: float = 180, watch: bool = True) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it never came about"
            if watch:
                supervisor.reconcile()
            time.sleep(0.05)

    return wait


@pytest.fixture
def bystander() -> Iterator[int]:
    """The pid of somebody's process that has nothing to do with any run."""
    process = psutil.Popen(["sleep", "120"], start_new_session=True)
    yield process.pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
