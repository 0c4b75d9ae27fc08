"""Template helpers used on many pages; loaded everywhere as builtins."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from steelyard.web.markdown import render

register = template.Library()
_DASH = "–"
_UNITS = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]


@register.filter
def markdown(text: str, top: int = 3) -> SafeString:
    """Markdown to safe HTML: raw HTML is shown as text, and what is left is sanitised. ``top`` is
    the level of its highest heading, one below that of the section it stands in."""
    return mark_safe(render(text, top=top))


@register.filter
def percent(value: float | None) -> str:
    """0.5432 → 54.3 %"""
    return _DASH if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


@register.filter
def number(value: float | None) -> str:
    """Four significant digits; whole numbers in full."""
    if value is None:
        return _DASH
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.4g}"


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Seconds (or a timedelta) in the two largest units: 200 → 3 min 20 s; 0.25 → 0.3 s."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None or not math.isfinite(seconds):
        return _DASH
    if 0 < seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    left = round(max(seconds, 0))
    parts: list[str] = []
    for unit, size in _UNITS:
        if left >= size or parts:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(p for p in parts[:2] if not p.startswith("0 ")) or "0 s"


@register.simple_tag
def exact_time(value: datetime | None) -> SafeString:
    """A relative time with the exact one on hover; the script keeps it up to date."""
    if not value:
        return mark_safe(_DASH)
    exact = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    words = relative(timezone.now() - value)
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), exact, words)


def relative(age: timedelta) -> str:
    """How long ago in one unit; the script ``times.js`` says the same of the same age."""
    seconds = abs(age.total_seconds())
    for unit, size in [("day", 86400), ("hour", 3600), ("minute", 60)]:
        count = int(seconds // size)
        if count:
            words = f"{count} {unit}{'s' if count > 1 else ''}"
            return f"{words} ago" if age.total_seconds() >= 0 else f"in {words}"
    return "just now"


@register.simple_tag
def nav_url(name: str, *args: Any) -> str:
    """The URL of a page of any room, empty where there is no such page: rooms are named as
    strings, so that an earlier room's page can link to a later one."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """This page's query string with some parameters changed; None or empty removes one."""
    request = context.get("request")
    parameters: QueryDict = request.GET.copy() if request else QueryDict(mutable=True)
    for name, value in changes.items():
        parameters.pop(name, None)
        if value not in (None, ""):
            parameters[name] = str(value)
    return f"?{parameters.urlencode()}" if parameters else "?"


@register.simple_tag
def elapsed(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end, or until now while it goes on."""
    return ((end or timezone.now()) - start).total_seconds() if start else None


@register.simple_tag
def time_left(seconds: float, done: int, total: int) -> float | None:
    """Seconds until ``total`` at the pace so far; None while there is no pace to speak of."""
    if seconds < 5 or done <= 0 or done >= total:
        return None
    return seconds * (total - done) / done
