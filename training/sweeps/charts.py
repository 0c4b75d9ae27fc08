"""Charts of a sweep: objective by trial, and one objective against another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from steelyard.web.templatetags.charts import (
    DIGIT_WIDTH,
    LINE_HEIGHT,
    TICK_GAP,
    nice_ticks,
    short,
    ticks_within,
)
from training.engine.sweep_study import front
from training.sweeps.figures import Row, measures_in
from training.sweeps.measures import Measure
from training.sweeps.models import Sweep

Point = tuple[float, float]


def by_trial(sweep: Sweep, rows: Sequence[Row], place: int) -> dict[str, Any]:
    """An objective over the trials' numbers, and the best so far as steps; empty without one."""
    measure, direction = measures_in(sweep)[place]
    done = [(row, row.trial.values) for row in rows if row.trial.values]
    if not done:
        return {}
    spread = [
        (row.trial.number, min(f.values), max(f.values))
        for row, _values in done
        if (f := row.figures[place]) is not None
    ]
    dots = [_dot(row, (row.trial.number, values[place])) for row, values in done]
    best = max if direction == "maximize" else min
    line: list[Point] = []
    for row, values in done:
        now = best(values[place], line[-1][1]) if line else values[place]
        line += [(row.trial.number, line[-1][1])] if line else []
        line.append((row.trial.number, now))
    line.append((max(sweep.trials_wanted - 1, done[-1][0].trial.number), line[-1][1]))
    return _chart(
        title=str(measure.label),
        labels=(_("trial"), _aim(direction)),
        dots=dots,
        line=line,
        line_name=_("best so far"),
        spread=spread,
        whole=True,
        highest=(None, _most(measure)),
    )


def trade_off(sweep: Sweep, rows: Sequence[Row]) -> dict[str, Any]:
    """The second of two objectives over the first, and the front; empty without two trials."""
    if len(sweep.objectives) != 2:
        return {}
    done = [(row, row.trial.values) for row in rows if row.trial.values]
    if len(done) < 2:
        return {}
    (one, way), (other, other_way) = measures_in(sweep)
    points = [(values[0], values[1]) for _row, values in done]
    on_front = sorted(points[place] for place in front(points, sweep.directions))
    return _chart(
        title=_("%(one)s against %(other)s") % {"one": other.label, "other": one.label},
        labels=(f"{one.label} ({_aim(way)})", _aim(other_way)),
        dots=[_dot(row, point) for (row, _values), point in zip(done, points, strict=True)],
        line=on_front,
        line_name=_("not beaten in both"),
        spread=[],
        whole=False,
        highest=(_most(one), _most(other)),
    )


def _most(measure: Measure) -> float | None:
    return 1.0 if measure.is_share else None


def _aim(direction: str) -> str:
    return _("more is better") if direction == "maximize" else _("less is better")


def _dot(row: Row, at: Point) -> dict[str, Any]:
    kind = "winner" if row.trial.is_winner else "usual" if row.trial.number == 0 else "trial"
    words = _("trial %(number)s: %(values)s") % {
        "number": row.trial.number,
        "values": ", ".join(short(value) for value in row.trial.values or []),
    }
    return {"at": at, "kind": kind, "title": words}


def _chart(
    *,
    title: str,
    labels: tuple[str, str],
    dots: list[dict[str, Any]],
    line: list[Point],
    line_name: str,
    spread: Sequence[tuple[float, float, float]],
    whole: bool,
    highest: tuple[float | None, float | None],
) -> dict[str, Any]:
    """Everything in per cent from the left and pixels from the top, as all charts have it."""
    xs = [dot["at"][0] for dot in dots] + [x for x, _y in line]
    ys = [dot["at"][1] for dot in dots] + [y for _x, lo, hi in spread for y in (lo, hi)]
    x_ticks = nice_ticks(min(xs), max(xs), 5, highest=highest[0])
    y_ticks = nice_ticks(min(ys), max(ys), 4, highest=highest[1])
    if whole:  # numbers of trials: the axis ends with them
        x_ticks = ticks_within(min(xs), max(xs), 5, whole=True)
    x_of = _scale((min(xs), max(xs)) if whole else x_ticks, 100)
    y_of = _scale(y_ticks, LINE_HEIGHT)
    labelled = [{"at": LINE_HEIGHT - y_of(tick), "label": short(tick)} for tick in y_ticks]
    return {
        "title": title,
        "x_label": labels[0],
        "y_label": labels[1],
        "n": len(dots),
        "kinds": {dot["kind"] for dot in dots},
        "height": LINE_HEIGHT,
        "gap": TICK_GAP,
        "gutter": int(max(len(t["label"]) for t in labelled) * DIGIT_WIDTH) + TICK_GAP,
        "x_ticks": [{"at": x_of(tick), "label": short(tick)} for tick in x_ticks],
        "y_ticks": labelled,
        "dots": [
            {**dot, "x": x_of(dot["at"][0]), "y": LINE_HEIGHT - y_of(dot["at"][1])} for dot in dots
        ],
        "spread": [
            {"x": x_of(x), "low": LINE_HEIGHT - y_of(lo), "high": LINE_HEIGHT - y_of(hi)}
            for x, lo, hi in spread
        ],
        "line": " ".join(f"{x_of(x):.2f},{100 - 100 * y_of(y) / LINE_HEIGHT:.2f}" for x, y in line),
        "line_name": line_name,
    }


def _scale(ticks: Sequence[float], length: float) -> Any:
    low, extent = ticks[0], (ticks[-1] - ticks[0]) or 1.0
    return lambda value: (value - low) / extent * length
