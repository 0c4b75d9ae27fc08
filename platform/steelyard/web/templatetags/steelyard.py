"""Template helpers used on many pages; loaded everywhere as builtins."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from steelyard.web.catalogue import catalogue_url
from steelyard.web.markdown import render

register = template.Library()
_DASH = "–"
DAY, HOUR, MINUTE = 86400, 3600, 60


@register.filter
def markdown(text: str, top: int = 3) -> SafeString:
    """Markdown to safe HTML: raw HTML is shown as text, and what is left is sanitised. ``top`` is
    the level of its highest heading, one below that of the section it stands in."""
    return mark_safe(render(text, top=top, note=_("Shown without formatting: there is too much.")))


@register.filter
def percent(value: float | None) -> str:
    """0.5432 → 54.3 %"""
    if value is None or not math.isfinite(value):
        return _DASH
    return _("%(number)s %%") % {"number": _decimals(f"{100 * value:.1f}")}


@register.filter
def number(value: float | None) -> str:
    """Four significant digits; whole numbers in full."""
    if value is None:
        return _DASH
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return _decimals(f"{value:.4g}")


@register.filter
def signed(value: float | None) -> str:
    """0.4237 → +0.42, with a true minus"""
    if value is None or not math.isfinite(value):
        return _DASH
    return _decimals(f"{value:+.2f}".replace("-", "\u2212"))


def _decimals(digits: str) -> str:
    """The point of a written number as the language of the page has it."""
    return digits.replace(".", get_format("DECIMAL_SEPARATOR"))


@register.filter
def in_sentence(word: str) -> str:
    """A word that stands alone elsewhere, within a sentence: small in English, as it is in a
    language whose nouns are capitalised."""
    return str(word).lower() if (get_language() or "en").startswith("en") else str(word)


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Seconds (or a timedelta) in the two largest units: 200 → 3 min 20 s; 0.25 → 0.3 s."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None or not math.isfinite(seconds):
        return _DASH
    if 0 < seconds < 10:
        digits = f"{seconds:.1f}".removesuffix(".0")
        return f"{_decimals(digits)} {pgettext('unit', 's')}"
    left = round(max(seconds, 0))
    parts: list[str] = []
    for unit, size in _units():
        if left >= size or parts:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(p for p in parts[:2] if not p.startswith("0 ")) or f"0 {pgettext('unit', 's')}"


def _units() -> list[tuple[str, int]]:
    """Short words for days, hours, minutes and seconds, with their seconds."""
    return [
        (pgettext("unit", "d"), DAY),
        (pgettext("unit", "h"), HOUR),
        (pgettext("unit", "min"), MINUTE),
        (pgettext("unit", "s"), 1),
    ]


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
    past, seconds = age.total_seconds() >= 0, abs(age.total_seconds())
    days, hours, minutes = (int(seconds // size) for size in (DAY, HOUR, MINUTE))
    count = days or hours or minutes
    if days and past:
        words = ngettext("%(count)s day ago", "%(count)s days ago", days)
    elif days:
        words = ngettext("in %(count)s day", "in %(count)s days", days)
    elif hours and past:
        words = ngettext("%(count)s hour ago", "%(count)s hours ago", hours)
    elif hours:
        words = ngettext("in %(count)s hour", "in %(count)s hours", hours)
    elif minutes and past:
        words = ngettext("%(count)s minute ago", "%(count)s minutes ago", minutes)
    elif minutes:
        words = ngettext("in %(count)s minute", "in %(count)s minutes", minutes)
    else:
        words = _("just now")
    return words % {"count": count} if count else words


@register.simple_tag
def words_of_scripts() -> str:
    """Where the scripts of this page find their words; empty where they need none."""
    return catalogue_url(get_language() or "")


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
