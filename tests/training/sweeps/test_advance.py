"""How a sweep goes on: tuning seeds, winners, test seeds; whatever is killed when."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.services import cancel_run
from training.models import TrainingJob
from training.sweeps import runner
from training.sweeps.models import Sweep, Trial, TrialRun
from training.sweeps.services import cancel_sweep, pause_sweep

pytestmark = pytest.mark.django_db


def params_of(sweep: Sweep) -> list[dict[str, Any]]:
    return [trial.params for trial in sweep.trials.order_by("number")]


def test_it_works(sweep_of: Any, carry_on: Any) -> None:
    sweep = carry_on(sweep_of())
    assert (sweep.state, sweep.why_ended) == ("done", "All 3 trials are done.")
    trials = list(sweep.trials.all())
    assert [trial.state for trial in trials] == ["complete"] * 3
    assert trials[0].params == {"learning_rate": 5e-5}
    best = max(trials, key=lambda trial: trial.values[0])
    assert [trial for trial in trials if trial.is_winner] == [best]
    parts = TrialRun.objects.filter(trial__sweep=sweep)
    assert {part.seed for part in parts.tuning()} == {1, 2}
    assert {part.seed for part in parts.testing()} == {11, 12}
    tested = {part.trial for part in parts.testing()}
    assert tested == {best, trials[0]}
    seeds = {part.job.config["seed"] for part in parts.select_related("job")}
    assert seeds == {1, 2, 11, 12}


def test_only_one_model_of_the_winner_is_kept_and_named_before_its_figures_are_seen(
    sweep_of: Any, carry_on: Any
) -> None:
    sweep = carry_on(sweep_of())
    kept = TrialRun.objects.get(trial__sweep=sweep, keeps_model=True)
    assert (kept.purpose, kept.seed, kept.trial.is_winner) == ("test", 11, True)
    assert kept.job.model_name == "tuned"


def test_a_pass_may_die_anywhere_and_the_sweep_goes_the_same_way(
    sweep_of: Any, carry_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = params_of(carry_on(sweep_of(trials=4)))
    sweep = sweep_of(trials=4, name="Killed", model_name="other")
    real, calls = runner._plan_runs, iter(range(1000))

    def dies_at_times(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        if next(calls) % 3 == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_plan_runs", dies_at_times)
    for _ in range(20):
        try:
            carry_on(sweep, runs=1)
        except KeyboardInterrupt:
            assert all(trial.runs.count() for trial in sweep.trials.all())
    sweep.refresh_from_db()
    assert sweep.state == "done"
    assert params_of(sweep) == whole


def test_no_more_runs_at_once_than_allowed(sweep_of: Any) -> None:
    sweep = sweep_of(at_once=3)
    for _ in range(3):
        runner.advance()
    assert Run.objects.active().count() == 3
    assert Trial.objects.filter(sweep=sweep).count() == 2


def test_a_seed_that_fails_fails_its_trial_and_spares_the_other_seeds(
    sweep_of: Any, end_run: Any, carry_on: Any
) -> None:
    sweep = sweep_of()
    runner.advance()
    end_run(Run.objects.active().get(), state="failed")
    sweep = carry_on(sweep)
    first = sweep.trials.get(number=0)
    assert (first.state, first.error, first.values) == ("failed", "The loss became nan.", None)
    assert first.runs.count() == 1
    assert sweep.state == "done"
    assert not first.is_winner


def test_a_sweep_whose_first_trials_all_fail_ends_with_the_reason(
    sweep_of: Any, carry_on: Any
) -> None:
    sweep = carry_on(sweep_of(trials=9), state="failed")
    assert sweep.state == "failed"
    assert sweep.trials.count() == 3
    assert "see why the runs failed" in sweep.why_ended


def test_a_run_that_measured_nothing_says_so(sweep_of: Any, end_run: Any, carry_on: Any) -> None:
    sweep = sweep_of()
    runner.advance()
    run = Run.objects.active().get()
    end_run(run)
    Run.objects.filter(pk=run.pk).update(result={"status": "succeeded", "metrics": {}})
    runner.advance()
    assert "test_reward_accuracy" in sweep.trials.get(number=0).error


def test_hours_end_the_asking_but_not_the_test(
    sweep_of: Any, carry_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "hours_of", lambda run: 0.5)
    sweep = carry_on(sweep_of(trials=50, hours=2.0))
    assert sweep.state == "done"
    assert sweep.trials.count() == 2
    assert "2 hours are spent" in sweep.why_ended
    assert TrialRun.objects.testing().filter(state="done").exists()


def test_a_space_that_has_been_tried_ends_the_asking(sweep_of: Any, carry_on: Any) -> None:
    sweep = carry_on(sweep_of(space={"learning_rate": {"choices": [1e-5, 1e-4]}}, trials=9))
    assert (sweep.state, sweep.trials.count()) == ("done", 2)
    assert "Every combination" in sweep.why_ended


def test_of_two_objectives_a_front_is_tested(sweep_of: Any, carry_on: Any) -> None:
    ways = [{"measure": "test_reward_accuracy"}, {"measure": "hours", "direction": "maximize"}]
    sweep = carry_on(sweep_of(objectives=ways, trials=6, winners=2, with_usual=False))
    assert sweep.state == "done"
    won = set(sweep.trials.filter(is_winner=True))
    assert 1 <= len(won) <= 2
    assert {part.trial for part in TrialRun.objects.testing()} == won


def test_a_pause_begins_nothing_and_loses_nothing(sweep_of: Any, end_run: Any) -> None:
    sweep = sweep_of()
    runner.advance()
    pause_sweep(sweep=sweep, paused=True)
    end_run(Run.objects.active().get())
    runner.advance()
    assert not Run.objects.active().exists()
    assert TrialRun.objects.filter(state="done").count() == 1
    pause_sweep(sweep=sweep, paused=False)
    runner.advance()
    assert Run.objects.active().count() == 1


def test_a_cancel_ends_the_runs_too(sweep_of: Any, owner: Any) -> None:
    sweep = sweep_of(at_once=2)
    runner.advance()
    cancel_sweep(sweep=sweep, by=owner)
    assert set(Run.objects.values_list("state", flat=True)) == {"cancelling"}
    runner.advance()
    assert TrainingJob.objects.count() == 2
    assert not sweep.trials.running().exists()


def test_a_trial_whose_run_somebody_cancels_has_failed(
    sweep_of: Any, owner: Any, carry_on: Any
) -> None:
    sweep = sweep_of()
    runner.advance()
    run = Run.objects.active().get()
    cancel_run(run=run, by=owner)
    Run.objects.filter(pk=run.pk).update(state="cancelled")
    assert carry_on(sweep).trials.get(number=0).state == "failed"


def test_a_run_that_somebody_pauses_is_waited_for(sweep_of: Any) -> None:
    sweep = sweep_of()
    runner.advance()
    Run.objects.update(state="paused")
    runner.advance()
    assert TrialRun.objects.started().filter(trial__sweep=sweep).count() == 1


def test_a_trial_that_is_behind_is_stopped_at_a_test_during_training(
    sweep_of: Any, end_run: Any
) -> None:
    sweep = sweep_of(settings={"max_steps": 30, "eval_every": 10}, prune=True, trials=9)
    for number in range(4):
        for _seed in (1, 2):
            runner.advance()
            run = Run.objects.active().get()
            value = 0.9 - number / 10
            MetricPoint.objects.create(
                run=run, name="test_reward_accuracy", step=10, value=value, time=0
            )
            runner.advance()
            if Run.objects.active().filter(pk=run.pk, state="cancelling").exists():
                Run.objects.filter(pk=run.pk).update(state="cancelled")
                break
            end_run(run, test_reward_accuracy=value)
            runner.advance()
    states = list(sweep.trials.order_by("number").values_list("state", flat=True)[:4])
    assert states == ["complete", "complete", "pruned", "pruned"]
    stopped = sweep.trials.get(number=2)
    assert (stopped.reached, stopped.values) == ([10, 0.7], None)
    assert [part.state for part in stopped.runs.all()] == ["stopped"]
