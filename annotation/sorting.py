"""Tables that are sorted by a word in the URL, such as ``?sort=-verdicts``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Value = Callable[[T], Any]


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column of a table; one without a value cannot be sorted by."""

    key: str
    label: str
    value: Value | None = None
    num: bool = False


@dataclass(frozen=True)
class Heading:
    label: str
    num: bool
    sorted: str
    """``ascending``, ``descending`` or empty: what ``aria-sort`` says."""
    link: str
    """What the URL has to say to sort by it, the other way round where it is so already; empty
    where the column cannot be sorted by."""


def sort(rows: Iterable[T], columns: list[Column[T]], said: str) -> tuple[list[T], list[Heading]]:
    """The rows as the URL says, and the headings of the table; what it says wrongly sorts nothing.

    What is not known (None) comes last both ways.
    """
    key = said.removeprefix("-")
    down = said.startswith("-")
    chosen = next((c for c in columns if c.key == key and c.value), None)
    found = list(rows)
    if chosen and chosen.value:
        value = chosen.value
        known = [row for row in found if value(row) is not None]
        known.sort(key=value, reverse=down)
        found = known + [row for row in found if value(row) is None]
    return found, [_heading(column, chosen, down) for column in columns]


def _heading(column: Column[T], chosen: Column[T] | None, down: bool) -> Heading:
    if column.value is None:
        return Heading(column.label, column.num, "", "")
    if column is not chosen:
        # of numbers the greatest are looked for first, of names the first
        return Heading(column.label, column.num, "", f"-{column.key}" if column.num else column.key)
    if down:
        return Heading(column.label, column.num, "descending", column.key)
    return Heading(column.label, column.num, "ascending", f"-{column.key}")
