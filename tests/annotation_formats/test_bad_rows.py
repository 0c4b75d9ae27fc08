"""Rows that are not what their format says: each is refused with its place, its column, and what
would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotation.formats import FORMATS, check, get, guess, trl_unpaired
from annotation.formats.base import UNNAMED, Reading
from annotation.formats.rows import Row, RowError
from steelyard.lib.errors import UserError
from tests.annotation_formats import frozen

ASKED = [{"role": "user", "content": "Why?"}]
SAID = [*ASKED, {"role": "assistant", "content": "So."}]
OTHER = [*ASKED, {"role": "assistant", "content": "No."}]
ARENA = {
    "question_id": "q",
    "model_a": "small",
    "model_b": "large",
    "winner": "model_a",
    "judge": "rater",
    "conversation_a": SAID,
    "conversation_b": OTHER,
}
ONE_HOT = {
    "model_a": "small",
    "model_b": "large",
    "prompt": '["Why?"]',
    "response_a": '["So."]',
    "response_b": '["No."]',
    "winner_model_a": "1",
    "winner_model_b": "0",
    "winner_tie": "0",
}
ALPACA = {"instruction": "Why?", "output_1": "So.", "output_2": "No.", "preference": 1}
STEER = {"context": ASKED, "response1": "So.", "response2": "No.", "overall_preference": -1}
REWRITES = {"prompt": "Why?", "answer": "So.", "rewrites": [{"text": "a"}, {"text": "b"}]}
HH = {
    "chosen": "\n\nHuman: Why?\n\nAssistant: So.",
    "rejected": "\n\nHuman: Why?\n\nAssistant: No.",
}
WRONG = [
    # format, a row, and what its refusal says
    ("trl_preference", {"chosen": "a"}, "there is no column “rejected”; TRL preference needs"),
    ("trl_preference", {"prompt": "Why?", "chosen": "a", "rejected": "a"}, "are the same text"),
    ("trl_preference", {"prompt": "Why?", "chosen": "a", "rejected": 7}, "“rejected” is a number"),
    ("trl_preference", {"prompt": " ", "chosen": "a", "rejected": "b"}, "“prompt” is blank"),
    ("trl_preference", {"chosen": "yes", "rejected": "no"}, "do not begin with the same text"),
    ("trl_preference", {"chosen": SAID, "rejected": [*SAID, *OTHER]}, "before their last message"),
    ("trl_preference", {"chosen": ASKED * 2, "rejected": OTHER}, "one message of the assistant"),
    ("trl_preference", {"prompt": "Why?", "chosen": "a\x00", "rejected": "b"}, "a NUL character"),
    (
        "trl_preference",
        {"prompt": ASKED, "chosen": [{"role": "king", "content": "a"}], "rejected": SAID[1:]},
        "a role in “chosen” is 'king'",
    ),
    (
        "trl_preference",
        {"prompt": "Why?", "chosen": "a", "rejected": "b", "images": [7]},
        "a file in “images” is neither a name nor bytes",
    ),
    ("trl_reward", {"chosen": SAID, "rejected": OTHER, "margin": -1}, "cannot be worse"),
    ("trl_reward", {"chosen": SAID, "rejected": OTHER, "margin": "much"}, "must be a number"),
    ("trl_reward", {"chosen": SAID, "rejected": OTHER, "margin": float("nan")}, "must be a number"),
    ("trl_unpaired", {"prompt": "Why?", "completion": "a", "label": "good"}, "true or false"),
    ("trl_unpaired", {"prompt": "Why?", "completion": "a"}, "there is no column “label”"),
    ("hh_rlhf", {**HH, "chosen": "Human: Why?"}, "must begin with a blank line and “Human: ”"),
    ("hh_rlhf", {**HH, "rejected": HH["chosen"]}, "are the same text"),
    ("hh_rlhf", {**HH, "chosen": HH["chosen"].replace("Why", "How")}, "before their last message"),
    (
        "ultrafeedback_binarized",
        {"prompt": "", "chosen": SAID, "rejected": OTHER, "score_chosen": 1, "score_rejected": 2},
        "“score_chosen” is less",
    ),
    ("query_rewrites", {**REWRITES, "answer": " "}, "“answer” is blank"),
    ("query_rewrites", {**REWRITES, "rewrites": [{"text": "So."}]}, "“rewrites” has 1"),
    ("query_rewrites", {**REWRITES, "rewrites": [{"text": ""}] * 2}, "“text” is blank"),
    (
        "query_rewrites",
        {**REWRITES, "rewrites": [{"text": "So.", "passages": [{"text": "It."}]}] * 2},
        "“score” is None; it must be a number",
    ),
    ("helpsteer3_preference", {**STEER, "overall_preference": 4}, "a number, -3 to 3"),
    ("helpsteer3_preference", {**STEER, "overall_preference": 1.5}, "a whole number, -3 to 3"),
    (
        "helpsteer3_preference",
        {**STEER, "individual_preference": [{"score": 1}, {"reasoning": "x"}]},
        "item 2 of “individual_preference”: “score” is None",
    ),
    ("arena_33k", {**ARENA, "winner": "nobody"}, "“winner” is “nobody”; it must be one of model_a"),
    ("arena_33k", {**ARENA, "conversation_b": SAID[1:]}, "must begin with the same question"),
    ("arena_33k", {**ARENA, "conversation_b": []}, "“conversation_b” is empty"),
    ("arena_33k", {**ARENA, "model_b": " "}, "“model_b” must be a name of one line"),
    ("arena_55k", {**ONE_HOT, "winner_tie": "1"}, "exactly one of"),
    ("arena_55k", {**ONE_HOT, "response_b": "[]"}, "“response_b” must be a list of texts"),
    ("arena_55k", {**ONE_HOT, "response_b": '["a", "b"]'}, "has 2 turns, “prompt” has 1"),
    ("arena_55k", {**ONE_HOT, "prompt": "Why?"}, "must be a list, or a list as JSON text"),
    ("alpaca_eval", {**ALPACA, "preference": 0.5}, "0, null or between 1 and 2"),
    ("alpaca_eval", {**ALPACA, "preference": 3}, "a number, 0 to 2"),
    ("steelyard_pairs", {"prompt": "Why?", "a": "x", "b": "y", "c": 1}, "there is no key “c”"),
    ("mapped", {"prompt": "Why?", "a": "x", "b": "y", "winner": "1"}, "not said what it means"),
]


def refusal(name: str, row: dict[str, Any]) -> RowError:
    with pytest.raises(RowError) as caught:
        frozen.read(FORMATS[name], [row])
    return caught.value


@pytest.mark.parametrize(("name", "row", "said"), WRONG)
def test_a_row_that_is_wrong_is_told_what_would_be_right(
    name: str, row: dict[str, Any], said: str
) -> None:
    error = refusal(name, row)
    assert error.message.startswith("Row 1")
    assert said in error.message
    assert error.field == "file"


def test_reading_goes_on_after_a_wrong_row_where_errors_are_taken() -> None:
    said: list[RowError] = []
    rows = [
        {**ALPACA, "preference": 9},
        ALPACA,
        {"instruction": 7, **dict.fromkeys(ALPACA)},
        ALPACA,
    ]
    reading = Reading(on_error=said.append)
    found = list(FORMATS["alpaca_eval"].records(frozen.numbered(rows), reading))
    assert [record.place for record in found] == ["Row 2", "Row 4"]
    assert [(error.number, error.column) for error in said] == [
        (1, "preference"),
        (3, "instruction"),
    ]


def test_the_same_id_twice_is_a_duplicate() -> None:
    said: list[RowError] = []
    rows = [ARENA, {**ARENA, "winner": "tie"}, {**ARENA, "question_id": "r"}]
    reading = Reading(on_error=said.append)
    found = list(FORMATS["arena_33k"].records(frozen.numbered(rows), reading))
    assert [record.key for record in found] == ["q", "r"]
    assert said[0].message == "Row 2: the id “q” was met before; an id stands for one row."


def test_whose_labels_they_are_may_be_said_where_the_file_does_not() -> None:
    reading = Reading(annotator="robot", kind="judge")
    rows = frozen.numbered([{"prompt": "Why?", "chosen": "So.", "rejected": "No."}])
    (record,) = FORMATS["trl_preference"].records(rows, reading)
    assert [(vote.annotator, vote.kind) for vote in record.votes] == [("robot", "judge")]
    (record,) = FORMATS["arena_33k"].records(frozen.numbered([ARENA]), reading)
    assert record.votes[0].annotator == "rater"
    (record,) = frozen.read(FORMATS["trl_preference"], [{"chosen": SAID, "rejected": OTHER}])
    assert record.votes[0].annotator == UNNAMED


@pytest.mark.parametrize(
    ("spelling", "outcome"),
    [
        ("model_a", "a"),
        ("rightvote", "b"),
        ("tie", "tie"),
        ("tievote", "tie"),
        ("Tie (bothbad)", "both_bad"),
        ("both_bad", "both_bad"),
        ("bothbad_vote", "both_bad"),
    ],
)
def test_arenas_spell_their_ties_differently(spelling: str, outcome: str) -> None:
    (record,) = frozen.read(FORMATS["arena_33k"], [{**ARENA, "winner": spelling}])
    assert record.votes[0].outcome == outcome


def test_a_wrong_format_is_told_which_columns_are_missing_and_which_formats_fit() -> None:
    row = Row(1, ALPACA, "Line 1")
    with pytest.raises(RowError) as caught:
        check(FORMATS["trl_preference"], row)
    assert caught.value.message == (
        "Line 1: this is not TRL preference: it has no “chosen”, “rejected”. The columns are "
        "“instruction”, “output_1”, “output_2”, “preference”. It looks like AlpacaEval "
        "annotations, or Plain columns."
    )
    with pytest.raises(RowError, match="what its columns hold is of another shape"):
        check(FORMATS["hh_rlhf"], Row(1, {"chosen": SAID, "rejected": OTHER}, "Line 1"))
    with pytest.raises(RowError, match="say by a mapping which column is what"):
        check(FORMATS["hh_rlhf"], Row(1, {"x": 1}, "Line 1"))
    assert guess(Row(1, {"x": 1}, "Line 1")) == []


def test_a_format_or_option_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="There is no format “xml”; it must be one of"):
        get("xml")
    with pytest.raises(UserError, match="shape is “round”; it must be one of conversational"):
        get("trl_preference").writing({"shape": "round"})
    with pytest.raises(UserError, match="colour is “red”; there is none"):
        get("trl_preference").writing({"colour": "red"})


TREE = {"message_id": "m0", "parent_id": None, "text": "Why?", "role": "prompter"}


def reply(id: str, parent: str, rank: int | None = 0, **more: Any) -> dict[str, Any]:
    said = {"message_id": id, "parent_id": parent, "text": id, "role": "assistant", "rank": rank}
    return {**said, **more}


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ([reply("m1", "m9")], "message m1 says that it answers m9 but stands below m0"),
        ([reply("m1", "m0"), reply("m1", "m0")], "message m1 is there twice"),
        ([reply("m1", "m0", replies=[{**TREE, "parent_id": "m1"}])], "message m0 is there twice"),
        ([reply("m1", "m0", rank=-1)] * 1 + [reply("m2", "m0")], "“rank” is -1"),
        ([reply("m1", "m0", role="king")], "“role” is “king”"),
        (["m1"], "must be a list of objects"),
    ],
)
def test_a_tree_that_is_none_is_refused(replies: list[Any], said: str) -> None:
    tree = {"message_tree_id": "m0", "prompt": {**TREE, "replies": replies}}
    assert said in refusal("oasst_trees", tree).message


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([TREE, reply("m1", "m9")], "message m1 answers m9, which is not in its tree"),
        ([TREE, reply("m1", "m2"), reply("m2", "m1")], "answers itself in a circle"),
        ([TREE, reply("m1", "m1")], "message m1 answers itself in a circle"),
        ([TREE, TREE], "message m0 is there twice"),
    ],
)
def test_messages_that_make_no_tree_are_refused_and_the_next_tree_is_read(
    rows: list[dict[str, Any]], said: str
) -> None:
    good = [
        {**TREE, "message_id": "n0"},
        reply("n1", "n0", 0),
        reply("n2", "n0", 1),
        reply("n3", "n0", None),
    ]
    told = [{**row, "message_tree_id": "m"} for row in rows]
    told += [{**row, "message_tree_id": "n"} for row in good]
    errors: list[RowError] = []
    reading = Reading(on_error=errors.append)
    (record,) = FORMATS["oasst_messages"].records(frozen.numbered(told), reading)
    assert (record.text_a, record.text_b) == ("n1", "n2")
    assert said in errors[0].message


def test_ranks_become_a_pair_of_each_two() -> None:
    replies = [reply(f"m{rank + 1}", "m0", rank) for rank in (2, 0, 1)]
    records = frozen.read(
        FORMATS["oasst_trees"], [{"message_tree_id": "m", "prompt": {**TREE, "replies": replies}}]
    )
    assert [(record.text_a, record.text_b) for record in records] == [
        ("m1", "m2"),
        ("m1", "m3"),
        ("m2", "m3"),
    ]


def test_rows_that_find_no_other_half_are_counted_not_held_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trl_unpaired, "MAX_WAITING", 100)
    rows = [{"prompt": f"{n:030}", "completion": "x" * 30, "label": True} for n in range(9)]
    rows += [{"prompt": f"{n:030}", "completion": "y" * 30, "label": False} for n in (8, 0)]
    reading = Reading()
    (record,) = FORMATS["trl_unpaired"].records(frozen.numbered(rows), reading)
    assert record.messages[0]["content"].endswith("8")
    assert reading.left == {
        "no bad answer to the same prompt to pair it with": 8,
        "no good answer to the same prompt to pair it with": 1,
    }


def test_all_judgments_of_alpaca_eval_come_in() -> None:
    from annotation.formats import containers

    path = Path(__file__).parents[3] / "shared" / "data" / "alpaca_eval" / "annotations.jsonl.gz"
    if not path.is_file():
        pytest.skip("AlpacaEval's annotations are not beside this checkout (../shared/data)")
    format = guess(containers.first_row(path))[0]
    assert format.name == "alpaca_eval"
    errors: list[RowError] = []
    records = list(format.records(containers.rows(path), Reading(on_error=errors.append)))
    assert not errors
    assert len(records) == 6434
    assert len({record.model_b for record in records}) == 8
    assert {vote.kind for record in records for vote in record.votes} == {"judge"}
