"""What is asked of sweeps: start one, pause it, let it go on, cancel it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion
from steelyard.registry.sources import SEEING
from steelyard.runs.models import Run
from steelyard.runs.services import cancel_run
from training.engine.sweep_space import checked_space, default_point
from training.services import checked_name, start_training
from training.sweeps.hooks import held_out_prompts
from training.sweeps.measures import MEASURES, checked_objectives
from training.sweeps.models import (
    ENDED,
    Keep,
    Sampler,
    Sweep,
    SweepState,
    TrialRun,
    TrialRunState,
    TrialState,
)

TUNING_SEEDS = (1, 2, 3)
TEST_SEEDS = (1001, 1002, 1003, 1004, 1005)
MOST_TRIALS = 1000
MOST_SEEDS = 50
MOST_AT_ONCE = 64
FEWEST_SEEDS = 2
TUNING_RULE = gettext_lazy(
    "Every trial is trained with each seed, and the mean decides. From 2 to 50; 3 or more are "
    "better."
)
TEST_RULE = gettext_lazy(
    "Seeds that no trial has seen; only their figures are reported. From 2 to 50; 5 or more are "
    "better."
)
"""Said by the form and by the API's schema alike."""
FEWEST_HELD_OUT = 4
CRITERIA = "The better answer is correct, helpful and no longer than it has to be."
"""What a judge is told to look for where nobody says; English, as its question is."""
MODEL_NAME_LIMIT = 150
"""What runs' names add to it has room behind that."""


@transaction.atomic
def start_sweep(
    *,
    project: Project,
    by: User | None,
    name: str,
    version: DatasetVersion,
    base: ModelVersion,
    recipe: str,
    space: dict[str, Any],
    objectives: list[dict[str, str]],
    trials: int,
    model_name: str,
    settings: dict[str, Any] | None = None,
    sampler: str = Sampler.TPE,
    seed: int = 0,
    tuning_seeds: Sequence[int] = TUNING_SEEDS,
    test_seeds: Sequence[int] = TEST_SEEDS,
    split_held_out: bool = True,
    hours: float | None = None,
    at_once: int = 1,
    winners: int = 3,
    with_usual: bool = True,
    prune: bool = False,
    keep: str = Keep.WINNERS,
    judge: ModelVersion | None = None,
    criteria: str = "",
) -> Sweep:
    """Store a sweep; its first runs begin at the next pass of ``advance_sweeps``.

    Args:
        settings: what is the same in every run; what is absent has the recipe's default, and what
            is searched is named in ``space`` alone.
        space: see :mod:`training.engine.sweep_space`.
        objectives: measures with their directions, the usual one where none is named.
        tuning_seeds: each trial is trained once with each; its figures choose the winners.
        test_seeds: winners are trained again with each; only these figures are reported.
        prune: stop trials early that are behind at a test during training.
        judge: who compares answers with the base's, for the measure ``win_rate``.
        criteria: what it is to look for; :data:`CRITERIA` where nothing is said.
        model_name: what the winner's model is to be called.

    Raises:
        UserError: anything that would make the sweep fail, told now; ``field`` names what to mend.
    """
    fixed = dict(settings or {})
    _check_seeds(fixed, tuning_seeds, test_seeds)
    _check_budget(trials, hours, at_once, winners)
    checked = checked_space(recipe, fixed, space)
    wanted = checked_objectives(recipe, objectives, set(checked))
    measures = [objective["measure"] for objective in wanted]
    _check_measurable(measures, fixed, prune=prune)
    judged = "win_rate" in measures
    if judged:
        _check_judge(project, judge, version)
    _check_trainable(
        project=project,
        version=version,
        base=base,
        recipe=recipe,
        config={**fixed, **default_point(recipe, fixed, checked)},
        model_name=model_name,
        by=by,
    )
    _check_held_out(version, halves=split_held_out)
    return Sweep.objects.create(
        project=project,
        name=_free_title(project, name),
        version=version,
        base=base,
        recipe=recipe,
        fixed=fixed,
        space=checked,
        objectives=wanted,
        sampler=_one_of(Sampler.values, sampler, "sampler"),
        seed=seed,
        tuning_seeds=list(tuning_seeds),
        test_seeds=list(test_seeds),
        split_held_out=split_held_out,
        trials_wanted=trials,
        hours_wanted=hours,
        at_once=at_once,
        winners_wanted=winners,
        with_usual=with_usual,
        prune=prune,
        judge=judge if judged else None,
        criteria=(criteria.strip() or CRITERIA) if judged else "",
        keep=_one_of(Keep.values, keep, "keep"),
        model_name=_free_model_name(project, model_name),
        created_by=by,
    )


