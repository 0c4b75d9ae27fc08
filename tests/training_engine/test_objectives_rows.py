"""How a record becomes the sequences of an objective."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from steelyard.inference.revising import ASKED, revision_messages
from steelyard.inference.text import load_tokenizer
from steelyard.lib.records import PreferenceRecord
from tests.training_engine.rows import make_record
from training.engine.config.imitation import SFTConfig
from training.engine.config.objectives import KTOConfig, RationaleDPOConfig, SRPOConfig
from training.engine.config.text import TextDPOConfig
from training.engine.data import DoesNotFit, Encoder, Example, preference
from training.engine.objectives import OBJECTIVES, kto, rationale, srpo
from training.engine.objectives.reasons import (
    chosen_first,
    permuted,
    question,
    reason,
    speaks_of_places,
)


@pytest.fixture
def encoder(tiny_lm: Path) -> Encoder:
    _, tokenizer = load_tokenizer(str(tiny_lm))
    return Encoder(tokenizer, 512)


def said(number: int, **overrides: Any) -> PreferenceRecord:
    """A record with three voters: two for chosen, a judge against it, all with reasons."""
    votes = [("rater", "person", "a"), ("robot", "judge", "a"), ("scorer", "person", "b")]
    texts = {"rater": f"It is {number}.", "robot": "It is short and right.", "scorer": "x" * 99}
    quote = {"kind": "span", "side": "a", "answer": "chosen", "start": 0, "end": 2, "quote": "46"}
    values = {
        "rationales": [
            {"annotator": name, "text": text, "tags": ["correct", "short"], "evidence": [quote]}
            for name, text in texts.items()
        ],
        "votes": [
            {"judgment": str(n), "annotator": name, "kind": kind, "outcome": outcome, "strength": 1}
            for n, (name, kind, outcome) in enumerate(votes)
        ],
    }
    return make_record(number, **{**values, **overrides})


def config(**values: Any) -> RationaleDPOConfig:
    return RationaleDPOConfig.from_dict(values)


def decoded(encoder: Encoder, ids: list[int]) -> str:
    return str(encoder.tokenizer.decode(ids))


def test_a_reason_is_read_after_a_question_with_both_answers(encoder: Encoder) -> None:
    record = said(23)
    example = rationale.rows(record, encoder, config())
    assert example is not None
    assert example.names == ("chosen", "rejected", "rationale")
    asked, answer = example.sequences()["rationale"]
    assert decoded(encoder, answer) == "It is short and right.<|im_end|>"
    text = decoded(encoder, asked)
    assert text.count(record.chosen) == text.count(record.rejected) == 1
    assert record.prompt[0]["content"] in text
    assert (text.index(record.chosen) < text.index(record.rejected)) == chosen_first(0, record.pair)


def test_no_place_is_the_better_one_and_the_order_is_counted(encoder: Encoder) -> None:
    records = [said(n) for n in range(60)]
    for record in records:
        rationale.rows(record, encoder, config())
    first = sum(chosen_first(0, record.pair) for record in records)
    assert 18 < first < 42
    assert encoder.counts["rationale_chosen_first"] == first
    assert any(chosen_first(0, r.pair) != chosen_first(1, r.pair) for r in records)


def test_earlier_turns_stay_before_the_question() -> None:
    earlier = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    record = make_record(1, prompt=[*earlier, {"role": "user", "content": "{one} or {two}?"}])
    asked = question(record, first=False)
    assert asked[:-1] == earlier
    assert "<message>\n{one} or {two}?\n</message>" in asked[-1]["content"]
    assert asked[-1]["content"].index(record.rejected) < asked[-1]["content"].index(record.chosen)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "It is short and right."),
        ({"rationale_of": "people"}, "It is 23."),
        ({"rationale_of": "judges"}, "It is short and right."),
        ({"rationale_pick": "joined"}, "It is 23.\n\nIt is short and right."),
        ({"rationale_of": "people", "rationale_tags": True}, "It is 23.\nReasons: correct, short."),
        ({"rationale_of": "people", "rationale_evidence": True}, "It is 23.\nIn answer 2: “46”"),
    ],
)
def test_only_those_who_voted_for_chosen_are_heard(options: Any, expected: str) -> None:
    assert reason(said(23), config(**options), first=False) == expected


def test_of_a_tie_no_reason_is_learnt() -> None:
    assert reason(said(23, outcome="tie"), config(), first=True) == ""


def test_one_reason_is_drawn_by_seed_and_pair() -> None:
    drawn = {
        reason(said(n), config(rationale_pick="drawn", seed=seed), first=True)
        for n in range(5)
        for seed in range(5)
    }
    assert "It is short and right." in drawn
    assert len(drawn) > 2


def test_reasons_that_name_an_answer_by_its_place_are_counted(encoder: Encoder) -> None:
    for text, by_place in (
        ("Answer B is wrong.", True),
        ("The left one is shorter.", True),
        ("I like the latter.", True),
        ("It is shorter and right, a good answer.", False),
        ("The sum is left out.", False),
    ):
        assert speaks_of_places(text) == by_place, text
        record = said(1)
        record.rationales[0]["text"] = text + " " * 100 + "!"
        rationale.rows(record, encoder, config(rationale_of="people"))
    assert encoder.counts["rationale_of_places"] == 3


def test_pairs_without_a_reason_train_by_their_answers_alone(encoder: Encoder) -> None:
    example = rationale.rows(make_record(1), encoder, config())
    assert example is not None
    assert example.names == ("chosen", "rejected")
    assert encoder.counts["without_rationale"] == 1


def test_a_question_that_is_too_long_is_never_cut(tiny_lm: Path) -> None:
    _, tokenizer = load_tokenizer(str(tiny_lm))
    record = said(23)
    whole = rationale.rows(record, Encoder(tokenizer, 512), config())
    assert whole is not None
    needed = whole.rows[1].longest
    assert rationale.rows(record, Encoder(tokenizer, needed), config()) == whole
    short = Encoder(tokenizer, needed - 1)
    with pytest.raises(DoesNotFit):
        rationale.rows(record, short, config())
    left = rationale.rows(record, short, config(drop_too_long=True))
    assert left is not None
    assert left.names == ("chosen", "rejected")
    assert short.counts["rationale_too_long"] == 1
    assert short.counts["cut_rationale"] == 0


def examples_of(encoder: Encoder, settings: Any, n: int = 8) -> list[Example]:
    made = [
        rationale.rows(said(k) if k % 4 else make_record(k), encoder, settings) for k in range(n)
    ]
    return [replace_number(example, k) for k, example in enumerate(made) if example]


def replace_number(example: Example, number: int) -> Example:
    return Example(**{**vars(example), "number": number})


def test_shuffled_reasons_are_those_of_other_pairs(encoder: Encoder) -> None:
    settings = config(rationale_of="people", rationale_control="shuffled")
    before = examples_of(encoder, settings)
    after = rationale.arranged(before, settings, encoder.counts, test=False)
    moved = 0
    for one, other in zip(before, after, strict=True):
        assert one.rows[0] == other.rows[0]
        if "rationale" in one.names:
            mine, theirs = one.sequences()["rationale"], other.sequences()["rationale"]
            assert mine[0] == theirs[0]
            assert mine[1] != theirs[1]
            moved += 1
    assert moved == 6
    every = [sorted(tuple(e.rows[-1].answers[0]) for e in some) for some in (before, after)]
    assert every[0] == every[1]
    assert rationale.arranged(before, settings, encoder.counts, test=True) == before


def test_a_permutation_leaves_nothing_in_its_place() -> None:
    for seed in range(20):
        moved = permuted([3, 5, 8, 9], seed=seed)
        assert sorted(moved.values()) == [3, 5, 8, 9]
        assert all(place != source for place, source in moved.items())
    assert permuted([4], seed=0) == {4: 4}
    assert permuted([], seed=0) == {}


def test_token_matched_trains_on_no_more_tokens_than_without_reasons(encoder: Encoder) -> None:
    settings = config(rationale_control="token_matched")
    before = examples_of(encoder, settings, 24)
    after = rationale.arranged(before, settings, counts := Counter[str](), test=False)
    budget = sum(len(a) for e in before for a in e.rows[0].answers)
    used = sum(len(a) for e in after for row in e.rows for a in row.answers)
    longest = max(sum(len(a) for row in e.rows for a in row.answers) for e in before)
    assert budget - longest < used <= budget
    assert counts["left_out_by_control"] == len(before) - len(after) > 0


def test_drift_is_measured_on_answers_to_other_prompts(encoder: Encoder) -> None:
    settings = KTOConfig.from_dict({"max_length": 512})
    plain = [preference(make_record(n), encoder) for n in range(10)]
    before = [example for example in plain if example]
    after = kto.with_others(before, settings, Counter(), test=False)
    sources = {tuple(a): e.key for e in before for a in e.rows[0].answers}
    kinds: Counter[int] = Counter()
    for example in after:
        prompt, other = example.sequences()["other"]
        assert prompt == example.rows[0].prompt
        assert sources[tuple(other)] != example.key
        kinds[[tuple(other) == tuple(e.rows[0].answers[1]) for e in before].count(True)] += 1
    # chosen and rejected ones in turn
    assert kinds[0] == kinds[1] == 5
    # which does not hang on the order of the rows
    again = kto.with_others(before[::-1], settings, Counter(), test=False)
    assert again[::-1] == after


def test_to_improve_an_answer_is_shown_as_the_models_own_turn(encoder: Encoder) -> None:
    record = make_record(3)
    example = srpo.six(record, encoder, SRPOConfig())
    assert example is not None
    assert example.names == srpo.NAMES
    assert example.rows[0].answers == example.rows[1].answers == example.rows[2].answers
    for row, shown in zip(example.rows[1:], (record.chosen, record.rejected), strict=True):
        expected = revision_messages(record.prompt, shown)
        assert [m["role"] for m in expected] == ["user", "assistant", "user"]
        assert expected[-1]["content"] == ASKED
        text = decoded(encoder, row.prompt)
        assert f"<|im_start|>assistant\n{shown}<|im_end|>" in text


def test_answers_that_would_be_cut_in_one_place_only_do_not_fit(tiny_lm: Path) -> None:
    _, tokenizer = load_tokenizer(str(tiny_lm))
    whole = srpo.six(make_record(3), Encoder(tokenizer, 512), SRPOConfig())
    assert whole is not None
    longest = whole.length
    with pytest.raises(DoesNotFit):
        srpo.six(make_record(3), Encoder(tokenizer, longest - 1), SRPOConfig())


def test_two_bad_answers_teach_kto_and_are_left_out_and_counted_elsewhere(encoder: Encoder) -> None:
    bad = said(3, outcome="both_bad", strength=0.0)
    learnt = kto.rows(bad, encoder, KTOConfig())
    assert learnt is not None
    assert learnt.both_bad
    settings = {"dpo": TextDPOConfig(), "sft": SFTConfig(), "rationale_dpo": config()}
    for name, one in settings.items():
        assert OBJECTIVES[name].rows(bad, encoder, one) is None
    assert encoder.counts["dropped_both_bad"] == 3
