from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from steelyard.runs.models import Run
from training.sweeps import runner
from training.sweeps.models import Sweep, TrialRun
from training.sweeps.services import start_sweep

RATE = {"learning_rate": {"low": 1e-6, "high": 1e-3, "log": True}}


@pytest.fixture
def sweep_of(project: Any, make_version: Any, base: Any, owner: Any) -> Callable[..., Sweep]:
    """A small sweep of one setting; keyword arguments differ from the usual ones."""
    version = make_version(rows=40)

    def make(**changes: Any) -> Sweep:
        values: dict[str, Any] = {
            "project": project,
            "by": owner,
            "name": "Rates",
            "version": version,
            "base": base,
            "recipe": "dpo",
            "settings": {"max_steps": 2},
            "space": RATE,
            "objectives": [{"measure": "test_reward_accuracy"}],
            "trials": 3,
            "tuning_seeds": [1, 2],
            "test_seeds": [11, 12],
            "model_name": "tuned",
        }
        return start_sweep(**{**values, **changes})

    return make


def accuracy(params: dict[str, Any], seed: int) -> float:
    """Best at a rate of 1e-4, a little different with each seed."""
    return 1 - abs(params["learning_rate"] - 1e-4) * 100 + seed / 1000


@pytest.fixture
def end_run() -> Callable[..., None]:
    """Write into a run's row what the engine would have measured."""

    def end(run: Run, state: str = "succeeded", **metrics: float) -> None:
        part = TrialRun.objects.select_related("trial").get(job__run=run)
        usual = {"test_reward_accuracy": accuracy(part.trial.params, part.seed), "test_loss": 0.5}
        now = timezone.now()
        Run.objects.filter(pk=run.pk).update(
            state=state,
            started_at=run.created_at,
            finished_at=now,
            result={"status": state, "metrics": {**usual, **metrics}},
            error="" if state == "succeeded" else "The loss became nan.",
        )

    return end


@pytest.fixture
def carry_on(end_run: Any) -> Callable[..., Sweep]:
    """Advance a sweep, ending its runs as they begin, until it ends (or so many runs have)."""

    def drive(sweep: Sweep, runs: int = 1000, **metrics: float) -> Sweep:
        for _ in range(200):
            runner.advance()
            sweep.refresh_from_db()
            if not sweep.is_active:
                break
            for run in Run.objects.active().filter(training_job__trial_run__trial__sweep=sweep):
                if runs == 0:
                    return sweep
                end_run(run, **metrics)
                runs -= 1
        return sweep

    return drive
