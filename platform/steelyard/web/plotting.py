"""What the charts of ``{% load plots %}`` are made of, and how their numbers leave as CSV.

A view makes :class:`Series` or :class:`Row` and gives them to the template; nothing here knows of
models. Whatever a chart shows stands in a table behind it, and the same table is its CSV: a link
that carries the file, so that it works without a script and without an address of its own.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from steelyard.lib.spreadsheet import csv_lines


@dataclass(frozen=True)
class Point:
    """One value at a place, with the ends of its interval where it has one."""

    x: float
    y: float
    lo: float | None = None
    hi: float | None = None
    n: int | None = None
    """What it stands on; shown in the table, and as the size of a dot."""
    name: str = ""
    """What the point is called in the table and on hover; its x where empty."""


@dataclass(frozen=True)
class Series:
    """Points that belong together, rising in x."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    """0 to 5, of the palette of charts."""
    style: str = "whiskers"
    """``path``: a line in the band of its intervals; ``whiskers``: dots with whiskers; ``joined``:
    those with a line through them; ``dashed``: a line that is no estimate."""


@dataclass(frozen=True)
class Row:
    """One row of a forest plot."""

    name: str
    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int | None = None
    url: str = ""
    note: str = ""
    """A word under the name: whose votes, what kind of estimate."""
    marked: bool = False
    """Whether it stands out."""
    colour: int = 0


@dataclass(frozen=True)
class Table:
    """The numbers behind a chart."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]] = field(default_factory=list)


def csv_link(table: Table) -> str:
    """A ``data:`` address of the table's CSV."""
    rows = ([_plain(value) for value in row] for row in table.rows)
    text = "".join(csv_lines([str(column) for column in table.columns], rows))
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def file_name(title: str) -> str:
    """A chart's title as the name of its files, without an ending."""
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")[:60] or "chart"


def _plain(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def ends_of(points: Iterable[Point]) -> list[float]:
    """All heights that a chart of the points must have room for."""
    return [float(e) for p in points for e in (p.y, p.lo, p.hi) if e is not None and finite(e)]