@transaction.atomic
def pause_sweep(*, sweep: Sweep, paused: bool) -> None:
    """Begin no more runs, or go on; those that run are left alone.

    Raises:
        UserError: it has ended.
    """
    if not Sweep.objects.active().filter(pk=sweep.pk).update(paused=paused):
        raise _ended(sweep)


@transaction.atomic
def cancel_sweep(*, sweep: Sweep, by: User) -> None:
    """End a sweep and its runs; what they have measured stays.

    Raises:
        UserError: it has ended.
    """
    # the lock keeps a pass of advance_sweeps from starting a run meanwhile
    found = Sweep.objects.active().select_for_update().filter(pk=sweep.pk).first()
    if found is None:
        raise _ended(sweep)
    found.state, found.finished_at = SweepState.CANCELLED, timezone.now()
    found.save(update_fields=["state", "finished_at"])
    found.trials.running().update(state=TrialState.FAILED, error="The sweep was cancelled.")
    parts = TrialRun.objects.filter(trial__sweep=found)
    runs = Run.objects.filter(training_job__trial_run__in=parts.started())
    for run in runs.exclude(state__in=ENDED):
        cancel_run(run=run, by=by)
    parts.waiting().delete()
    parts.started().update(state=TrialRunState.FAILED, error="The sweep was cancelled.")


def _ended(sweep: Sweep) -> UserError:
    return UserError(
        _("“%(sweep)s” has ended already.") % {"sweep": sweep.name}, code="sweep_ended", status=409
    )


def _check_seeds(
    settings: dict[str, Any], tuning_seeds: Sequence[int], test_seeds: Sequence[int]
) -> None:
    if "seed" in settings:
        raise UserError(
            _("A sweep gives its runs their seeds: name none among the settings."), field="settings"
        )
    for field, seeds in (("tuning_seeds", tuning_seeds), ("test_seeds", test_seeds)):
        if not FEWEST_SEEDS <= len(seeds) <= MOST_SEEDS or len(set(seeds)) < len(seeds):
            raise UserError(
                _("Name from %(least)s to %(most)s different seeds.")
                % {"least": FEWEST_SEEDS, "most": MOST_SEEDS},
                code="bad_seeds",
                field=field,
            )
        if not all(0 <= seed < 2**31 for seed in seeds):
            raise UserError(_("A seed is from 0 to 2147483647."), code="bad_seeds", field=field)
    if both := set(tuning_seeds) & set(test_seeds):
        raise UserError(
            _(
                "Seed %(seed)s is for tuning and for testing. What was tuned on a seed looks "
                "better on it than it is: give the test seeds of their own."
            )
            % {"seed": min(both)},
            code="seeds_overlap",
            field="test_seeds",
        )


def _check_budget(trials: int, hours: float | None, at_once: int, winners: int) -> None:
    limits = [("trials", trials, 1, MOST_TRIALS), ("at_once", at_once, 1, MOST_AT_ONCE)]
    for field, value, least, most in [*limits, ("winners", winners, 1, 20)]:
        if not least <= value <= most:
            raise UserError(
                _("This is from %(least)s to %(most)s.") % {"least": least, "most": most},
                code="bad_budget",
                field=field,
            )
    if hours is not None and not 0 < hours <= 100_000:
        raise UserError(_("Hours are above 0."), code="bad_budget", field="hours")


