"""One run in several processes on this machine: torchrun and the engines below it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from steelyard.runs import launchers
from steelyard.runs.services import cancel_run

pytestmark = pytest.mark.django_db(transaction=True)
TWO = {"config": {"processes": 2}, "pause": 0.05}


def working_on(folder: Path) -> list[psutil.Process]:
    """Every process that names the folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if str(folder) in (process.info["cmdline"] or []) and process.info["status"] != "zombie":
            found.append(process)
    return found


def at_work(run: Any) -> bool:
    """torchrun and two engines, past starting up."""
    done = (run.dir.read_progress() or {}).get("done", 0)
    return len(working_on(run.dir.path)) == 3 and done >= 2


def test_the_first_process_alone_writes_and_the_run_succeeds(counting: Any, settle: Any) -> None:
    run = settle(counting(steps=6, **TWO))
    assert (run.state, run.attempt) == ("succeeded", 1), run.error
    assert run.points.filter(name="loss").count() == 6
    lines = (run.dir.path / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 6
    assert working_on(run.dir.path) == []


def test_a_kill_of_torchrun_leaves_no_engine_behind(counting: Any, until: Any) -> None:
    run = counting(steps=10_000, **TWO)
    until(lambda: at_work(run))
    process = launchers.find(run.dir)
    assert process is not None
    assert "torch.distributed.run" in psutil.Process(process.pid).cmdline()
    # not by us, who know what is below it
    os.killpg(process.pid, signal.SIGKILL)
    until(lambda: not working_on(run.dir.path), watch=False)


def test_cancelling_ends_all_of_them_in_peace(
    counting: Any, settle: Any, until: Any, owner: Any
) -> None:
    run = counting(steps=10_000, **TWO)
    until(lambda: at_work(run))
    cancel_run(run=run, by=owner)
    run = settle(run)
    assert run.state == "cancelled"
    assert run.dir.result() == {"status": "cancelled"}
    assert working_on(run.dir.path) == []


def test_stopped_with_the_server_they_go_on_later(counting: Any, settle: Any, until: Any) -> None:
    run = counting(steps=60, hold_at=5, **TWO)
    until(lambda: at_work(run))
    process = launchers.find(run.dir)
    assert process is not None
    for _ in range(2):
        process.signal(signal.SIGTERM)
    until(lambda: not working_on(run.dir.path), watch=False)
    assert run.dir.stopped.exists()
    (run.dir.path / "go-on").touch()
    run = settle(run)
    assert (run.state, run.fruitless, run.attempt) == ("succeeded", 0, 2), run.error
