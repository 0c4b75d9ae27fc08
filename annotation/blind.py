"""Pairs on which people are to be blind: later rooms say of which pairs they need people's own
opinion."""

from __future__ import annotations

from collections.abc import Callable

tests: list[Callable[[int], bool]] = []
"""Each says of a pair, by its primary key, whether its room needs people who know nothing of what
others have said."""


def is_blind(pair: int) -> bool:
    return any(test(pair) for test in tests)
