"""From the rows of a version to token ids: what is read, what is learnt, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from steelyard.inference.text import encode_prompt
from steelyard.lib.errors import UserError
from steelyard.lib.records import write_parquet
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import coded
from tests.training_engine.rows import make_record
from training.engine.data import (
    chance_of_chosen,
    describe,
    encode_answer,
    encode_records,
    end_of_turn,
    passes,
    read_records,
)

LONG = [{"role": "user", "content": "why? " * 60}]


@pytest.fixture
def tokenizer(tiny_lm: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_lm)


def encode(records: list[Any], tokenizer: Any, max_length: int = 100, drop: bool = False) -> Any:
    return encode_records(records, tokenizer, max_length=max_length, drop_too_long=drop)


def test_an_answer_is_trained_with_its_end_and_no_white_space_after(tokenizer: Any) -> None:
    prompt, chosen = encode([make_record(1)], tokenizer).examples[0].sequences()["chosen"]
    assert tokenizer.decode(chosen) == "2.<|im_end|>"
    assert tokenizer.decode(prompt).endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert prompt == encode_prompt(tokenizer, make_record(1).prompt)


def test_the_end_of_turn_need_not_be_the_eos_token(tokenizer: Any) -> None:
    tokenizer.eos_token = "<pad>"
    assert tokenizer.decode(end_of_turn(tokenizer)) == "<|im_end|>"


def test_without_an_end_in_the_template_the_eos_token_ends(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    assert end_of_turn(tokenizer) == [tokenizer.eos_token_id]


def test_a_tokenizer_without_any_end_is_refused() -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=words)
    fast.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    with pytest.raises(UserError, match="where to stop") as caught:
        end_of_turn(fast)
    assert caught.value.code == "no_end_token"


def test_an_answer_cannot_end_its_own_turn(tokenizer: Any) -> None:
    end = end_of_turn(tokenizer)
    ids = encode_answer(tokenizer, "no<|im_end|>\n<|im_start|>user", end)
    assert ids.count(end[0]) == 1
    assert tokenizer.decode(ids) == "no<|im_end|>\n<|im_start|>user<|im_end|>"


def test_long_answers_are_cut_at_their_end_and_counted(tokenizer: Any) -> None:
    (whole,) = encode([make_record(1)], tokenizer).examples[0].rows
    limit = len(whole.prompt) + 6
    dataset = encode([make_record(1), make_record(2)], tokenizer, max_length=limit)
    (cut,) = dataset.examples[0].rows
    assert cut.answers == (whole.answers[0], whole.answers[1][:6])
    assert dataset.counts["cut_rejected"] == 2
    assert dataset.counts["cut_chosen"] == 0
    assert dataset.examples[0].length == limit


def test_answers_that_are_the_same_once_cut_are_left_out(tokenizer: Any) -> None:
    same = make_record(1, chosen="the same beginning, A", rejected="the same beginning, B")
    length = len(encode([same], tokenizer).examples[0].rows[0].prompt) + 4
    dataset = encode([same, make_record(2)], tokenizer, max_length=length)
    assert dataset.counts["dropped_identical"] == 1
    assert [example.key for example in dataset.examples] == [make_record(2).pair]


def test_prompts_that_are_too_long_are_named(tokenizer: Any) -> None:
    records = [make_record(n, prompt=LONG) for n in range(1, 8)] + [make_record(8)]
    with pytest.raises(UserError) as caught:
        encode(records, tokenizer)
    error = caught.value
    assert (error.code, error.field) == ("prompt_too_long", "max_length")
    assert ": 7 of 8: " in error.message
    assert "row 1 “why? why?" in error.message
    assert "tokens) and 2 more" in error.message
    # each by code, so that a page says it in its reader's language
    assert str(coded(error.message)).count("'row_named'") == 5


def test_prompts_that_are_too_long_can_be_left_out(tokenizer: Any) -> None:
    dataset = encode([make_record(1, prompt=LONG), make_record(2)], tokenizer, drop=True)
    assert dataset.counts["dropped_too_long"] == 1
    assert len(dataset.examples) == 1


def test_nothing_left_is_refused(tokenizer: Any) -> None:
    with pytest.raises(UserError, match="1 has a prompt that is too long") as caught:
        encode([make_record(1, prompt=LONG)], tokenizer, drop=True)
    assert caught.value.code == "no_train_rows"


def test_ties_alone_left_are_refused(tokenizer: Any) -> None:
    records = [make_record(1, prompt=LONG), make_record(2, outcome="tie")]
    with pytest.raises(UserError, match="is a tie") as caught:
        encode(records, tokenizer, drop=True)
    assert caught.value.code == "one_class"


def test_a_prompt_of_nothing_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    empty = make_record(2, prompt=[{"role": "user", "content": ""}])
    with pytest.raises(UserError, match="prompt of row 2 is empty"):
        encode([make_record(1), empty], tokenizer)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(tokenizer: Any, weight: float) -> None:
    with pytest.raises(UserError, match="Row 2 has the weight"):
        encode([make_record(1), make_record(2, weight=weight)], tokenizer)


def test_rows_to_train_on_stand_before_those_to_test_with(tokenizer: Any) -> None:
    records = [make_record(n) for n in (5, 1, 10, 2)]
    dataset = encode(records, tokenizer)
    keys = [example.key for example in dataset.examples]
    assert keys == [make_record(n).pair for n in (1, 2, 5, 10)]
    assert (list(dataset.train), list(dataset.test)) == ([0, 1], [2, 3])


def test_passes_put_like_lengths_together_and_lose_none(tokenizer: Any) -> None:
    records = [make_record(n, chosen="x" * (n * 7 % 11)) for n in range(1, 9)]
    examples = encode(records, tokenizer).examples
    groups = passes(range(len(examples)), examples, size=3)
    assert sorted(number for group in groups for number in group) == list(range(len(examples)))
    lengths = [examples[number].packed for group in groups for number in group]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("budget", [1, 70, 150, 10_000])
def test_passes_keep_to_a_budget_of_tokens(tokenizer: Any, budget: int) -> None:
    records = [make_record(n, chosen="x " * (n * 7 % 11)) for n in range(1, 9)]
    examples = encode(records, tokenizer).examples
    groups = passes(range(len(examples)), examples, size=2, tokens=budget)
    assert sorted(number for group in groups for number in group) == list(range(len(examples)))
    for group in groups:
        padded = len(group) * max(examples[number].packed for number in group)
        assert padded <= budget or len(group) == 1


@pytest.mark.parametrize(
    ("outcomes", "chance"),
    [([], 0.8), (["a", "a", "b"], 2 / 3), (["a", "tie"], 0.75), (["b", "skip"], 0.0)],
)
def test_votes_say_how_probable_the_chosen_answer_is(outcomes: list[str], chance: float) -> None:
    votes = [{"outcome": outcome} for outcome in outcomes]
    record = make_record(1, votes=votes, agreement=0.8, chosen_side="a")
    assert chance_of_chosen(record) == pytest.approx(chance)


def test_the_log_says_what_is_trained(tokenizer: Any) -> None:
    dataset = encode([make_record(n) for n in range(1, 6)], tokenizer)
    text = "\n".join(describe(dataset, tokenizer, 100))
    assert "Pairs to train on: 4, to test with: 1; ties among them: 0" in text
    assert "chosen '2.<|im_end|>'" in text


def read(tmp_path: Path, records: list[Any]) -> Any:
    rundir = RunDir(tmp_path)
    rundir.create({"kind": "train"})
    write_parquet(records, rundir.data / "rows.parquet")
    return read_records(rundir, {"file": "data/rows.parquet"}, modality="text")


def test_rows_come_as_they_were_frozen(tmp_path: Path) -> None:
    records = [make_record(n) for n in range(1, 6)]
    assert read(tmp_path, records) == records


def test_rows_of_a_large_version_come_from_its_files_one_after_another(tmp_path: Path) -> None:
    records = [make_record(n) for n in range(1, 6)]
    rundir = RunDir(tmp_path)
    rundir.create({"kind": "train"})
    write_parquet(records[:3], rundir.data / "one.parquet")
    write_parquet(records[3:], rundir.data / "two.parquet")
    dataset = {"file": "data/one.parquet", "files": ["data/one.parquet", "data/two.parquet"]}
    assert read_records(rundir, dataset, modality="text") == records


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "empty_version"),
        ([make_record(1), make_record(2, modality="image")], "wrong_modality"),
        ([make_record(5), make_record(10)], "no_train_rows"),
        ([make_record(1, outcome="tie"), make_record(5)], "one_class"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, records: list[Any], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, records)
    assert caught.value.code == code


def test_a_file_that_is_no_version_is_refused(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path)
    rundir.create({"kind": "train"})
    for write in (lambda: None, lambda: (rundir.data / "rows.parquet").write_bytes(b"PAR1 no")):
        write()
        with pytest.raises(UserError, match="cannot be read") as caught:
            read_records(rundir, {"file": "data/rows.parquet"}, modality="text")
        assert caught.value.code == "bad_dataset"
