"""What a sweep's training run gets to see."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from tests.factories import make_model, make_project
from training import runner as training_runner
from training.sweeps import runner
from training.sweeps.models import Trial, TrialRun

pytestmark = pytest.mark.django_db


def rows_of(part: TrialRun) -> dict[str, set[str]]:
    run = part.job.run
    spec = training_runner.prepare(run)
    again = training_runner.prepare(run)
    assert spec == again
    records = read_parquet([run.dir.path / name for name in spec["dataset"]["files"]])
    return {
        split: {record.prompt_key for record in records if record.split == split}
        for split in ("train", "test")
    }


def test_tuning_and_test_runs_see_different_held_out_prompts(sweep_of: Any) -> None:
    sweep = sweep_of(objectives=[{"measure": "kl"}])
    before = sweep.version.parquet.read_bytes()
    runner.advance()
    tuned = TrialRun.objects.tuning().started().get()
    trial = Trial.objects.get()
    test = TrialRun.objects.create(trial=trial, purpose="test", seed=11)
    runner._start(sweep, test)
    one, other = rows_of(tuned), rows_of(test)
    assert one["train"] == other["train"]
    assert len(one["train"]) == 32
    assert (len(one["test"]), len(other["test"])) == (4, 4)
    assert not one["test"] & other["test"]
    assert sweep.version.parquet.read_bytes() == before
    assert training_runner.prepare(tuned.job.run)["samples"]["seed"] == tuned.seed


def test_a_win_rate_is_measured_by_the_judge_that_was_named(sweep_of: Any, project: Any) -> None:
    judge = make_model(
        project,
        "strict",
        family="endpoint",
        source="http://127.0.0.1:9/v1",
        options={"model": "m", "api_key": "key-1"},
    )
    aim = {"objectives": [{"measure": "win_rate"}], "criteria": " Be brief. "}
    other = make_model(make_project(), "elsewhere", family="causal_lm")
    with pytest.raises(UserError, match="needs a judge"):
        sweep_of(**aim, judge=other)
    sweep = sweep_of(**aim, judge=judge)
    runner.advance()
    run = TrialRun.objects.get(trial__sweep=sweep, state="started").job.run
    asked = training_runner.prepare(run)["samples"]["judge"]
    assert (asked["criteria"], asked["model"]["name"]) == ("Be brief.", "strict")
    # its key goes to the process alone
    assert "key-1" not in str(asked)
    assert training_runner.environment(run) == {asked["model"]["api_key_env"]: "key-1"}


def test_where_prompts_are_few_all_see_all(sweep_of: Any) -> None:
    sweep_of(split_held_out=False)
    runner.advance()
    part = TrialRun.objects.tuning().started().get()
    assert len(rows_of(part)["test"]) == 8
    assert "samples" not in training_runner.prepare(part.job.run)
