"""How long a run will still take, by its recent pace alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from steelyard.lib import rundir as rundir_module
from steelyard.lib.rundir import RunDir, seconds_left


class Clock:
    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rundir_module, "time", clock)
    return clock


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "run")
    made.create({"kind": "train"})
    return made


def left(rundir: RunDir) -> float | None:
    return seconds_left(rundir.read_progress() or {})


def test_loading_and_encoding_do_not_count_as_pace(rundir: RunDir, clock: Clock) -> None:
    for done, total, unit, seconds in [
        *((0, 0, "steps", 300), (50, 90, "files", 200), (90, 90, "files", 100)),
        *((0, 100, "steps", 60), (0, 100, "steps", 2)),
    ]:
        rundir.progress(done, total, unit)
        clock.now += seconds
    assert left(rundir) is None
    for done in range(1, 6):
        rundir.progress(done, 100)
        clock.now += 2
    assert left(rundir) == pytest.approx(95 * 2)


def test_the_pace_of_the_last_minute_counts(rundir: RunDir, clock: Clock) -> None:
    for done in range(400):
        rundir.progress(done, 1000)
        clock.now += 10 if done < 100 else 0.5
    assert left(rundir) == pytest.approx(601 * 0.5, rel=0.1)
    assert len((rundir.read_progress() or {})["marks"]) < 50


def test_slow_steps_have_a_pace_too(rundir: RunDir, clock: Clock) -> None:
    for done in range(1, 9):
        rundir.progress(done, 10)
        clock.now += 600
    assert left(rundir) == pytest.approx(2 * 600)
    rundir.progress(10, 10)
    assert left(rundir) is None
