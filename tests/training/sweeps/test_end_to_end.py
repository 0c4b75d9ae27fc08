"""A sweep with the real engine: from its form's figures to the winner's model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from steelyard.registry.models import ModelVersion
from steelyard.runs import supervisor
from training.sweeps import runner
from training.sweeps.figures import final_figures
from training.sweeps.models import TrialRun

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_a_sweep_ends_with_one_model_and_figures_of_test_seeds_alone(
    sweep_of: Any, short: dict[str, Any]
) -> None:
    sweep = sweep_of(
        settings={**short, "max_steps": 2},
        objectives=[{"measure": "test_reward_accuracy"}, {"measure": "kl"}],
        trials=2,
        at_once=2,
        winners=1,
        with_usual=False,
    )
    end = time.monotonic() + 600
    while sweep.is_active:
        runner.advance()
        supervisor.reconcile()
        sweep.refresh_from_db()
        assert time.monotonic() < end, [
            (part.state, part.job and part.job.run.log_tail()) for part in TrialRun.objects.all()
        ]
        time.sleep(0.1)
    assert sweep.state == "done", [part.error for part in TrialRun.objects.all()]
    model = ModelVersion.objects.exclude(pk=sweep.base_id).get()
    assert model.name == "tuned"
    assert Path(model.adapter).is_dir()
    assert model.made_by == TrialRun.objects.get(keeps_model=True).job.run
    parts = TrialRun.objects.filter(trial__sweep=sweep)
    assert parts.count() == 2 * 2 + 2
    assert all(part.measured["kl"] >= 0 for part in parts)
    assert not any(part.job.run.dir.model.exists() for part in parts.select_related("job__run"))
    (figures,) = final_figures(sweep)
    tested = [part.measured["kl"] for part in parts.testing()]
    assert figures.measures[1].mean == pytest.approx(sum(tested) / 2)
    assert figures.model == model
