"""Charts as SVG from the server: ``{% load charts %}``.

Every x is a percentage and every y a number of pixels, so that a chart is as wide as its place
and its letters are of one size at 360 and at 2560 px. Each carries a title, a description, units,
n, and its numbers in a table behind "Show data".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from django import template
from django.utils.translation import gettext

from steelyard.web.plotting import Table, csv_link, file_name

register = template.Library()
_serial = count(1)

ROW = 26
MARGIN = 40
LINE_HEIGHT = 220
DIGIT_WIDTH = 7.5
"""pixels that no character of an axis is wider than, at 12 px"""
TICK_GAP = 6
MOST_POINTS = 400
COLOURS = 6

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Tick:
    at: float
    """per cent along the axis from the left, or pixels from the top"""
    label: str


@dataclass(frozen=True)
class Whisker:
    name: str
    url: str
    y: int
    x: float
    lo: float | None
    hi: float | None
    value: str
    note: str


@dataclass(frozen=True)
class Segment:
    kind: str
    name: str
    count: int
    share: float
    """0 to 1"""
    x: float
    width: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Line:
    name: str
    colour: int
    segments: list[str]
    """``points`` attributes in a box of 100 × 100; a gap in the data begins a new one"""
    dots: list[tuple[float, float]]
    """per cent from the left, pixels from the top; points that have no neighbour to join"""
    last: str


def nice_ticks(
    lo: float, hi: float, wanted: int = 5, *, whole: bool = False, highest: float | None = None
) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) that span ``lo`` to ``hi``, ends included:
    the first is at most ``lo``, the last at least ``hi``.

    Args:
        whole: they are counts: no tick lies between two of them, nor below a lone one's 0.
        highest: what no value can pass, such as 1 of a share; the axis ends there at the latest.
    """
    if hi <= lo and whole and lo >= 0:
        lo, hi = 0.0, max(hi, 1.0)
    pad = (abs(lo) / 10 or 1.0) if hi <= lo else 0.0
    lo, hi = lo - pad, hi + pad
    raw = (hi - lo) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first, last = math.floor(lo / step + 1e-9), math.ceil(hi / step - 1e-9)
    ticks = [n * step for n in range(first, last + 1)]
    if highest is None or hi - pad > highest:
        return ticks
    return [tick for tick in ticks if tick <= highest + step * 1e-9]


def ticks_within(lo: float, hi: float, wanted: int = 6, *, whole: bool = False) -> list[float]:
    """Round numbers of the range alone, for an axis that begins and ends with its data; its ends
    where fewer than two are round."""
    if hi <= lo:
        return [lo]
    noise = (hi - lo) * 1e-9
    ticks = nice_ticks(lo, hi, wanted, whole=whole)
    within = [t for t in ticks if lo - noise <= t <= hi + noise]
    return within if len(within) > 1 else [lo, hi]


