"""Which GPUs runs get; the devices are only numbers here, no GPU is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from annotation.services.judging import create_judge
from evaluation.models import Evaluation
from steelyard.runs import gpus, supervisor
from steelyard.runs.models import Run
from tests.factories import make_model

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


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("STEELYARD_GPUS", "0,zero"),
        ("STEELYARD_GPUS", "1,1"),
        ("STEELYARD_SCORERS", '{"own": "sh -c ls"}'),
    ],
)
def test_a_wrong_setting_is_loud(name: str, wrong: str) -> None:
    code = f"import os; os.environ[{name!r}] = {wrong!r}; import steelyard.settings"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert name in ended.stderr


def test_runs_that_load_models_ask_for_one_and_those_that_ask_endpoints_for_none(
    project: Any,
) -> None:
    here = make_model(project, "here", family="causal_lm", source="folder")
    at = {"family": "endpoint", "source": "http://127.0.0.1:9/v1", "options": {"api_key": "key-1"}}
    there, other = (make_model(project, name, **at) for name in ("there", "other"))

    held = {"prompt_set": {"source": "held_out"}, "ask_people": True}

    def asked(kind: str, **spec: Any) -> tuple[int, set[str]]:
        run = Run(project=project, kind=kind, spec=spec)
        handler = supervisor.handler_of(run)
        # the keys of endpoints go to the process that asks them
        return handler.gpus(run), set(handler.environment(run).values())

    def judge(model: Any) -> int:
        return create_judge(project=project, name=f"by {model}", model=model, criteria="Good?").pk

    def evaluation(candidate: Any) -> int:
        made = Evaluation.objects.create(project=project, baseline=there, **held)
        made.candidates.add(candidate)
        return made.pk

    assert asked("judge", judge=judge(there)) == (0, {"key-1"})
    assert asked("judge", judge=judge(here)) == (1, set())
    assert asked("generate", evaluation=evaluation(other)) == (0, {"key-1"})
    assert asked("generate", evaluation=evaluation(here)) == (1, {"key-1"})
    assert asked("try", model=here.pk, base=there.pk) == (1, {"key-1"})
    assert asked("try", model=there.pk, base=None) == (0, {"key-1"})
