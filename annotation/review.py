"""What a page that shows a pair again draws on its texts. Pure: no database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from annotation.spans import to_shown
from steelyard.lib.errors import UserError


def shown_marks(
    evidence: Iterable[list[dict[str, Any]]], texts: dict[str, str]
) -> dict[str, list[tuple[int, int]]]:
    """The marked words of all votes, once each, as offsets of the shown texts, by canonical side or
    by the letters of a set's answers.

    Args:
        evidence: each vote's items as they are stored.
        texts: the Markdown source of each side.
    """
    marks: dict[str, set[tuple[int, int]]] = {side: set() for side in texts}
    for item in (item for items in evidence for item in items):
        if item.get("kind") != "span" or item.get("side") not in texts:
            continue
        try:
            start, end = to_shown(texts[item["side"]], item["start"], item["end"])
        except UserError:  # of a text that an import has corrected since: the quote still tells
            continue
        if start < end:
            marks[item["side"]].add((start, end))
    return {side: sorted(found) for side, found in marks.items()}


def shown_boxes(
    evidence: Iterable[list[dict[str, Any]]], sides: Iterable[str]
) -> dict[str, list[dict[str, Any]]]:
    """The boxes on pictures of all votes, by side, in the order of the votes; those on a moment of
    a video are told in words."""
    boxes: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for item in (item for items in evidence for item in items):
        if item.get("kind") == "box" and item.get("at") is None and item.get("side") in boxes:
            boxes[item["side"]].append(item)
    return boxes
