"""What the page measured of a pair's exposure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

DAY_MS = 24 * 3600 * 1000
_LIMITS = {"ms": DAY_MS, "watched": 1, "plays": 10_000, "seeks": 10_000}
"""What is measured of a side, and the most that can be true."""
_PIXELS = 100_000


def measured(text: str) -> dict[str, Any]:
    """The measurements; what is malformed is left out, for it never stands in a verdict's way."""
    values = _object(text)
    seen = _of_page(values)
    for side in ("a", "b"):
        if known := _of_side(values.get(side)):
            seen[side] = known
    return seen


def measured_of_set(text: str, outputs: Iterable[int]) -> dict[str, Any]:
    """The same of a set to rank, with its outputs by their numbers under ``outputs``."""
    values = _object(text)
    seen = _of_page(values)
    given = values.get("outputs")
    given = given if isinstance(given, dict) else {}
    sides = {str(pk): _of_side(given.get(str(pk))) for pk in outputs}
    if known := {pk: side for pk, side in sides.items() if side}:
        seen["outputs"] = known
    return seen


def _object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _of_page(values: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    if _within(values.get("visible_ms"), DAY_MS):
        seen["visible_ms"] = round(values["visible_ms"])
    if values.get("device") in {"touch", "pointer"}:
        seen["device"] = values["device"]
    for name in ("width", "height"):
        if _within(values.get(name), _PIXELS):
            seen[name] = round(values[name])
    return seen


def _of_side(given: Any) -> dict[str, Any]:
    part = given if isinstance(given, dict) else {}
    known = {k: part[k] for k, top in _LIMITS.items() if _within(part.get(k), top)}
    if part.get("zoomed") is True:
        known["zoomed"] = True
    return known


def _within(value: Any, top: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= top
