"""How a sweep goes on. :func:`advance` may be called by anybody at any time: each step is one short
transaction under the sweep's row lock, and what is not finished now is seen at the next call."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from statistics import fmean
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from steelyard.lib.errors import UserError
from steelyard.registry.services import free_name
from steelyard.runs.models import MetricPoint, Run, RunState
from steelyard.runs.services import cancel_run
from training.engine.config import MOST_STEPS
from training.engine.sweep_space import default_point
from training.engine.sweep_study import (
    ENOUGH_TO_WEIGH,
    Told,
    is_behind,
    propose,
    rungs,
    winners,
)
from training.services import start_training
from training.sweeps.measures import read_measures
from training.sweeps.models import (
    ENDED,
    Keep,
    Purpose,
    Sampler,
    Sweep,
    SweepState,
    Trial,
    TrialRun,
    TrialRunState,
    TrialState,
)

logger = logging.getLogger(__name__)

HOPELESS = 3
"""So many trials at the beginning, all failed, end a sweep: something else is wrong."""
ASK_SECONDS = 300
_PASSED_ON = ("PATH", "HOME", "LANG", "PYTHONPATH", "OMP_NUM_THREADS")


def advance() -> None:
    """One pass over the active sweeps: read what has ended, start what there is room for."""
    for pk in Sweep.objects.active().values_list("pk", flat=True):
        try:
            while step(pk):
                pass
        except (OperationalError, InterfaceError):
            # the database's trouble is no sweep's fault: the next pass tries again
            logger.exception("sweep %s: the database did not answer", pk)
        except Exception:
            logger.exception("sweep %s: our fault", pk)
            Sweep.objects.active().filter(pk=pk).update(
                state=SweepState.FAILED,
                why_ended="Something in Steelyard broke; the server's log has the details.",
                finished_at=timezone.now(),
            )


@transaction.atomic
def step(pk: int) -> bool:
    """Do the one next thing of a sweep; False where there is none now, or another is at work."""
    rows = Sweep.objects.active().select_for_update(skip_locked=True, of=("self",))
    sweep = rows.select_related("project", "version__dataset", "base").filter(pk=pk).first()
    if sweep is None:
        return False
    return any(do(sweep) for do in (_read_one, _prune_one, _tell_one, _next_phase, _begin_one))


def hours_of(run: Run) -> float:
    """Wall time of a run, so far where it goes on."""
    if run.started_at is None:
        return 0.0
    passed = (run.finished_at or timezone.now()) - run.started_at
    return max(0.0, passed.total_seconds() / 3600)


def hours_spent(sweep: Sweep) -> float:
    runs = Run.objects.filter(training_job__trial_run__trial__sweep=sweep)
    runs = runs.only("started_at", "finished_at")
    return sum(hours_of(run) for run in runs)


def _read_one(sweep: Sweep) -> bool:
    """Take over what a run that has ended measured."""
    parts = TrialRun.objects.started().filter(trial__sweep=sweep).select_related("job__run")
    pairs = [(part, part.job.run) for part in parts if part.job is not None]
    ended, run = next((pair for pair in pairs if pair[1].state in ENDED), (None, None))
    if ended is None or run is None:
        return False
    ended.hours = hours_of(run)
    try:
        if run.state != RunState.SUCCEEDED:
            raise UserError(run.error or f"The run was {run.state}.")
        ended.measured = read_measures(sweep.measures, run.result or {}, ended.hours)
        ended.state = TrialRunState.DONE
        ended.save()
    except UserError as error:
        _failed(ended, error.message)
    return True


def _failed(part: TrialRun, message: str) -> None:
    """A run that came to nothing; while tuning, the trial's other seeds need not begin."""
    part.state, part.error = TrialRunState.FAILED, message
    part.save()
    if part.purpose == Purpose.TUNING:
        part.trial.runs.waiting().tuning().delete()


def _prune_one(sweep: Sweep) -> bool:
    """Stop a trial that is behind two thirds of those that have been as far as it is."""
    if not sweep.prune or sweep.state != SweepState.TUNING:
        return False
    at_rungs = _values_at_rungs(sweep)
    # the usual settings are measured to the end: what is searched is measured by them
    for trial in sweep.trials.running().exclude(number=0):
        rung = max((step for step, by in at_rungs.items() if trial.pk in by), default=0)
        there = dict(at_rungs.get(rung, {}))
        value = there.pop(trial.pk, None)
        if value is not None and is_behind(value, list(there.values()), sweep.directions[0]):
            _stop_early(sweep, trial, rung, value)
            return True
    return False


