"""Readers of outside formats: what they take, and what a refusal says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.formats import llmfao, pairs_jsonl, prompts_jsonl
from annotation.formats.records import ImportedRecord, ImportedVote
from steelyard.lib.errors import UserError

PAIR = {"prompt": "Why?", "a": "Because.", "b": "No idea."}


def as_lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def read_one(**more: Any) -> ImportedRecord:
    (record,) = pairs_jsonl.read(as_lines({**PAIR, **more}))
    return record


def refusal(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        list(pairs_jsonl.read(data))
    assert caught.value.field == "file"
    return caught.value.message


def test_a_pair_needs_three_keys_only() -> None:
    record = read_one()
    assert record.messages == [{"role": "user", "content": "Why?"}]
    assert (record.text_a, record.text_b) == ("Because.", "No idea.")
    assert record.votes == []


def test_a_pair_may_come_with_a_vote() -> None:
    vote = {
        "outcome": "b",
        "annotator": "rater",
        "strength": 2,
        "rationale": "clear",
        "tags": ["x"],
    }
    assert read_one(**vote).votes == [
        ImportedVote("rater", "person", "b", 2, rationale="clear", tags=["x"])
    ]


def test_a_pair_may_say_what_is_right() -> None:
    assert read_one().reference_answer == ""
    assert read_one(reference_answer="It scatters.").reference_answer == "It scatters."


def test_a_vote_without_strength_is_one_step() -> None:
    assert read_one(outcome="a", annotator="rater").votes[0].strength == -1


def test_a_conversation_is_kept_as_it_is() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "שלום"},
        {"role": "assistant", "content": "```py\nx\n```"},
        {"role": "user", "content": "And?"},
    ]
    assert read_one(prompt=messages).messages == messages


def test_blank_lines_and_a_byte_order_mark_are_nothing() -> None:
    data = b"\xef\xbb\xbf\n" + as_lines(PAIR) + b"\r\n\n" + as_lines(PAIR | {"prompt": "How?"})
    assert [record.place for record in pairs_jsonl.read(data)] == ["Line 2", "Line 4"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": " "}, "blank"),
        ({"prompt": []}, "“prompt”"),
        ({"prompt": [{"role": "assistant", "content": "x"}]}, "user"),
        ({"prompt": [{"role": "boss", "content": "x"}]}, "boss"),
        ({"a": None}, "“a” is missing"),
        ({"a": 5}, "“a” is a number"),
        ({"a": "x\x00"}, "NUL"),
        ({"a": "No idea."}, "same text"),
        ({"answer": "x"}, "no key “answer”"),
        ({"outcome": "left", "annotator": "rater"}, "one of a, b, tie"),
        ({"outcome": "a"}, "“annotator”"),
        ({"annotator": "rater"}, "no “outcome”"),
        ({"outcome": "a", "annotator": "rater", "strength": 2}, "negative"),
        ({"outcome": "tie", "annotator": "rater", "strength": 1}, "must be 0"),
        ({"outcome": "a", "annotator": "rater", "strength": -4}, "-3 to 3"),
        ({"outcome": "a", "annotator": "rater", "kind": "robot"}, "person or judge"),
        ({"outcome": "a", "annotator": "two\nlines"}, "one line"),
    ],
)
def test_a_wrong_line_is_named_with_its_key(change: dict[str, Any], said: str) -> None:
    message = refusal(as_lines(PAIR, PAIR | {"prompt": "How?"} | change))
    assert message.startswith("Line 2")
    assert said in message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"{", "Line 1 is not JSON at column"),
        (b"[1]", "Line 1 is a list"),
        (b"[", "one object a line"),
        (b'{"a": NaN}', "not JSON"),
        (b"[" * 100_000, "Line 1 is not JSON"),
        (b"\n\xff", "Line 2 is not UTF-8"),
        ("[]".encode("utf-16"), "Line 1 is not UTF-8"),
    ],
)
def test_what_is_no_json_lines_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_prompts_are_read() -> None:
    data = as_lines({"prompt": "Why?", "category": "qa", "reference_answer": "Because."})
    (prompt,) = prompts_jsonl.read(data)
    assert (prompt.category, prompt.reference_answer) == ("qa", "Because.")


def test_a_prompt_with_answers_is_no_prompt() -> None:
    with pytest.raises(UserError, match="no key “a”"):
        list(prompts_jsonl.read(as_lines(PAIR)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A crowd of two workers and a judge on one pair."""
    pair = {"id": 1, "text": "Why?", "type": "qa", "model_x": 7, "model_y": 8}
    (tmp_path / "pairs-crowd.jsonl").write_bytes(
        as_lines(pair | {"result_x": "Because.", "result_y": "No idea."})
    )
    (tmp_path / "models.jsonl").write_bytes(
        as_lines({"id": 7, "name": "Seven"}, {"id": 8, "name": "Eight"})
    )
    write_votes(tmp_path, "1,w1,left", "1,w2,tie")
    (tmp_path / "gpt4-crowd-comparisons.csv").write_text("id,winner\n1,right\n")
    return tmp_path


def write_votes(folder: Path, *votes: str) -> None:
    (folder / "crowd-comparisons.csv").write_text("\n".join(["id,worker,winner", *votes]) + "\n")


def test_a_crowds_folder_is_read(folder: Path) -> None:
    (record,) = llmfao.read(folder)
    assert (record.model_a, record.model_b) == ("Seven", "Eight")
    assert record.votes == [
        ImportedVote("worker w1", "person", "a", -1, first="a"),
        ImportedVote("worker w2", "person", "tie", 0, first="a"),
        ImportedVote("gpt-4", "judge", "b", 1, first="a"),
    ]


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        (["1,w1,up"], "crowd-comparisons.csv, line 2: winner is 'up'"),
        (["2,w1,left"], "votes on pair 2"),
    ],
)
def test_a_strange_vote_is_refused(folder: Path, votes: list[str], said: str) -> None:
    write_votes(folder, *votes)
    with pytest.raises(UserError, match=said):
        list(llmfao.read(folder))


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "models.jsonl").unlink()
    with pytest.raises(UserError, match=r"no models\.jsonl"):
        list(llmfao.read(folder))
