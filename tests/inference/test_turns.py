"""A verdict for each turn: what a judge is shown of it, and what the verdicts come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.inference.judging import turns
from steelyard.inference.judging.judge import ask

TALK: dict[str, Any] = {
    "pair": 7,
    "by_turns": True,
    "messages": [
        {"role": "user", "content": "A riddle."},
        {"role": "user", "content": "Rhyme it."},
    ],
    "a": "[Answer 1]\nWhat has keys?\n\n[Answer 2]\nTrees and keys.",
    "b": "[Answer 1]\nWho knows?\n\n[Answer 2]\nWho knows, goes.",
}
JUDGE = {"name": "strict", "criteria": "Be right.", "template_version": 2}


def test_a_turn_is_shown_with_the_conversation_until_it() -> None:
    first, second = (ask(part, JUDGE, False)[0]["content"] for part in turns.parts_of(TALK))
    assert "What has keys?" in first
    assert "Rhyme" not in first
    assert "Trees" not in first
    assert "turns" not in first
    assert "Rhyme" in second
    assert "[Answer 1]\nWhat has keys?" in second
    assert "Compare the answers to the last turn alone" in second


def test_what_is_not_told_apart_is_judged_as_a_whole() -> None:
    for other in (
        {"by_turns": False},
        {"a": "No marks."},
        {"b": "[Answer 1]\nOne alone."},
        {"a": "[Answer 2]\nx\n\n[Answer 1]\ny"},
        {"messages": TALK["messages"][:1]},
        {"messages": TALK["messages"] * 3},
    ):
        assert turns.parts_of({**TALK, **other}) == []


def line(outcome: str | None, strength: int = 0, **more: Any) -> dict[str, Any]:
    orders = [{"swapped": False, "outcome": outcome}]
    said = {"pair": 7, "outcome": outcome, "strength": strength, "rationale": str(outcome)}
    return {**said, "orders": orders, **more}


def test_whoever_is_ahead_over_the_turns_has_won() -> None:
    won = turns.together([line("a", -3, p_a=0.9), line("tie", p_a=0.5)])
    assert (won["outcome"], won["strength"], won["p_a"]) == ("a", -2, 0.7)
    assert won["aspects"] == {"first turn": -3, "second turn": 0}
    assert won["rationale"] == "First turn: a\n\nSecond turn: tie"
    assert [one["outcome"] for one in won["turns"]] == ["a", "tie"]
    even = turns.together([line("a", -3), line("b", 1)])
    assert (even["outcome"], even["strength"]) == ("tie", 0)
    assert turns.together([line("both_bad"), line("both_bad")])["outcome"] == "both_bad"
    unread = turns.together([line(None, invalid="nothing"), line("b", 1)])
    assert (unread["outcome"], unread["invalid"]) == (None, "nothing")


def test_many_are_asked_turn_by_turn_and_come_back_in_their_order() -> None:
    seen: list[list[int]] = []

    def many(pairs: Any) -> list[dict[str, Any]]:
        seen.append([pair["pair"] for pair in pairs])
        return [{**line("b", 1), "pair": pair["pair"]} for pair in pairs]

    plain: Mapping[str, Any] = {**TALK, "pair": 3, "by_turns": False}
    found = turns.verdicts(many, [plain, TALK])
    assert seen == [[3, 7], [7]]
    assert [one["pair"] for one in found] == [3, 7]
    assert ("aspects" in found[0], "aspects" in found[1]) == (False, True)