def _values_at_rungs(sweep: Sweep) -> dict[int, dict[int, float]]:
    """For each step at which trials are compared: by trial, the mean over its seeds so far."""
    points = MetricPoint.objects.filter(
        run__training_job__trial_run__trial__sweep=sweep,
        run__training_job__trial_run__purpose=Purpose.TUNING,
        name=sweep.measures[0],
        step__in=rungs(sweep.fixed["eval_every"], MOST_STEPS),
    )
    found: dict[int, dict[int, list[float]]] = {}
    trial = "run__training_job__trial_run__trial"
    for step, pk, value in points.values_list("step", trial, "value"):
        if value is not None:
            found.setdefault(step, {}).setdefault(pk, []).append(value)
    return {step: {pk: fmean(v) for pk, v in by.items()} for step, by in found.items()}


def _stop_early(sweep: Sweep, trial: Trial, rung: int, value: float) -> None:
    for part in trial.runs.started().select_related("job__run"):
        if part.job is not None:
            part.hours = hours_of(part.job.run)
            if part.job.run.state not in ENDED:
                cancel_run(run=part.job.run, by=sweep.created_by)
        part.state = TrialRunState.STOPPED
        part.save()
    trial.runs.waiting().delete()
    trial.state, trial.reached = TrialState.PRUNED, [rung, value]
    trial.error = f"At step {rung} with {value:.4g} behind two thirds of the trials."
    trial.told_at = timezone.now()
    trial.save()


def _tell_one(sweep: Sweep) -> bool:
    """Close a trial whose tuning runs have all ended."""
    for trial in sweep.trials.running():
        parts = list(trial.runs.tuning())
        if any(part.state in (TrialRunState.WAITING, TrialRunState.STARTED) for part in parts):
            continue
        errors = [part.error for part in parts if part.state == TrialRunState.FAILED]
        if errors:
            trial.state, trial.error = TrialState.FAILED, errors[0]
        else:
            trial.state = TrialState.COMPLETE
            trial.values = [fmean(p.measured[name] for p in parts) for name in sweep.measures]
        trial.told_at = timezone.now()
        trial.save()
        return True
    return False


def _next_phase(sweep: Sweep) -> bool:
    """From tuning to testing, from testing to the end."""
    if sweep.state == SweepState.TESTING:
        parts = TrialRun.objects.testing().filter(trial__sweep=sweep)
        if parts.waiting().exists() or parts.started().exists():
            return False
        if not parts.filter(state=TrialRunState.DONE).exists():
            return _end(sweep, SweepState.FAILED, "No test run came to an end.")
        return _end(sweep, SweepState.DONE)
    if sweep.trials.running().exists():
        return False
    states = list(sweep.trials.values_list("state", flat=True))
    if len(states) >= HOPELESS and set(states) == {TrialState.FAILED}:
        return _end(sweep, SweepState.FAILED, "No trial came to an end; see why the runs failed.")
    if not sweep.why_ended:
        sweep.why_ended = _why_no_more(sweep, len(states))
    return bool(sweep.why_ended) and _begin_tests(sweep)


def _why_no_more(sweep: Sweep, asked: int) -> str:
    """Why no trial is asked for any more; empty while there is budget."""
    if asked >= sweep.trials_wanted:
        return f"All {asked} trials are done."
    if sweep.hours_wanted is not None and hours_spent(sweep) >= sweep.hours_wanted:
        return f"{sweep.hours_wanted:g} hours are spent, after {asked} trials."
    return ""


def _begin_tests(sweep: Sweep) -> bool:
    """Choose the winners by their tuning figures; from here on only test seeds are trained."""
    done = list(sweep.trials.complete())
    if not done:
        return _end(sweep, SweepState.FAILED, "No trial came to an end; see why the runs failed.")
    values = [trial.values or [] for trial in done]
    most = sweep.winners_wanted if len(sweep.objectives) > 1 else 1
    won = {done[place].pk for place in winners(values, sweep.directions, most)}
    sweep.trials.filter(pk__in=won).update(is_winner=True)
    for trial in done:
        if trial.pk in won or (sweep.with_usual and trial.number == 0):
            _plan_runs(sweep, trial, Purpose.TEST, won=trial.pk in won)
    sweep.importances = _weights(sweep)
    sweep.state = SweepState.TESTING
    sweep.save(update_fields=["importances", "state", "why_ended"])
    return True


