"""Which GPUs runs get; the devices are only numbers here, no GPU is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from steelyard.runs import gpus, supervisor

pytestmark = pytest.mark.django_db(transaction=True)


def seen(run: Any) -> str | None:
    told = json.loads((run.dir.path / "environment.json").read_text())
    return told.get("CUDA_VISIBLE_DEVICES")


def states(*runs: Any) -> list[str]:
    for run in runs:
        run.refresh_from_db()
    return [run.state for run in runs]


@pytest.fixture(autouse=True)
def three(settings: Any) -> None:
    settings.GPUS = [0, 1, 2]
    settings.MAX_RUNS_AT_ONCE = 10


def test_runs_wait_until_as_many_are_free_and_see_only_theirs(counting: Any, settle: Any) -> None:
    two, one, large = (counting(gpus=n, steps=30, pause=0.05) for n in (2, 1, 3))
    small, none = counting(gpus=1, steps=1), counting(steps=1)
    supervisor.reconcile()
    # the small one does not pass the large one, which waits for longest
    assert states(two, one, large, small, none) == [
        *["running", "running"],
        *["queued", "queued"],
        "running",
    ]
    assert (two.devices, one.devices, large.devices) == ([0, 1], [2], [])
    assert gpus.free_devices() == []
    assert large.status_text == "Waits for 3 GPUs"
    assert [settle(run).state for run in (two, one, large, small, none)] == ["succeeded"] * 5
    assert seen(two) == "0,1"
    assert seen(one) == "2"
    assert seen(large) == "0,1,2"
    assert seen(none) is None
    assert large.started_at <= small.started_at
    assert gpus.free_devices() == [0, 1, 2]


def test_more_than_there_are_is_refused_with_what_to_do(counting: Any, settle: Any) -> None:
    run = settle(counting(gpus=4))
    assert (run.state, run.error_code, run.attempt) == ("failed", "too_few_gpus", 0)
    assert "Set processes to 3 or fewer" in run.error


def test_without_gpus_nothing_waits(counting: Any, settle: Any, settings: Any) -> None:
    settings.GPUS = []
    run = settle(counting(gpus=2, steps=1))
    assert (run.state, run.devices, seen(run)) == ("succeeded", [], None)


def test_what_is_there_is_found_where_no_setting_says(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GPUS = None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert gpus.all_devices() == [2, 3]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.all_devices() == []


@pytest.mark.parametrize("wrong", ["0,zero", "1,1"])
def test_a_wrong_setting_is_loud(wrong: str) -> None:
    code = f"import os; os.environ['STEELYARD_GPUS'] = {wrong!r}; import steelyard.settings"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "STEELYARD_GPUS" in ended.stderr
