"""Two answers about one pair, and what they come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steelyard.inference.judging import prompting
from steelyard.inference.judging.judge import KEEP, Order, ask, combine
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import MAX_LINE


def _orders(one: Any, other: Any, strengths: tuple[Any, Any] = (None, None)) -> list[Order]:
    return [
        Order(swapped, f"raw {swapped}", outcome, strength, f"because {swapped}")
        for swapped, outcome, strength in zip((False, True), (one, other), strengths, strict=True)
    ]


@pytest.mark.parametrize("outcome", ["a", "b", "tie", "both_bad"])
def test_agreement_stands(outcome: str) -> None:
    line = combine(7, _orders(outcome, outcome))
    assert (line["pair"], line["outcome"]) == (7, outcome)
    assert line["rationale"] == "because False"
    assert "strength" not in line
    assert "invalid" not in line


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("b", "a"), ("a", "tie")])
def test_a_contradiction_is_a_tie_and_both_answers_are_kept(one: str, other: str) -> None:
    line = combine(7, _orders(one, other, (3, 3)))
    assert (line["outcome"], line["strength"]) == ("tie", 0)
    assert [o["outcome"] for o in line["orders"]] == [one, other]
    assert [o["raw"] for o in line["orders"]] == ["raw False", "raw True"]
    assert "because False" in line["rationale"]
    assert "because True" in line["rationale"]


@pytest.mark.parametrize(
    ("outcome", "strengths", "expected"),
    [("a", (3, 3), -3), ("b", (2, 2), 2), ("b", (1, 2), 1), ("a", (None, 2), -2)],
)
def test_strength_is_negative_where_a_is_better(
    outcome: str, strengths: tuple[Any, Any], expected: int
) -> None:
    assert combine(7, _orders(outcome, outcome, strengths))["strength"] == expected


@pytest.mark.parametrize(("one", "other"), [(None, "a"), ("a", None), (None, None)])
def test_what_could_not_be_read_is_invalid(one: Any, other: Any) -> None:
    line = combine(7, _orders(one, other))
    assert line["outcome"] is None
    assert "No verdict could be read" in line["invalid"]
    assert len(line["orders"]) == 2


def test_a_line_is_short_enough_for_the_run_directory() -> None:
    long = "\N{GRINNING FACE}" * 20_000
    for outcomes in (("a", "a"), ("a", "b")):
        orders = [
            Order(swapped, long, outcome, None, long)
            for swapped, outcome in zip((False, True), outcomes, strict=True)
        ]
        line = combine(7, orders)
        assert len(json.dumps(line, ensure_ascii=False).encode()) < MAX_LINE
        assert all(len(order["raw"]) <= KEEP for order in line["orders"])


def test_the_answers_change_places_and_nothing_else() -> None:
    pair = {
        "pair": 1,
        "messages": [{"role": "user", "content": "Why {x}?"}],
        "a": "It is {so}.",
        "b": "No.",
    }
    judge = {"criteria": "Truth.", "template_version": 1}
    straight, turned = ask(pair, judge, False), ask(pair, judge, True)
    assert [m["role"] for m in straight] == ["user"]
    text, other = straight[0]["content"], turned[0]["content"]
    assert text.index("It is {so}.") < text.index("No.")
    assert other.index("No.") < other.index("It is {so}.")
    assert sorted(text.splitlines()) == sorted(other.splitlines())
    assert "Truth." in text
    assert "Why {x}?" in text


def test_a_longer_chat_is_shown_with_who_says_what() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "And now?"},
    ]
    asked = prompting.question(messages=messages, criteria="c", first="1", second="2", version=1)
    assert (
        "Instructions: Be brief.\n\nPerson: Hello\n\nAssistant: Hello!\n\nPerson: And now?"
        in asked[0]["content"]
    )


def test_an_unknown_template_version() -> None:
    with pytest.raises(UserError) as caught:
        prompting.question(messages=[], criteria="", first="", second="", version=99)
    assert caught.value.code == "unknown_template"
