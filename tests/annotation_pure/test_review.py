from __future__ import annotations

from annotation.review import shown_boxes, shown_marks

TEXTS = {"a": "It is **seven**.", "b": "It is *eight*."}


def span(side: str, start: int, end: int) -> dict:
    return {"side": side, "kind": "span", "start": start, "end": end, "quote": ""}


def test_the_marks_of_all_votes_stand_once_where_they_are_shown() -> None:
    box = {"side": "a", "kind": "box", "x": 0, "y": 0, "width": 1, "height": 1}
    votes = [[span("a", 8, 13), box], [span("a", 8, 13), span("b", 7, 12)], []]
    assert shown_marks(votes, TEXTS) == {"a": [(6, 11)], "b": [(6, 11)]}


def test_what_is_not_in_the_text_any_more_is_left_out() -> None:
    assert shown_marks([[span("a", 8, 130)], [span("b", 6, 7)]], TEXTS) == {"a": [], "b": []}


def test_boxes_on_pictures_stand_by_side_and_not_those_on_a_moment_of_a_video() -> None:
    box = {"side": "b", "kind": "box", "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
    found = shown_boxes(
        [[box, {**box, "at": 1.5}], [span("a", 0, 2)], [{**box, "side": "a"}]], "ab"
    )
    assert found == {"a": [{**box, "side": "a"}], "b": [box]}
