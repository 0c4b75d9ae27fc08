"""Prompts of several turns: what the user says next is answered after the answer before it.

A prompt's turns are the messages of the user that stand one after the other at its end, without an
answer between them. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Messages = Sequence[Mapping[str, Any]]


def turns_of(messages: Messages) -> int:
    """How many answers a prompt asks for; one for usual prompts."""
    start = len(messages)
    while start and messages[start - 1].get("role") == "user":
        start -= 1
    return max(1, len(messages) - start)


def upto(messages: Messages, answers: Sequence[str]) -> list[dict[str, Any]]:
    """The conversation up to the turn that is to be answered after these answers."""
    first = len(messages) - turns_of(messages)
    asked = list(map(dict, messages[: first + 1]))
    for message, answer in zip(messages[first + 1 :], answers, strict=False):
        asked += [{"role": "assistant", "content": answer}, dict(message)]
    return asked


def spoken(messages: Messages) -> list[dict[str, Any]]:
    """All turns with empty answers between them: what is known before any is given."""
    return upto(messages, [""] * (turns_of(messages) - 1))


def joined(answers: Sequence[str]) -> str:
    """The answers as one output: a single one as it is, several under the number of their turn."""
    if len(answers) == 1:
        return answers[0]
    return "\n\n".join(f"[Answer {at}]\n{text.strip()}" for at, text in enumerate(answers, 1))
