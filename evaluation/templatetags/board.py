"""What templates of leaderboards look up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import template

register = template.Library()


@register.filter
def of(table: Mapping[Any, Any], key: Any) -> Any:
    """The value of a key; empty where it has none."""
    return table.get(key, "")


@register.filter
def at(rows: Sequence[Any], place: int) -> Any:
    """The row at a place; empty where there is none."""
    return rows[place] if place < len(rows) else ""


@register.filter
def whole_percent(value: float | None) -> str:
    """A share without decimals or sign, for narrow cells."""
    return "" if value is None else f"{100 * value:.0f}"


@register.filter
def signed_percent(value: float | None) -> str:
    """A difference of shares in points, with its sign."""
    return "" if value is None else points(100 * value)


@register.filter
def points(value: float) -> str:
    """A difference as a whole number with its sign."""
    whole = round(value)
    return f"{whole:+d}".replace("-", "−") if whole else "0"
