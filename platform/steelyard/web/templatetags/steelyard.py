"""Template helpers used on many pages; loaded everywhere as builtins."""

from __future__ import annotations

import nh3
from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

register = template.Library()
_MARKDOWN = MarkdownIt("commonmark", {"breaks": True, "html": False}).enable(
    ["table", "strikethrough"]
)


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown to safe HTML: raw HTML is shown as text, and what is left is sanitised."""
    html = nh3.clean(_MARKDOWN.render(text or ""), link_rel="noopener noreferrer nofollow")
    return mark_safe(html)


@register.filter
def percent(value: float | None) -> str:
    """0.5432 → 54.3 %"""
    return "–" if value is None else f"{100 * value:.1f} %"


@register.filter
def number(value: float | None) -> str:
    """Four significant digits."""
    return "–" if value is None else f"{value:.4g}"


@register.simple_tag
def exact_time(value: object) -> SafeString:
    """A relative time with the exact one on hover; the script brings it up to date."""
    if not value:
        return mark_safe("–")
    iso = value.isoformat()  # type: ignore[attr-defined]
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, iso, f"{value:%d %b %H:%M}")
