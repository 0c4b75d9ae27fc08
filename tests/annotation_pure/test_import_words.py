"""What a run that brings a file in says when it is refused."""

from __future__ import annotations

import pytest

from annotation.transfer.importing import _whole
from annotation.transfer.words import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said, coded

NOTHING = {"stored": 0, "stored_to_row": 0, "pairs": 0, "judgments": 0}
ROW = {"place": "row 2", "reason": "no answer.", "more": "3"}


@pytest.mark.parametrize(
    "trouble",
    [
        Said(WORDS, "row_wrong", **ROW),
        Said(WORDS, "rows_more_wrong", **ROW),
        Said(WORDS, "too_many_errors", most="1,000", format="TRL"),
        "A file of another kind.",
    ],
)
def test_it_says_once_that_nothing_was_stored(trouble: str) -> None:
    said = _whole(UserError(trouble), NOTHING)
    assert said.startswith(trouble)
    assert said.count("Nothing was stored.") == 1
    assert coded(said)


def test_it_says_what_is_in_all_the_same() -> None:
    said = _whole(UserError("The disk is full."), {**NOTHING, "stored": 5, "stored_to_row": 1999})
    assert said.startswith("The disk is full. What stands before row 2,000 is in:")
    assert "Nothing was stored" not in said
