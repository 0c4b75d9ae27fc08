"""Charts of estimates as SVG from the server: ``{% load plots %}``.

As in :mod:`.charts` every x is a percentage and every y a number of pixels. Each chart has a title,
axes, n, its numbers in a table behind "Show data", and can be kept as SVG, PNG and CSV.

* ``interval_chart``: estimates with intervals over an axis: a path over time, bins, checkpoints.
* ``reliability_chart``: the same against the diagonal.
* ``forest_chart``: one row an estimate, with a line at what would be no difference.
* ``heat_matrix``: a value for each two of a list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from django import template
from django.utils.translation import gettext

from steelyard.web.plotting import Point, Row, Series, Table, csv_link, ends_of, file_name, finite
from steelyard.web.templatetags.charts import (
    DIGIT_WIDTH,
    TICK_GAP,
    Tick,
    nice_ticks,
    short,
    ticks_within,
)
from steelyard.web.templatetags.steelyard import percent as per_cent

register = template.Library()
_serial = count(1)

HEIGHT = 220
ROW = 40
CELL = 30
DEEPEST = 45
"""per cent of the accent in the darkest cell of a matrix, on which words can still be read"""


@register.inclusion_tag("components/charts/_downloads.html")
def chart_downloads(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict:
    """Links to keep a chart of another template as CSV, SVG and PNG; it stands in the figure."""
    return {"csv": csv_link(Table(columns, rows)), "file": file_name(title)}


@register.inclusion_tag("components/charts/plot.html")
def interval_chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    *,
    share: bool = True,
    reference: float | None = None,
    x_names: Mapping[float, str] | None = None,
    whole: tuple[float, float] | None = None,
    diagonal: bool = False,
    n_label: str = "",
) -> dict[str, Any]:
    """Estimates with intervals over an axis.

    Args:
        share: the heights are shares, shown in per cent.
        reference: a level to which all is to be held, drawn as a dashed line.
        x_names: what stands on the axis instead of numbers, by x.
        whole: the least and the greatest of both axes, where they are not to be those of the data.
        diagonal: draw the line on which x and y are equal.
        n_label: what a point's n counts; “n” where not said.
    """
    shown = [one for one in series if any(finite(p.y) for p in one.points)]
    every = [p for one in shown for p in one.points]
    if not every:
        return {"series": [], "title": title}
    heights = ends_of(every) + ([reference] if reference is not None else [])
    low, high = whole or (min(heights), max(heights))
    y_ticks = nice_ticks(low, high, wanted=4, highest=1.0 if share else None)
    if share:
        y_ticks = [tick for tick in y_ticks if tick >= -1e-9]
    xs = sorted({p.x for p in every})
    span = whole or (xs[0], xs[-1])
    if x_names:
        # room at either end, so that a whisker does not stand on the axis
        gap = (span[1] - span[0]) / (2 * max(1, len(xs) - 1)) or 0.5
        span = (span[0] - gap, span[1] + gap)
    form = per_cent if share else short
    labels = [Tick((1 - _at(t, y_ticks)) * HEIGHT, _level(t, share)) for t in y_ticks]
    most = max((p.n or 0 for p in every), default=0)
    told = [one for one in shown if one.style != "dashed"]
    table = Table(
        _columns(told, x_label, y_label, n_label),
        [_line(one, p, len(told) > 1) for one in told for p in one.points],
    )
    return {
        "id": f"plot-{next(_serial)}",
        "title": title,
        "x_label": x_label,
        "y_label": y_label,
        "series": [_drawn(one, span, y_ticks, most, form) for one in shown],
        "has_legend": len(shown) > 1,
        "reference": (1 - _at(reference, y_ticks)) * HEIGHT if reference is not None else None,
        "diagonal": diagonal,
        "x_ticks": _across(xs, span, x_names, share and whole is not None),
        "y_ticks": labels,
        "gap": TICK_GAP,
        "gutter": math.ceil(max(len(t.label) for t in labels) * DIGIT_WIDTH) + TICK_GAP,
        "height": HEIGHT,
        "n": sum(len(one.points) for one in told),
        "table": _readable(table, share, bool(x_names) or any(p.name for p in every)),
        "csv": csv_link(table),
        "file": file_name(title),
    }


@register.inclusion_tag("components/charts/plot.html")
def reliability_chart(
    bins: Sequence[Any], title: str, x_label: str, y_label: str
) -> dict[str, Any]:
    """What was said against what came true.

    Args:
        bins: objects with ``.said``, ``.true``, ``.lo``, ``.hi`` and ``.votes``, as those of
            ``evaluation.engine.calibration.Reliability``.
    """
    points = [Point(b.said, b.true, b.lo, b.hi, b.votes) for b in bins]
    return interval_chart(
        [Series(y_label, points)],
        title,
        x_label,
        y_label,
        whole=(0.0, 1.0),
        diagonal=True,
        n_label=gettext("votes"),
    )


@register.inclusion_tag("components/charts/forest.html")
def forest_chart(
    rows: Sequence[Row],
    title: str,
    value_label: str,
    *,
    share: bool = True,
    reference: float | None = 0.5,
    n_label: str = "",
) -> dict[str, Any]:
    """A row for each estimate, its interval as a whisker. What has no value stands there without.

    Args:
        share: the values are shares, shown in per cent.
        reference: where there is no difference.
        n_label: what n counts.
    """
    ends = [e for r in rows for e in (r.value, r.lo, r.hi) if e is not None and finite(e)]
    if not rows or not ends:
        return {"rows": [], "title": title}
    marks = [*ends, reference] if reference is not None else ends
    ticks = nice_ticks(min(marks), max(marks), wanted=4, highest=1.0 if share else None)
    if share:
        ticks = [tick for tick in ticks if tick >= -1e-9]
    form = per_cent if share else short

    def across(value: float | None) -> float | None:
        return 100 * _at(value, ticks) if value is not None and finite(value) else None

    drawn = [
        {
            "row": row,
            "y": ROW * at + 30,
            "text": ROW * at + 17,
            "x": across(row.value),
            "lo": across(row.lo),
            "hi": across(row.hi),
            "value": form(row.value),
            "interval": _interval(row.lo, row.hi, form),
        }
        for at, row in enumerate(rows)
    ]
    named = n_label or "n"
    table = Table(
        [gettext("Name"), value_label, gettext("Low"), gettext("High"), named],
        [
            (f"{r.name} {r.note}".strip(), r.value, r.lo, r.hi, "" if r.n is None else r.n)
            for r in rows
        ],
    )
    return {
        "id": f"forest-{next(_serial)}",
        "title": title,
        "value_label": value_label,
        "rows": drawn,
        "ticks": [Tick(100 * _at(t, ticks), _level(t, share)) for t in ticks],
        "reference": across(reference),
        "bottom": ROW * len(rows) + 4,
        "height": ROW * len(rows) + 44,
        "n": len(rows),
        "n_label": named,
        "csv": csv_link(table),
        "file": file_name(title),
    }


@register.inclusion_tag("components/charts/matrix.html")
def heat_matrix(
    names: Sequence[str],
    cells: Mapping[tuple[int, int], tuple[float | None, int]],
    title: str,
    value_label: str,
    *,
    share: bool = True,
    lowest: float = 0.0,
    n_label: str = "",
) -> dict[str, Any]:
    """A value for each two of a list, the darker the greater.

    Args:
        names: of rows and columns alike; columns are told by their number.
        cells: by row and column, the value and what it stands on.
        lowest: what has no colour at all.
    """
    size = len(names)
    if not size:
        return {"rows": [], "title": title}
    form = per_cent if share else short
    side = 100.0 / size

    def shade(value: float | None) -> float:
        depth = 0.0 if value is None else (value - lowest) / (1.0 - lowest)
        return round(DEEPEST * min(1.0, max(0.0, depth)))

    rows = []
    for i, name in enumerate(names):
        line = []
        for j in range(size):
            value, n = cells.get((i, j), (None, 0))
            line.append(
                {
                    "x": j * side,
                    "middle": (j + 0.5) * side,
                    "shade": shade(value) if i != j else 0,
                    "same": i == j,
                    "value": value,
                    "short": _brief(value, share),
                    "shown": form(value),
                    "n": n,
                    "other": names[j],
                }
            )
        rows.append({"name": name, "y": 22 + i * CELL, "number": i + 1, "cells": line})
    table = Table(
        [gettext("Row"), gettext("Column"), value_label, n_label or "n"],
        [
            (names[i], names[j], value, n)
            for (i, j), (value, n) in sorted(cells.items())
            if i != j and value is not None
        ],
    )
    return {
        "id": f"matrix-{next(_serial)}",
        "title": title,
        "value_label": value_label,
        "rows": rows,
        "cell_size": CELL,
        "side": side,
        "with_words": size <= 12,
        "height": 22 + CELL * size + 4,
        "n": size,
        "n_label": n_label or "n",
        "csv": csv_link(table),
        "file": file_name(title),
    }


def _brief(value: float | None, share: bool) -> str:
    """As few characters as a cell has room for on a phone."""
    if value is None:
        return ""
    return f"{100 * value:.0f}" if share else f"{value:.2f}".replace("0.", ".", 1)


def _at(value: float | None, ticks: Sequence[float]) -> float:
    if value is None or ticks[-1] == ticks[0]:
        return 0.5
    return (value - ticks[0]) / (ticks[-1] - ticks[0])


def _level(value: float, share: bool) -> str:
    return f"{100 * value:.4g} %" if share else short(value)


def _interval(lo: float | None, hi: float | None, form: Any) -> str:
    if lo is None or hi is None:
        return ""
    return gettext("%(low)s to %(high)s") % {"low": form(lo), "high": form(hi)}


def _across(
    xs: list[float],
    span: tuple[float, float],
    names: Mapping[float, str] | None,
    share: bool,
) -> list[Tick]:
    if names:
        step = math.ceil(len(xs) / 8)
        return [Tick(100 * _at(x, span), names.get(x, short(x))) for x in xs[::step]]
    whole = all(float(x).is_integer() for x in xs)
    ticks = ticks_within(*span, whole=whole)
    return [Tick(100 * _at(t, span), _level(t, share)) for t in ticks]


def _drawn(
    one: Series, span: tuple[float, float], y_ticks: Sequence[float], most: int, form: Any
) -> dict[str, Any]:
    points = [p for p in one.points if finite(p.y)]
    where = [(100 * _at(p.x, span), 100 * (1 - _at(p.y, y_ticks))) for p in points]
    band = ""
    if one.style == "path":
        held = [(100 * _at(p.x, span), p) for p in points if finite(p.lo) and finite(p.hi)]
        upper = [(x, 100 * (1 - _at(p.hi, y_ticks))) for x, p in held]
        lower = [(x, 100 * (1 - _at(p.lo, y_ticks))) for x, p in reversed(held)]
        band = _points(upper + lower) if len(held) > 1 else ""
    dots = []
    if one.style in ("whiskers", "joined") or len(points) == 1:
        for (x, y), p in zip(where, points, strict=True):
            bar = None
            if finite(p.lo) and finite(p.hi):
                bar = [HEIGHT * (1 - _at(e, y_ticks)) for e in (p.hi, p.lo)]
            size = 3.0 + 3.0 * math.sqrt((p.n or 0) / most) if most and p.n is not None else 4.0
            words = f"{p.name or short(p.x)}: {form(p.y)}"
            if bar is not None:
                words += f" ({_interval(p.lo, p.hi, form)})"
            if p.n is not None:
                words += f", n = {p.n}"
            dots.append(
                {"x": x, "y": y * HEIGHT / 100, "bar": bar, "r": round(size, 1), "title": words}
            )
    lined = one.style in ("path", "joined", "dashed") and len(points) > 1
    return {
        "name": one.name,
        "colour": one.colour,
        "band": band,
        "line": _points(where) if lined else "",
        "dashed": one.style == "dashed",
        "dots": dots,
        "last": form(points[-1].y) if points else "",
    }


def _points(where: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in where)


def _columns(series: Sequence[Series], x: str, y: str, n: str) -> list[str]:
    first = [gettext("Series")] if len(series) > 1 else []
    return [*first, x, y, gettext("Low"), gettext("High"), n or "n"]


def _line(one: Series, p: Point, several: bool) -> tuple[object, ...]:
    first = (one.name,) if several else ()
    return (*first, p.name or p.x, p.y, p.lo, p.hi, "" if p.n is None else p.n)


def _readable(table: Table, share: bool, named: bool) -> dict[str, Any]:
    form: Any = per_cent if share else short
    edge = len(table.columns) - 4
    rows = []
    for row in table.rows:
        head = [short(v) if isinstance(v, int | float) else v for v in row[:edge]]
        rows.append([*head, *(form(v) for v in row[edge:-1]), row[-1] if row[-1] != "" else "–"])
    return {"columns": table.columns, "rows": rows, "worded": named or edge > 1}
