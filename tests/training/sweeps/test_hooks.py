"""What a sweep's training run gets to see."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.records import read_parquet
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


def test_where_prompts_are_few_all_see_all(sweep_of: Any) -> None:
    sweep_of(split_held_out=False)
    runner.advance()
    part = TrialRun.objects.tuning().started().get()
    assert len(rows_of(part)["test"]) == 8
    assert "samples" not in training_runner.prepare(part.job.run)