def _end(sweep: Sweep, state: SweepState, why: str = "") -> bool:
    sweep.state, sweep.finished_at = state, timezone.now()
    sweep.why_ended = why or sweep.why_ended
    sweep.save(update_fields=["state", "finished_at", "why_ended"])
    return True


def _begin_one(sweep: Sweep) -> bool:
    """Start the run that is next, or ask for a trial where no run waits for its turn."""
    parts = TrialRun.objects.filter(trial__sweep=sweep)
    if sweep.paused or parts.started().count() >= sweep.at_once:
        return False
    part = parts.waiting().select_related("trial").first()
    if part is not None:
        _start(sweep, part)
        return True
    if sweep.state != SweepState.TUNING or sweep.why_ended:
        return False
    why = _why_no_more(sweep, sweep.trials.count())
    params = None if why else _next_params(sweep)
    if params is None:
        sweep.why_ended = why or "Every combination of settings has been tried."
        sweep.save(update_fields=["why_ended"])
        return True
    trial = Trial.objects.create(sweep=sweep, number=sweep.trials.count(), params=params)
    _plan_runs(sweep, trial, Purpose.TUNING, won=False)
    return True


def _plan_runs(sweep: Sweep, trial: Trial, purpose: Purpose, *, won: bool) -> None:
    """A row for each seed. Of a winner's models the first test seed's is kept, named before anyone
    has seen its figures."""
    seeds = sweep.tuning_seeds if purpose == Purpose.TUNING else sweep.test_seeds
    for seed in seeds:
        kept = {
            Keep.WINNERS: won and seed == seeds[0],
            Keep.TESTS: won,
            Keep.ALL: True,
        }
        TrialRun.objects.create(
            trial=trial, purpose=purpose, seed=seed, keeps_model=kept[Keep(sweep.keep)]
        )


def _start(sweep: Sweep, part: TrialRun) -> None:
    try:
        part.job = start_training(
            project=sweep.project,
            version=sweep.version,
            base=sweep.base,
            recipe=sweep.recipe,
            config={**sweep.fixed, **part.trial.params, "seed": part.seed},
            model_name=_model_name(sweep, part),
            by=sweep.created_by,
        )
    except UserError as error:
        _failed(part, error.message)
        return
    part.state = TrialRunState.STARTED
    part.save()


def _model_name(sweep: Sweep, part: TrialRun) -> str:
    """The winner's model has the name that was asked for; all others tell where they come from."""
    trial, seeds = part.trial, sweep.test_seeds
    alone = sweep.trials.filter(is_winner=True).count() == 1
    first = part.purpose == Purpose.TEST and part.seed == seeds[0] and trial.is_winner
    if first:
        name = sweep.model_name if alone else f"{sweep.model_name}-t{trial.number}"
    else:
        name = f"{sweep.model_name}-{sweep.pk}-t{trial.number}-{part.purpose}-s{part.seed}"
    return free_name(project=sweep.project, name=name)


def _next_params(sweep: Sweep) -> dict[str, Any] | None:
    """The usual settings first; then what the sampler makes of all trials so far."""
    told = _told(sweep)
    if not told:
        return default_point(sweep.recipe, sweep.fixed, sweep.space)
    question = {
        "space": sweep.space,
        "directions": sweep.directions,
        "sampler": sweep.sampler,
        "seed": sweep.seed,
        "budget": sweep.trials_wanted,
    }
    if sweep.sampler == Sampler.GP:
        return _elsewhere({"ask": "propose", **question, "told": [t._asdict() for t in told]})
    return propose(**question, told=told)


def _weights(sweep: Sweep) -> list[dict[str, float]]:
    """For each objective how much a setting matters; none where there are too few trials."""
    told = [one._asdict() for one in _told(sweep)]
    if sweep.trials.complete().count() < ENOUGH_TO_WEIGH or len(sweep.space) < 2:
        return []
    question = {"ask": "importances", "space": sweep.space, "objectives": len(sweep.objectives)}
    return _elsewhere({**question, "told": told})


def _told(sweep: Sweep) -> list[Told]:
    return [Told(t.params, t.state, t.values, t.reached) for t in sweep.trials.order_by("number")]


def _elsewhere(question: dict[str, Any]) -> Any:
    """Answered by a process of its own: torch and scikit-learn would stay in this one for good."""
    answer = subprocess.run(
        [sys.executable, "-m", "training.engine.sweep_study"],
        input=json.dumps(question),
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        capture_output=True,
        text=True,
        timeout=ASK_SECONDS,
        check=True,
    )
    return json.loads(answer.stdout)
