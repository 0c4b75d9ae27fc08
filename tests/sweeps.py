"""A sweep as it stands in the database when it is done, without having run."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from steelyard.lib.hashing import stable_uniform
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.runs.models import Run
from training.engine.sweep_study import winners
from training.models import TrainingJob
from training.sweeps.models import Sweep, Trial, TrialRun

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-3, "log": True},
    "loss_type": {"type": "str", "choices": ["sigmoid", "ipo"]},
}
TWO = [
    {"measure": "test_reward_accuracy", "direction": "maximize"},
    {"measure": "kl", "direction": "minimize"},
]


def make_sweep(
    version: DatasetVersion,
    base: ModelVersion,
    *,
    name: str = "Rates and losses",
    objectives: list[dict[str, str]] | None = None,
    trials: int = 12,
    state: str = "done",
    **overrides: Any,
) -> Sweep:
    """Every third trial from the fifth has failed; winners are tested where the state is done."""
    sweep = Sweep.objects.create(
        project=version.project,
        name=name,
        version=version,
        base=base,
        recipe="dpo",
        fixed={"max_steps": 100, "batch_size": 4, "drop_too_long": True},
        space=SPACE,
        objectives=objectives or TWO,
        tuning_seeds=[1, 2, 3],
        test_seeds=[1001, 1002, 1003, 1004, 1005],
        trials_wanted=trials if state == "done" else 2 * trials,
        model_name="tuned",
        state=state,
        importances=[{"learning_rate": 0.83, "loss_type": 0.17}] if state == "done" else [],
        **{"why_ended": f"All {trials} trials are done." if state == "done" else "", **overrides},
    )
    for number in range(trials):
        _trial(sweep, number)
    done = list(sweep.trials.complete())
    if state == "done":
        for place in winners([t.values for t in done], sweep.directions, 2):
            sweep.trials.filter(pk=done[place].pk).update(is_winner=True)
        for trial in sweep.trials.complete():
            if trial.is_winner or trial.number == 0:
                for seed in sweep.test_seeds:
                    _part(sweep, trial, "test", seed)
    return sweep


def _trial(sweep: Sweep, number: int) -> None:
    rate = 5e-5 if number == 0 else 10 ** (-6 + 3 * stable_uniform("rate", number))
    loss = "ipo" if stable_uniform("loss", number) > 0.6 else "sigmoid"
    failed = number > 4 and number % 3 == 0
    trial = Trial.objects.create(
        sweep=sweep,
        number=number,
        params={"learning_rate": rate, "loss_type": loss},
        state="failed" if failed else "complete",
        error="loss became nan at step 31. Lower learning_rate." if failed else "",
    )
    parts = [_part(sweep, trial, "tuning", seed, failed=failed) for seed in sweep.tuning_seeds]
    if not failed:
        means = [sum(p.measured[name] for p in parts) / len(parts) for name in sweep.measures]
        trial.values = means
        trial.save()


def _part(sweep: Sweep, trial: Trial, purpose: str, seed: int, *, failed: bool = False) -> TrialRun:
    now = timezone.now()
    state = "failed" if failed else "succeeded"
    config = {**sweep.fixed, **trial.params, "seed": seed}
    run = Run.objects.create(
        project=sweep.project, kind="train", title=f"Train tuned {trial.number}", state=state
    )
    Run.objects.filter(pk=run.pk).update(started_at=run.created_at, finished_at=now)
    job = TrainingJob.objects.create(
        project=sweep.project,
        run=run,
        version=sweep.version,
        base=sweep.base,
        recipe=sweep.recipe,
        config=config,
        model_name=f"tuned-{trial.number}-{purpose}-{seed}",
    )
    return TrialRun.objects.create(
        trial=trial,
        purpose=purpose,
        seed=seed,
        job=job,
        state="failed" if failed else "done",
        measured={} if failed else _measured(trial.params, seed),
        hours=0.21,
    )


def _measured(params: dict[str, Any], seed: int) -> dict[str, float]:
    """Accuracy rises with the rate and so does the drift; seeds differ a little."""
    noise = stable_uniform("noise", params["learning_rate"], seed) - 0.5
    gain = (params["learning_rate"] / 1e-3) ** 0.3
    return {
        "test_reward_accuracy": 0.55 + 0.35 * gain * (1 - 0.4 * gain) + 0.04 * noise,
        "kl": 0.4 * gain**2 * (1 + 0.2 * noise),
        "hours": 0.21 + 0.01 * noise,
    }