def _check_measurable(measures: list[str], settings: dict[str, Any], *, prune: bool) -> None:
    sources = {MEASURES[name].source for name in measures}
    if prune and not (sources == {"metrics"} and len(measures) == 1 and settings.get("eval_every")):
        raise UserError(
            _(
                "Trials are stopped early by a single aim that is measured on held-out pairs "
                "while they train: set eval_every, and name one such aim."
            ),
            code="cannot_prune",
            field="prune",
        )


def judges_of(project: Project) -> QuerySet[ModelVersion]:
    """Models that can be asked which of two texts is better; one of a version whose prompts are
    about pictures or clips has to see them too."""
    rows = ModelVersion.objects.filter(project=project, modality="text").as_they_are()
    return rows.filter(family__in=[ModelFamily.CAUSAL_LM, *SEEING])


def _check_judge(project: Project, judge: ModelVersion | None, version: DatasetVersion) -> None:
    if judge is None or not judges_of(project).filter(pk=judge.pk).exists():
        raise UserError(
            _(
                "A win rate needs a judge: name a language model or an endpoint of this project "
                "that says which of two answers is better."
            ),
            code="no_judge",
            field="judge",
        )
    if version.manifest.get("media") and judge.family not in SEEING:
        raise UserError(
            _(
                "Prompts of %(version)s are about pictures or clips, which %(judge)s would not "
                "see. Choose a vision-language model or an endpoint of one as judge."
            )
            % {"version": version, "judge": judge.name},
            code="cannot_see",
            field="judge",
        )


def _check_trainable(**job: Any) -> None:
    """Whatever would be refused of a training run is refused of a sweep: one is asked for, and
    taken back before anybody sees it."""
    with transaction.atomic():
        start_training(**job)
        transaction.set_rollback(True)


def _check_held_out(version: DatasetVersion, *, halves: bool) -> None:
    count = len(held_out_prompts(version.files))
    if count == 0:
        raise UserError(
            _(
                "%(version)s holds no prompt back, so nothing could be measured. Freeze a version "
                "with a test share."
            )
            % {"version": version},
            code="no_test_rows",
            field="version",
        )
    if halves and count < FEWEST_HELD_OUT:
        raise UserError(
            _(
                "%(version)s holds only %(count)s prompts back, too few to tune on one half and "
                "test on the other. Freeze a version with a larger test share, or tune and test "
                "on the same prompts."
            )
            % {"version": version, "count": count},
            code="few_test_rows",
            field="split_held_out",
        )


def _free_title(project: Project, name: str) -> str:
    name = " ".join(name.split())[:120]
    if not name:
        raise UserError(_("A sweep needs a name."), field="name")
    if Sweep.objects.filter(project=project, name=name).exists():
        raise UserError(
            _("This project has a sweep called “%(name)s” already.") % {"name": name},
            code="name_taken",
            status=409,
            field="name",
        )
    return name


def _free_model_name(project: Project, name: str) -> str:
    name = checked_name(project, name)
    if len(name) > MODEL_NAME_LIMIT:
        raise UserError(
            _("The name of a sweep's model has at most %(limit)s characters.")
            % {"limit": MODEL_NAME_LIMIT},
            field="model_name",
        )
    other = Sweep.objects.active().filter(project=project, model_name=name).first()
    if other:
        raise UserError(
            _("The sweep “%(sweep)s” will make a model called “%(name)s”; choose another name.")
            % {"sweep": other.name, "name": name},
            code="model_name_taken",
            status=409,
            field="model_name",
        )
    return name


def _one_of(words: list[str], word: str, field: str) -> str:
    if word not in words:
        raise UserError(_("This is one of %(words)s.") % {"words": ", ".join(words)}, field=field)
    return word
