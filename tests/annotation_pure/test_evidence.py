from __future__ import annotations

import math
from typing import Any

import pytest

from annotation.evidence import (
    MAX_ITEMS,
    Shown,
    checked_evidence,
    checked_segments,
    turned_evidence,
    turned_segments,
)
from steelyard.lib.errors import UserError

TEXTS = {"a": Shown(text="A 😀 balance."), "b": Shown(text="A yard.")}
PICTURES = {"a": Shown(kind="image"), "b": Shown(kind="image")}
CLIPS = {"a": Shown(kind="video", duration=2.5), "b": Shown(kind="video", duration=4.0)}


def span(**change: Any) -> dict[str, Any]:
    return {"side": "a", "kind": "span", "start": 2, "end": 3, "quote": "😀", **change}


def box(**change: Any) -> dict[str, Any]:
    return {"side": "a", "kind": "box", "x": 0.1, "y": 0.2, "width": 0.5, "height": 0.3, **change}


def time(**change: Any) -> dict[str, Any]:
    return {"side": "a", "kind": "time", "start": 1, "end": 2.25, **change}


def part(start: float, end: float, **change: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "outcome": "tie", **change}


@pytest.mark.parametrize(
    ("item", "sides"),
    [
        (span(), TEXTS),
        (span(note="clumsy", says="bad"), TEXTS),
        (box(), PICTURES),
        (box(at=1.5), CLIPS),
        (time(), CLIPS),
    ],
)
def test_it_works(item: dict[str, Any], sides: dict[str, Shown]) -> None:
    assert checked_evidence([item], sides) == [item]


def test_offsets_count_code_points_and_a_missing_quote_is_filled_in() -> None:
    item = span()
    del item["quote"]
    assert checked_evidence([item], TEXTS) == [span()]


def test_empty_remarks_are_left_out() -> None:
    assert checked_evidence([span(note="  ", says="")], TEXTS) == [span()]


@pytest.mark.parametrize(
    ("item", "sides", "told"),
    [
        ("here", TEXTS, "must be an object"),
        (span(side="left"), TEXTS, "must be a or b"),
        (span(side=["a"]), TEXTS, "must be a or b"),
        (span(kind={}), TEXTS, "must be span, box or time"),
        (span(colour="red"), TEXTS, "has no 'colour'"),
        (span(end=99), TEXTS, "has 12 characters"),
        (span(start=-1), TEXTS, "0 ≤ start"),
        (span(start=3), TEXTS, "start < end"),
        (span(start=2.0), TEXTS, "whole number"),
        (span(start=True), TEXTS, "whole number"),
        (span(end=10**5000), TEXTS, "has 12 characters"),
        (span(quote="yard"), TEXTS, "code points"),
        (span(quote=None), TEXTS, "code points"),
        (span(note="x" * 501), TEXTS, "at most 500"),
        (span(note=7), TEXTS, "at most 500"),
        (span(note="a\0b"), TEXTS, "NUL"),
        (span(note="\ud800"), TEXTS, "NUL or half"),
        (span(says="maybe"), TEXTS, "good or bad"),
        (box(), TEXTS, "has no picture; mark a span"),
        (time(), TEXTS, "is no clip; mark a span"),
        (span(), PICTURES, "has no text; mark a box"),
        (time(), PICTURES, "is no clip; mark a box"),
        (span(), CLIPS, "has no text; mark a time range or a box"),
        (box(x=1.2), PICTURES, "from 0 to 1"),
        (box(x=math.nan), PICTURES, "from 0 to 1"),
        (box(x=10**400), PICTURES, "from 0 to 1"),
        (box(x="0.1"), PICTURES, "from 0 to 1"),
        (box(x=0.6), PICTURES, "leaves the picture"),
        (box(height=0), PICTURES, "has no height"),
        (box(at=1), PICTURES, "a picture has none"),
        (box(at=3), CLIPS, "lasts 2.5 s"),
        (time(end=2.7), CLIPS, "from 0 to 2.5"),
        (time(start=2.25), CLIPS, "not after its start"),
        (time(end=math.inf), CLIPS, "from 0 to 2.5"),
    ],
)
def test_what_points_nowhere_is_refused_by_its_number(
    item: Any, sides: dict[str, Shown], told: str
) -> None:
    good = span() if sides is TEXTS else box()
    with pytest.raises(UserError) as error:
        checked_evidence([good, item], sides)
    assert error.value.message.startswith("evidence 2: ")
    assert told in error.value.message
    assert error.value.field == "evidence"
    error.value.message.encode()  # it can be sent


def test_rounding_at_the_edge_is_forgiven() -> None:
    [stored] = checked_evidence([box(x=0.5, width=0.500001)], PICTURES)
    assert stored["x"] + stored["width"] == 1
    [stored] = checked_evidence([time(end=2.55)], CLIPS)
    assert stored["end"] == 2.5


def test_too_many_items_are_refused() -> None:
    with pytest.raises(UserError, match="at most 50"):
        checked_evidence([span()] * (MAX_ITEMS + 1), TEXTS)
    with pytest.raises(UserError, match="must be a list"):
        checked_evidence({"side": "a"}, TEXTS)


def test_segments_follow_one_another_within_the_shorter_clip() -> None:
    said = [part(0, 1, outcome="a", strength=-2), part(1, 2.55, outcome="b")]
    assert checked_segments(said, CLIPS, top=3) == [
        {"start": 0, "end": 1, "outcome": "a", "strength": -2},
        {"start": 1, "end": 2.5, "outcome": "b", "strength": 1},
    ]


@pytest.mark.parametrize(
    ("segment", "told"),
    [
        (7, "must be an object"),
        (part(0.5, 2), "before segment 1 ends"),
        (part(1, 3), "from 0 to 2.5"),
        (part(2, 1), "not after its start"),
        (part(1, 1.05), "at least 0.1 s"),
        (part(1, 2, outcome="both_bad"), "a, b or tie"),
        (part(1, 2, outcome=["a"]), "a, b or tie"),
        (part(1, 2, outcome="a", strength=1), "negative means"),
        (part(1, 2, outcome="a", strength=-3), "from -2 to 2"),
        (part(1, 2, outcome="a", strength=-1.5), "from -2 to 2"),
        (part(1, 2, strength=1), "no strength"),
        (part(1, 2, mood="good"), "has no 'mood'"),
        (part(math.nan, 2), "from 0 to 2.5"),
    ],
)
def test_a_segment_that_cannot_be_is_refused_by_its_number(segment: Any, told: str) -> None:
    with pytest.raises(UserError) as error:
        checked_segments([part(0, 1), segment], CLIPS, top=2)
    assert error.value.message.startswith("segment 2: ")
    assert told in error.value.message
    assert error.value.field == "segments"


def test_turning_is_its_own_inverse_and_leaves_nonsense_alone() -> None:
    said = [span(), time(side="b"), "nonsense", {"side": ["a"]}]
    parts = [part(0, 1, outcome="a", strength=-2), part(1, 2), None, {"outcome": []}]
    assert turned_evidence(turned_evidence(said, True), True) == said
    assert turned_segments(turned_segments(parts, True), True) == parts
    assert turned_evidence(said, True)[0]["side"] == "b"
    assert turned_segments(parts, True)[0] == part(0, 1, outcome="b", strength=2)
    assert turned_evidence("nonsense", True) == "nonsense"
    assert turned_evidence(said, False) is said
