"""Columns of any names are read by a mapping that says which is what."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.formats import mapped
from annotation.formats.records import ImportedRecord
from steelyard.lib.errors import UserError
from tests.annotation_formats import frozen

ROW = {"frage": "Why?", "links": "So.", "rechts": "No.", "sieger": "L", "wer": "rater", "n": "2"}
SAID: dict[str, Any] = {
    "prompt": "frage",
    "a": "links",
    "b": "rechts",
    "outcome": "sieger",
    "annotator": "wer",
    "words": {"L": "a", "R": "b"},
}


def read(row: dict[str, Any], **said: Any) -> ImportedRecord:
    mapping = mapped.mapping_of(said, row)
    (record,) = frozen.read(mapped.format_for(mapping), [row])
    return record


def test_it_works() -> None:
    record = read(ROW, **SAID)
    assert record.messages == frozen.user("Why?")
    assert (record.text_a, record.text_b) == ("So.", "No.")
    assert [(v.annotator, v.outcome, v.strength) for v in record.votes] == [("rater", "a", -1)]


def test_a_strength_alone_says_the_outcome() -> None:
    record = read(ROW, **{**SAID, "outcome": "", "strength": "n"})
    assert [(v.outcome, v.strength) for v in record.votes] == [("b", 2)]
    with pytest.raises(UserError, match="“n” is 2, but “sieger” says a; negative means"):
        read(ROW, **SAID, strength="n")


def test_one_side_may_always_be_the_better() -> None:
    record = read(ROW, prompt="frage", a="rechts", b="links", always="a")
    assert [(v.outcome, v.strength) for v in record.votes] == [("a", -1)]


def test_a_row_without_an_outcome_is_a_pair_to_label() -> None:
    assert read({**ROW, "sieger": None}, **SAID).votes == []
    assert read(ROW, prompt="frage", a="links", b="rechts").votes == []


def test_files_may_be_compared_and_carried_by_the_row() -> None:
    row = {"p": "A kite", "x": {"bytes": b"1", "path": "1.png"}, "y": "kites/2.png"}
    record = read(row, prompt="p", media_a="x", media_b="y")
    assert record.blobs == {record.media_a: b"1"}
    assert record.media_b == "kites/2.png"


def test_usual_names_are_suggested() -> None:
    assert mapped.suggest(["Prompt", "chosen", "rejected", "x"]) == {
        "prompt": "Prompt",
        "a": "chosen",
        "b": "rejected",
        "always": "a",
    }
    assert mapped.suggest(["question", "response_1", "response_2", "winner", "model_a"]) == {
        "prompt": "question",
        "a": "response_1",
        "b": "response_2",
        "outcome": "winner",
        "model_a": "model_a",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": ""}, "say which column is the prompt"),
        ({"b": ""}, "say which columns are the two answers"),
        ({"a": "left"}, "the file has no column “left”"),
        ({"colour": "n"}, "there is no part “colour”"),
        ({"words": {"L": "best"}}, "“best” is no outcome"),
        ({"always": "c"}, "“c” is no outcome"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        mapped.mapping_of({**SAID, **change}, ROW)


def test_a_mapping_can_be_kept_and_taken_up_again() -> None:
    mapping = mapped.mapping_of(SAID, ROW)
    assert mapped.mapping_of(mapped.as_dict(mapping)) == mapping
    with pytest.raises(UserError, match="there is no column “rechts”; Plain columns needs"):
        frozen.read(mapped.format_for(mapping), [{"frage": "Why?", "links": "So."}])
