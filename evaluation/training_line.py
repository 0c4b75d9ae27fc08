"""Win rates as training goes: models that are points of one line, and what evaluations said of
each.

A line is checkpoints of one training (kept of a run of the platform, which knows their steps, with
the run's result as the last; or ``tuned-step-200``, ``tuned-step-400``: names, or folders that they
came from, which are alike but for the number of the step), or rounds (each model trained from the
one before)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from django.db.models import Q
from django.utils.translation import gettext

from evaluation.models import Evaluation
from evaluation.standings import WinRateRow, win_rates
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run
from steelyard.web.plotting import Point, Series

_STEP = re.compile(r"(?:global[-_]?)?(?:step|checkpoint|ckpt|round)s?[-_ ]?0*(\d+)", re.IGNORECASE)
MOST = 40
"""Evaluations that are looked at for one run, the newest first."""


@dataclass(frozen=True)
class Line:
    """One chart: a baseline, and a line of models held against it."""

    baseline: ModelVersion
    by_steps: bool
    """Whether x is a step of training; otherwise it is the number of the round."""
    names: dict[float, str]
    series: list[Series]

    @property
    def named_series(self) -> list[Series]:
        """With people called so, in the page's language."""
        return [replace(one, name=one.name or gettext("people")) for one in self.series]


def step_of(model: ModelVersion) -> tuple[str, int] | None:
    """What a checkpoint is one of, and at which step; None where it names no step."""
    if model.step is not None:
        return f"run {model.made_by_id}", model.step
    for name in (model.name, PurePosixPath(model.source).name if model.source else ""):
        found = _STEP.search(name)
        if found:
            rest = f"{name[: found.start()]}*{name[found.end() :]}"
            if name != model.name:
                rest = f"{PurePosixPath(model.source).parent}/{rest}"
            return rest, int(found[1])
    return None


def places(models: Iterable[ModelVersion]) -> tuple[dict[int, float], bool]:
    """Where each model stands on the longest line among them, by pk, and whether that is a step;
    nothing where no two are on one line."""
    models = list(models)
    checkpoints: dict[str, dict[int, float]] = {}
    for model in models:
        at = step_of(model)
        if at:
            checkpoints.setdefault(at[0], {})[model.pk] = float(at[1])
    _add_ends(checkpoints, models)
    best = max(checkpoints.values(), key=len, default={})
    if len(set(best.values())) > 1:
        return best, True
    chain = _chain(models)
    return ({pk: float(at) for at, pk in enumerate(chain, 1)} if len(chain) > 1 else {}), False


def _add_ends(lines: dict[str, dict[int, float]], models: Sequence[ModelVersion]) -> None:
    """What a run ended with is the last point of the line of its checkpoints."""
    for model in models:
        line = lines.get(f"run {model.made_by_id}")
        if line and model.pk not in line and model.steps_trained is not None:
            line[model.pk] = float(model.steps_trained)


def _chain(models: Sequence[ModelVersion]) -> list[int]:
    """The longest run of models of which each was trained from the one before, whatever lay
    between."""
    own = {model.pk for model in models}
    chains = [
        [*(m.pk for m in reversed(model.ancestors()) if m.pk in own), model.pk] for model in models
    ]
    return max(chains, key=len, default=[])


def line_of(evaluation: Evaluation, rows: Sequence[WinRateRow]) -> Line | None:
    """The candidates of one evaluation as points of a line."""
    at, by_steps = places({row.candidate.pk: row.candidate for row in rows}.values())
    return _line(evaluation.baseline, by_steps, at, rows)


def lines_of_run(project: Project, run: Run) -> list[Line]:
    """What evaluations said of the models that a run made and of those on their line, a chart for
    each baseline."""
    made = list(ModelVersion.objects.filter(project=project, made_by=run))
    family = _family(project, made)
    found = Evaluation.objects.filter(project=project, candidates__in=family, state="comparing")
    found = found.select_related("project", "baseline").prefetch_related("panel__judge")
    rows: dict[int, list[WinRateRow]] = {}
    baselines = {}
    for evaluation in found.distinct().order_by("-pk")[:MOST]:
        baselines[evaluation.baseline_id] = evaluation.baseline
        rows.setdefault(evaluation.baseline_id, []).extend(win_rates(evaluation))
    at, by_steps = places(family)
    lines = [_line(baselines[pk], by_steps, at, own) for pk, own in rows.items()]
    return [line for line in lines if line is not None]


def _family(project: Project, made: Sequence[ModelVersion]) -> list[ModelVersion]:
    found = {model.pk: model for model in made}
    for model in made:
        for one in model.ancestors():
            # what was not trained here is where the line begins, not a point of it
            if one.made_by_id:
                found[one.pk] = one
    front = list(made)
    while front:
        # with revisions a model is the same point of training
        below = ModelVersion.objects.filter(project=project, base__in=front).as_they_are()
        front = [model for model in below if model.pk not in found]
        found.update({model.pk: model for model in front})
    stems = {at[0] for model in made if (at := step_of(model))}
    if stems:
        likely = Q(name__iregex="(step|checkpoint|ckpt|round)") | Q(
            source__iregex="(step|checkpoint)"
        )
        for model in ModelVersion.objects.filter(likely, project=project):
            at = step_of(model)
            if at and at[0] in stems:
                found[model.pk] = model
    return list(found.values())


def _line(
    baseline: ModelVersion, by_steps: bool, at: dict[int, float], rows: Sequence[WinRateRow]
) -> Line | None:
    by: dict[str, dict[float, Point]] = {}
    names: dict[float, str] = {}
    for row in rows:
        x = at.get(row.candidate.pk)
        if x is None:
            continue
        who = row.judge.name if row.judge else ""
        names[x] = row.candidate.name
        point = Point(
            x, row.rate.rate, row.rate.lo, row.rate.hi, row.rate.prompts, row.candidate.name
        )
        # of several evaluations of one model the newest counts, which comes first
        by.setdefault(who, {}).setdefault(x, point)
    if len(names) < 2:
        return None
    series = [
        Series(who, [points[x] for x in sorted(points)], at_colour, "joined")
        for at_colour, (who, points) in enumerate(sorted(by.items()))
    ]
    return Line(baseline, by_steps, names, series)
