"""What a version was downloaded as comes in again vote by vote, and nothing is read as less than it
says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from annotation.formats import FORMATS, containers, guess
from annotation.formats.base import Reading
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import RowError
from annotation.formats.write_files import write
from steelyard.lib.records import canonical_lines, write_parquet
from tests.annotation_formats import frozen

BAD = frozen.record(
    frozen.user("Name a hill."),
    "None.",
    "No.",
    outcome="both_bad",
    strength=0.0,
    reference_answer="The Brocken.",
    aspects={"style": -2.0},
    votes=[frozen.vote("rater", "both_bad")],
)
PICTURES = frozen.record(
    frozen.user("A kite"),
    "",
    "",
    modality="image",
    chosen_media="a" * 64,
    rejected_media="b" * 64,
    prompt_media=["c" * 64],
    chosen_side="b",
    votes=[frozen.vote("rater", "b", 2)],
)
SEVERAL = frozen.record(
    frozen.user("Name a river."),
    "The Elbe.",
    "",
    aspects={"style": 0.5},
    votes=[frozen.vote("rater", "a", -1), frozen.vote("scorer", "a", -2)],
    rationales=[{"annotator": "scorer", "text": "Yes.", "tags": ["x"], "evidence": [{"at": 1}]}],
)
RECORDS = [*frozen.RECORDS, BAD, PICTURES, SEVERAL]
OURS = FORMATS["steelyard_version"]


def downloaded(folder: Path, form: str) -> Path:
    path = folder / f"rows.{form}"
    if form == "jsonl":
        path.write_bytes(b"".join(canonical_lines(RECORDS)))
    else:
        write_parquet(RECORDS, path)
    return path


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_every_vote_comes_in_as_it_was_given(tmp_path: Path, form: str) -> None:
    path, reading = downloaded(tmp_path, form), Reading()
    assert guess(containers.first_row(path))[0] is OURS
    found = list(OURS.records(containers.rows(path), reading))
    for record, said in zip(RECORDS, found, strict=True):
        assert [(v.annotator, v.kind, v.outcome, v.strength) for v in said.votes] == (
            [(v["annotator"], v["kind"], v["outcome"], v["strength"]) for v in record.votes]
            or [("imported labels", "person", "a", -1)]
        )
        sides = {"a": (said.text_a, said.model_a), "b": (said.text_b, said.model_b)}
        assert sides[record.chosen_side] == (record.chosen, record.chosen_model)
        assert said.messages == record.prompt
        assert said.category == record.category
        assert said.reference_answer == record.reference_answer
    assert found[0].votes[0].rationale.startswith("It is a sea.")
    assert found[0].votes[0].tags == ["right"]
    assert found[5].votes[0].aspects == {"style": -2}
    assert (found[6].media, found[6].media_b) == (["c" * 64], "a" * 64)
    assert sorted(reading.left.values()) == [1, 1]


def test_a_row_that_says_it_is_a_tie_is_no_preference_to_trl() -> None:
    rows = [json.loads(line) for line in canonical_lines([frozen.WIN_B, frozen.TIE, BAD])]
    seen: list[RowError] = []
    reading = Reading(on_error=seen.append)
    trl = FORMATS["trl_preference"]
    assert len(list(trl.records(frozen.numbered(rows), reading))) == 1
    assert ["tie" in seen[0].reason, "both_bad" in seen[1].reason] == [True, True]


def test_our_own_plain_columns_are_read_as_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows, _ = frozen.written(FORMATS["mapped"])
    write(rows, path, "csv")
    format = guess(containers.first_row(path))[0]
    assert format.name == "steelyard_pairs"
    found = list(format.records(containers.rows(path)))
    again = list(FORMATS["mapped"].records(containers.rows(path)))
    assert [(r.messages, r.votes) for r in found] == [(r.messages, r.votes) for r in again]


VOTES = "abbx"
"""Of one pair, a row each: a is better, b twice, both are bad."""


def test_votes_written_to_kto_come_back_each_as_a_vote() -> None:
    said = {"a": ("So.", "No.", "win"), "b": ("No.", "So.", "win"), "x": ("So.", "No.", "both_bad")}
    records = [
        frozen.record(frozen.user("Why?"), better, other, outcome=outcome)
        for better, other, outcome in (said[vote] for vote in VOTES)
    ]
    kto = FORMATS["trl_unpaired"]
    for order in (records, records[::-1]):
        reading = Reading()
        rows, _ = frozen.written(kto, order)
        found = list(kto.records(frozen.numbered(rows), reading))
        assert Counter(map(better_of, found)) == {"So.": 1, "No.": 2, "neither": 1}
        assert len({vote.annotator for each in found for vote in each.votes}) == 4
        assert not reading.left


def better_of(record: ImportedRecord) -> str:
    (vote,) = record.votes
    return {"a": record.text_a, "b": record.text_b, "both_bad": "neither"}[vote.outcome]


def test_thumbs_down_become_pairs_of_which_both_are_bad_and_a_single_one_is_counted() -> None:
    kto = FORMATS["trl_unpaired"]
    answers = ["So.", "So.", "No.", "Hm."]
    rows = [{"prompt": "Why?", "completion": text, "label": False} for text in answers]
    rows.append({"prompt": "How?", "completion": "So.", "label": False})
    rows.append({"prompt": "When?", "completion": "Now.", "label": True})
    reading = Reading()
    found = list(kto.records(frozen.numbered(rows), reading))
    assert [(one.text_a, one.text_b) for one in found] == [("So.", "No."), ("So.", "Hm.")]
    assert {vote.outcome for one in found for vote in one.votes} == {"both_bad"}
    assert reading.left == {
        "no good answer to the same prompt to pair it with": 1,
        "no bad answer to the same prompt to pair it with": 1,
    }


def test_an_empty_answer_is_refused_or_counted() -> None:
    row = {"prompt": "Why?", "chosen": "So.", "rejected": ""}
    with pytest.raises(RowError, match="an answer is empty"):
        frozen.read(FORMATS["trl_preference"], [row])
    log = {"model_a": "x", "model_b": "y", "winner": "model_a", "judge": "j"}
    asked = {"role": "user", "content": "Why?"}
    for side, text in (("a", "So."), ("b", "")):
        log[f"conversation_{side}"] = [asked, {"role": "assistant", "content": text}]  # type: ignore[assignment]
    reading = Reading()
    assert not list(FORMATS["arena_33k"].records(frozen.numbered([log]), reading))
    assert reading.left == {"an answer is empty": 1}