def short(value: float | None) -> str:
    """A number for an axis or a table: at most four significant digits, no noise of floats.

    ``run.js`` writes its axes by the same rule.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    digits, power = f"{value:.3e}".split("e")
    return f"{float(digits):g}e{int(power)}"


@register.inclusion_tag("components/charts/rating.html")
def rating_chart(standings: Sequence[Any], title: str = "") -> dict[str, Any]:
    """Each model's rating with its 95 % interval, the best at the top.

    Args:
        standings: objects with ``.model`` and ``.row.rating``, ``.lo``, ``.hi``, ``.rank_lo``,
            ``.rank_hi``, ``.votes``.
    """
    rows = sorted(standings, key=lambda s: -s.row.rating)
    ends = [e for s in rows for e in (s.row.rating, s.row.lo, s.row.hi) if _finite(e)]
    if not ends:
        return {"rows": []}
    ticks = nice_ticks(min(ends), max(ends), wanted=4)

    def across(value: float | None) -> float | None:
        return _share(value, ticks) * 100 if _finite(value) else None  # type: ignore[arg-type]

    whiskers = [
        Whisker(
            name=str(s.model),
            url=s.model.get_absolute_url() if hasattr(s.model, "get_absolute_url") else "",
            y=MARGIN // 2 + ROW * index + ROW // 2,
            x=across(s.row.rating) or 0.0,
            lo=across(s.row.lo),
            hi=across(s.row.hi),
            value=short(round(s.row.rating)),
            note=_interval(s.row),
        )
        for index, s in enumerate(rows)
    ]
    return {
        "id": f"chart-{next(_serial)}",
        "title": title or gettext("Ratings"),
        "rows": whiskers,
        "standings": rows,
        "ticks": [Tick(_share(t, ticks) * 100, short(t)) for t in ticks],
        "height": MARGIN // 2 + ROW * len(rows) + MARGIN,
        "bottom": MARGIN // 2 + ROW * len(rows),
        "n": len(rows),
        "best": rows[0],
        "csv": csv_link(
            Table(
                ["model", "rating", "lo", "hi", "rank_lo", "rank_hi", "votes"],
                [
                    (str(s.model), r.rating, r.lo, r.hi, r.rank_lo, r.rank_hi, r.votes)
                    for s, r in ((s, s.row) for s in rows)
                ],
            )
        ),
        "file": file_name(title or gettext("Ratings")),
    }


@register.inclusion_tag("components/charts/outcomes.html")
def outcome_bar(
    wins: int, ties: int, losses: int, left_name: str, right_name: str
) -> dict[str, Any]:
    """One bar of wins, ties and losses, seen from ``left_name``; ties need no half here."""
    total = wins + ties + losses
    kinds = [
        ("win", str(left_name), wins),
        ("tie", gettext("tie"), ties),
        ("loss", str(right_name), losses),
    ]
    segments, x = [], 0.0
    for kind, name, n in kinds:
        share = n / total if total else 0.0
        segments.append(Segment(kind, name, n, share, x, 100 * share))
        x += 100 * share
    return {
        "id": f"chart-{next(_serial)}",
        "segments": segments,
        "total": total,
        "left": left_name,
        "right": right_name,
        "csv": csv_link(
            Table(["outcome", "count", "share"], [(s.kind, s.count, s.share) for s in segments])
        ),
        "file": file_name(f"{left_name} against {right_name}"),
    }


@register.inclusion_tag("components/charts/lines.html")
def line_chart(
    series: Any,
    title: str,
    x_label: str,
    y_label: str,
    fixed: Mapping[str, int] | None = None,
    highest: float | None = None,
) -> dict[str, Any]:
    """Lines over a common x, such as a training curve.

    Args:
        series: ``{name: [(x, y), …]}`` or ``[(name, [(x, y), …]), …]``; a y that is None or not
            finite leaves a gap. Of more than ``MOST_POINTS`` points a line keeps, in each of as
            many steps, the least and the greatest, so that no peak is lost.
        fixed: a colour by name where lines keep theirs over several charts; then each chart has a
            legend, even of one line.
        highest: what no y can pass.
    """
    named = list(series.items()) if isinstance(series, Mapping) else list(series)
    named = [(str(name), sorted(points, key=lambda p: p[0])) for name, points in named]
    finite = [(x, y) for _, points in named for x, y in points if _finite(y)]
    if not finite:
        return {"lines": [], "title": title}
    xs, ys = [x for x, _ in finite], [y for _, y in finite if y is not None]
    span = (min(xs), max(xs))
    x_ticks = ticks_within(*span, whole=_whole(xs))
    y_ticks = nice_ticks(min(ys), max(ys), wanted=4, whole=_whole(ys), highest=highest)
    colour = fixed or colours([name for name, _ in named])
    lines = [_line(name, colour[name], thin(points), span, y_ticks) for name, points in named]
    y_labels = [Tick((1 - _share(t, y_ticks)) * LINE_HEIGHT, short(t)) for t in y_ticks]
    return {
        "id": f"chart-{next(_serial)}",
        "title": title,
        "x_label": x_label,
        "y_label": y_label,
        "lines": lines,
        "has_legend": len(lines) > 1 or bool(fixed),
        "x_ticks": [Tick(_share(t, span) * 100, short(t)) for t in x_ticks],
        "y_ticks": y_labels,
        "gap": TICK_GAP,
        "gutter": math.ceil(max(len(t.label) for t in y_labels) * DIGIT_WIDTH) + TICK_GAP,
        "plot_height": LINE_HEIGHT,
        "n": max(len(points) for _, points in named),
        "table": (table := _table(named)),
        "csv": csv_link(Table([x_label, *table["names"]], table["exact"])),
        "file": file_name(title),
    }


def colours(names: Sequence[str]) -> dict[str, int]:
    """A colour for each line, told by its name alone, so that it is the same in whatever order
    lines arrive: what is measured on test data or rejected has the second, its partner the first,
    and of two that would have the same, the later by name the next free one. ``run.js`` goes by
    the same rule."""
    chosen: dict[str, int] = {}
    for name in sorted(names, key=lambda name: (_second(name), name)):
        taken = set(chosen.values())
        ring = [(n + _second(name)) % COLOURS for n in range(COLOURS)]
        chosen[name] = next((n for n in ring if n not in taken), len(chosen) % COLOURS)
    return chosen


def _second(name: str) -> bool:
    return name.startswith("test") or name.endswith("rejected")


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about ``most`` of the points, in order: the least and the greatest of each step."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(2 * len(points) / most)
    kept: list[Point] = []
    for start in range(0, len(points), size):
        step = points[start : start + size]
        good = [p for p in step if _finite(p[1])]
        ends = {min(good, key=_y), max(good, key=_y)} if good else {step[0]}
        kept.extend(sorted(ends, key=lambda p: p[0]))
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _line(
    name: str,
    colour: int,
    points: list[Point],
    span: tuple[float, float],
    y_ticks: list[float],
) -> Line:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None or not _finite(y):
            runs.append([])
        else:
            runs[-1].append((100 * _share(x, span), 100 * (1 - _share(y, y_ticks))))
    return Line(
        name=name,
        colour=colour,
        segments=[" ".join(f"{x:.2f},{y:.2f}" for x, y in run) for run in runs if len(run) > 1],
        dots=[(run[0][0], run[0][1] * LINE_HEIGHT / 100) for run in runs if len(run) == 1],
        last=short(next((y for _, y in reversed(points) if _finite(y)), None)),
    )


def _table(named: list[tuple[str, list[Point]]]) -> dict[str, Any]:
    """Rows of x and each line's y there; long ones are thinned evenly and say so."""
    columns = [dict(points) for _, points in named]
    xs = sorted({x for points in columns for x in points})
    step = math.ceil(len(xs) / MOST_POINTS)
    shown = xs[::step] if step <= 1 or xs[-1] in xs[::step] else [*xs[::step], xs[-1]]
    rows = [(short(x), [short(points.get(x)) for points in columns]) for x in shown]
    exact = [(x, *(points.get(x) for points in columns)) for x in shown]
    names = [name for name, _ in named]
    return {"names": names, "rows": rows, "exact": exact, "step": step, "of": len(xs)}


def _share(value: float, ticks: Sequence[float]) -> float:
    """Where a value lies between the first and the last tick: 0 to 1; the middle of a lone one."""
    if ticks[-1] == ticks[0]:
        return 0.5
    return (value - ticks[0]) / (ticks[-1] - ticks[0])


def _whole(values: Sequence[float]) -> bool:
    return all(float(value).is_integer() for value in values)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _y(point: Point) -> float:
    return point[1]  # type: ignore[return-value]


def _interval(row: Any) -> str:
    if not (_finite(row.lo) and _finite(row.hi)):
        return gettext("no interval")
    return gettext("%(low)s to %(high)s") % {
        "low": short(round(row.lo)),
        "high": short(round(row.hi)),
    }
