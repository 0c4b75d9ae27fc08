"""What a sweep's page shows: tuning figures, which are not to be quoted, and test figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from statistics import fmean, stdev
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from steelyard.registry.models import ModelVersion
from steelyard.web.templatetags.steelyard import number
from training.engine.sweep_study import front, hypervolume
from training.sweeps.measures import MEASURES, Measure
from training.sweeps.models import Sweep, Trial, TrialRun, TrialRunState

LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """A mean over seeds; its interval is Student's and speaks of seeds, not of other prompts."""

    values: list[float]
    mean: float
    low: float | None
    high: float | None

    @property
    def n(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Final:
    """What the test seeds say of one choice of settings."""

    trial: Trial
    parts: list[TrialRun]
    measures: list[Figure | None]
    against: list[Figure | None] = field(default_factory=list)
    """The difference from the usual settings, seed by seed; empty where these were not tested."""
    model: ModelVersion | None = None

    directions: list[str] = field(default_factory=list)

    @property
    def settings(self) -> list[tuple[str, str]]:
        return in_words(self.trial.params)

    @property
    def is_no_better(self) -> bool:
        """A winner that is the usual settings, or that no interval of its differences sets apart
        from them on the better side of 0; False where these were not tested."""
        if not self.trial.is_winner or not (self.against or self.trial.number == 0):
            return False
        return not any(
            figure is not None and _is_gain(figure, way)
            for figure, way in zip(self.against, self.directions, strict=False)
        )

    @property
    def pairs(self) -> list[tuple[Figure | None, Figure | None]]:
        """Each measure beside its difference from the usual settings."""
        return list(zip_longest(self.measures, self.against))


@dataclass(frozen=True)
class Row:
    """A trial in the table of tuning figures."""

    trial: Trial
    settings: list[tuple[str, str]]
    figures: list[Figure | None]
    parts: list[TrialRun]
    best: bool
    """On the front so far."""


def measures_in(sweep: Sweep) -> list[tuple[Measure, str]]:
    """The objectives with the direction that the sweep aims in."""
    return [(MEASURES[one["measure"]], one["direction"]) for one in sweep.objectives]


def in_words(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings with their values as a page writes them."""
    return [(name, _word(value)) for name, value in values.items()]


def space_in_words(sweep: Sweep) -> list[tuple[str, str]]:
    made = []
    for name, one in sweep.space.items():
        if "choices" in one:
            words = ", ".join(map(_word, one["choices"]))
        else:
            words = _("%(low)s to %(high)s") % {
                "low": _word(one["low"]),
                "high": _word(one["high"]),
            }
            words += f", {_('logarithmic')}" if one["log"] else ""
        made.append((name, words))
    return made


def figure_of(values: Sequence[float]) -> Figure | None:
    """Mean and 95 % interval by Student's t; no interval of one value."""
    if not values:
        return None
    mean = fmean(values)
    if len(values) < 2:
        return Figure(list(values), mean, None, None)
    half = _quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Figure(list(values), mean, mean - half, mean + half)


def trials_of(sweep: Sweep) -> list[Trial]:
    """All trials with their runs, jobs and models, read once."""
    parts = TrialRun.objects.select_related("job__run__project", "job__result__project")
    parts = parts.defer("job__run__result", "job__run__spec", "job__config")
    return list(sweep.trials.prefetch_related(Prefetch("runs", parts.order_by("purpose", "seed"))))


def table_of(sweep: Sweep, trials: Sequence[Trial]) -> list[Row]:
    done = [trial for trial in trials if trial.values]
    best = {done[place].pk for place in front([t.values or [] for t in done], sweep.directions)}
    return [
        Row(
            trial=trial,
            settings=in_words({name: trial.params[name] for name in sweep.space}),
            figures=_figures(sweep, tuned := _parts(trial, "tuning")),
            parts=tuned,
            best=trial.pk in best,
        )
        for trial in trials
    ]


def final_figures(sweep: Sweep, trials: Sequence[Trial] | None = None) -> list[Final]:
    """The winners by their test seeds, and the usual settings where they were tested too."""
    tested = [t for t in trials or trials_of(sweep) if _parts(t, "test")]
    usual = next((_parts(t, "test") for t in tested if t.number == 0), [])
    return [
        Final(
            trial=trial,
            parts=(parts := _parts(trial, "test")),
            measures=_figures(sweep, parts),
            against=_differences(sweep, parts, usual) if trial.number else [],
            directions=sweep.directions,
            model=next((p.job.result for p in parts if p.job and p.job.result), None),
        )
        for trial in sorted(tested, key=lambda t: (not t.is_winner, t.number))
    ]


def progress_of(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, int]:
    """How many runs have ended, and how many there will be as far as is known."""
    parts = [part for trial in trials for part in trial.runs.all()]
    ended = sum(part.state not in (TrialRunState.WAITING, TrialRunState.STARTED) for part in parts)
    to_ask = 0 if sweep.why_ended else max(0, sweep.trials_wanted - len(trials))
    to_test = 0 if sweep.state != "tuning" else 1 + sweep.with_usual
    left = to_ask * len(sweep.tuning_seeds) + to_test * len(sweep.test_seeds)
    return {"done": ended, "total": len(parts) + left}


def area_of(sweep: Sweep, trials: Sequence[Trial]) -> float | None:
    """The share of the square between the worst and the best figures that the front covers."""
    points = [trial.values for trial in trials if trial.values]
    if len(sweep.objectives) != 2 or len(points) < 2:
        return None
    axes = [[point[axis] for point in points] for axis in (0, 1)]
    worst = [
        min(axis) if way == "maximize" else max(axis)
        for axis, way in zip(axes, sweep.directions, strict=True)
    ]
    square = math.prod(max(axis) - min(axis) for axis in axes)
    return hypervolume(points, sweep.directions, worst) / square if square else None


def rows_as_csv(sweep: Sweep, trials: Sequence[Trial]) -> Iterator[list[Any]]:
    """One line a run of the search; the last column says what they are."""
    names = list(sweep.space)
    yield ["trial", "state", "seed", *names, *sweep.measures, "hours", "run", "note"]
    for trial in trials:
        for part in _parts(trial, "tuning"):
            yield [
                trial.number,
                part.state,
                part.seed,
                *(trial.params[name] for name in names),
                *(part.measured.get(name, "") for name in sweep.measures),
                "" if part.hours is None else round(part.hours, 5),
                part.job.run_id if part.job else "",
                "tuning figure, do not quote",
            ]


def _parts(trial: Trial, purpose: str) -> list[TrialRun]:
    return [part for part in trial.runs.all() if part.purpose == purpose]


def _figures(sweep: Sweep, parts: Sequence[TrialRun]) -> list[Figure | None]:
    done = [part for part in parts if part.state == TrialRunState.DONE]
    return [figure_of([part.measured[name] for part in done]) for name in sweep.measures]


def _differences(
    sweep: Sweep, parts: Sequence[TrialRun], usual: Sequence[TrialRun]
) -> list[Figure | None]:
    before = {part.seed: part.measured for part in usual if part.state == TrialRunState.DONE}
    both = [p for p in parts if p.state == TrialRunState.DONE and p.seed in before]
    if not both:
        return []
    return [
        figure_of([part.measured[name] - before[part.seed][name] for part in both])
        for name in sweep.measures
    ]


def _is_gain(difference: Figure, direction: str) -> bool:
    if difference.low is None or difference.high is None:
        return False
    return difference.low > 0 if direction == "maximize" else difference.high < 0


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return _("on") if value else _("off")
    return number(value) if isinstance(value, int | float) else str(value)


def _quantile(degrees: int) -> float:
    # scipy takes a while to load, and most pages need none of it
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + LEVEL) / 2))
