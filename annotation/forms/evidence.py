"""Evidence and segments between the page's hidden fields and a verdict.

The page speaks of places and of the text as it is shown; a verdict speaks of the text's source.
Whether an item makes sense is for :mod:`annotation.evidence` to say; here it only changes form.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from annotation import spans
from steelyard.lib.errors import UserError
from steelyard.lib.plain_json import read_json

Texts = Callable[[], dict[str, str]]
"""The texts of the outputs by place, a shown first, or of a set's by their numbers; asked for only
where a span needs them."""


def listed(text: str) -> list[dict[str, Any]]:
    """The items of a hidden field.

    Raises:
        ValidationError: it is not a list of objects in JSON.
    """
    try:
        items = read_json(text or "[]")
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise forms.ValidationError(_("This must be a list of objects in JSON."))
    return items


def to_source(
    items: list[dict[str, Any]], texts: Texts, where: str = "side"
) -> list[dict[str, Any]]:
    """Spans of the shown text become spans of the Markdown that it was made from.

    Raises:
        ValidationError: a span has no two offsets, or they lie outside its text.
    """
    return [_span_to_source(item, texts(), where) if "shown" in item else item for item in items]


def _span_to_source(item: dict[str, Any], texts: dict[str, str], where: str) -> dict[str, Any]:
    text = texts.get(str(item.get(where)))
    try:
        start, end = (int(offset) for offset in item["shown"])
    except (TypeError, ValueError):
        raise forms.ValidationError(_("A marked passage needs a start and an end.")) from None
    if text is None:
        raise forms.ValidationError(_("A marked passage belongs to no answer of this pair."))
    try:
        start, end = spans.to_source(text, start, end)
    except UserError as error:
        raise forms.ValidationError(error.message) from error
    kept = {name: value for name, value in item.items() if name != "shown"}
    return {**kept, "start": start, "end": end, "quote": text[start:end]}


def to_page(items: list[dict[str, Any]], texts: dict[str, str]) -> str:
    """The items as the page's hidden field holds them; sides are places already."""
    return json.dumps([_to_shown(item, texts) for item in items], ensure_ascii=False)


def _to_shown(item: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    if item["kind"] != "span":
        return item
    shown = spans.to_shown(texts[item["side"]], item["start"], item["end"])
    kept = {name: value for name, value in item.items() if name not in {"start", "end"}}
    return {**kept, "shown": list(shown)}
