"""A verdict for each turn of a conversation, and what they come to together.

An output to a prompt of several turns holds all answers, each under ``[Answer 1]``, ``[Answer 2]``.
Of each turn a judge is asked for itself and sees the conversation until that turn and no further,
as MT-bench asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAMES = ("first turn", "second turn", "third turn", "fourth turn")
"""What a turn's verdict is called among the aspects."""
_MARK = re.compile(r"^\[Answer (\d+)\][ \t]*\n", re.MULTILINE)
_SIGN = {"a": -1, "b": 1}
_FOCUS = """

The request is a conversation of {number} turns, and each side's answers stand one after the \
other. Compare the answers to the last turn alone: the earlier ones are there so that it can be \
understood."""

Line = dict[str, Any]
Asked = Mapping[str, Any]


def parts_of(pair: Asked) -> list[dict[str, Any]]:
    """The pair until each of its turns; none where it is judged as a whole: nobody wants it by
    turns, it has one turn or more than four, or an output does not say which answer is which."""
    messages = pair["messages"]
    first = len(messages)
    while first and messages[first - 1]["role"] == "user":
        first -= 1
    turns = len(messages) - first
    if not pair.get("by_turns") or not 2 <= turns <= len(NAMES):
        return []
    answers = {side: _answers(pair[side]) for side in "ab"}
    if any(len(said) != turns for said in answers.values()):
        return []
    return [
        {
            **pair,
            "messages": messages[: first + turn],
            "focus": _FOCUS.format(number=turn) if turn > 1 else "",
            **{side: _joined(said[:turn]) for side, said in answers.items()},
        }
        for turn in range(1, turns + 1)
    ]


def verdict(ask: Callable[[Asked], Line], pair: Asked) -> Line:
    """One pair by somebody who is asked one at a time."""
    parts = parts_of(pair)
    return together([ask(part) for part in parts]) if parts else ask(pair)


def verdicts(ask: Callable[[Sequence[Asked]], list[Line]], pairs: Sequence[Asked]) -> list[Line]:
    """Several pairs by somebody who is asked many at once, in their order."""
    parts = {pair["pair"]: parts_of(pair) for pair in pairs}
    found: dict[int, list[Line]] = {}
    for turn in range(max([1, *map(len, parts.values())])):
        now = [
            parts[pair["pair"]][turn] if parts[pair["pair"]] else pair
            for pair in pairs
            if turn < max(1, len(parts[pair["pair"]]))
        ]
        for line in ask(now):
            found.setdefault(line["pair"], []).append(line)
    return [together(found[pair["pair"]]) for pair in pairs]


def together(lines: Sequence[Line]) -> Line:
    """One line of a pair's turns: whoever is ahead over all of them has won, and each turn's
    verdict is an aspect. ``orders`` are the last turn's, which saw all; ``turns`` has each."""
    if len(lines) == 1:
        return lines[0]
    last = lines[-1]
    turns = [
        {"turn": at, **{k: line[k] for k in ("outcome", "strength", "orders") if k in line}}
        for at, line in enumerate(lines, 1)
    ]
    bad = [line for line in lines if line.get("outcome") is None]
    if bad:
        return {**last, "outcome": None, "invalid": bad[0].get("invalid", ""), "turns": turns}
    signed = [_signed(line) for line in lines]
    total = sum(_SIGN.get(line["outcome"], 0) for line in lines)
    outcome = "a" if total < 0 else "b" if total > 0 else "tie"
    if all(line["outcome"] == "both_bad" for line in lines):
        outcome = "both_bad"
    size = max(1, int(abs(sum(signed)) / len(signed) + 0.5))
    told = [line["p_a"] for line in lines if "p_a" in line]
    kept = {name: value for name, value in last.items() if name not in ("p_a", "strength")}
    return {
        **kept,
        **({"p_a": round(sum(told) / len(told), 6)} if len(told) == len(lines) else {}),
        "outcome": outcome,
        "strength": _SIGN.get(outcome, 0) * size,
        "aspects": {
            **last.get("aspects", {}),
            **dict(zip(NAMES, signed, strict=False)),
        },
        "rationale": "\n\n".join(
            f"{name.capitalize()}: {line['rationale']}"
            for name, line in zip(NAMES, lines, strict=False)
        ),
        "turns": turns,
    }


def _signed(line: Line) -> int:
    sign = _SIGN.get(line["outcome"], 0)
    return sign * max(1, abs(line.get("strength") or 1)) if sign else 0


def _answers(text: str) -> list[str]:
    """The answers under their numbers, which must count up from 1 at the text's beginning."""
    parts = _MARK.split(text)
    numbers = [int(one) for one in parts[1::2]]
    if parts[0].strip() or numbers != list(range(1, len(numbers) + 1)):
        return []
    return [one.strip() for one in parts[2::2]]


def _joined(answers: Sequence[str]) -> str:
    if len(answers) == 1:
        return answers[0]
    return "\n\n".join(f"[Answer {at}]\n{text}" for at, text in enumerate(answers, 1))
