"""What judges write, and what is read in it."""

from __future__ import annotations

import json

import pytest

from steelyard.inference.judging.parsing import read_verdict


def _read(text: str) -> tuple[str, int | None] | None:
    verdict = read_verdict(text)
    return (verdict.outcome, verdict.strength) if verdict else None


def test_it_works() -> None:
    verdict = read_verdict("A answers the question; B does not.\nVerdict: A (strength 2)")
    assert verdict is not None
    assert (verdict.outcome, verdict.strength) == ("a", 2)
    assert verdict.rationale == "A answers the question; B does not."


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Verdict: A", "a"),
        ("verdict: b", "b"),
        ("**Verdict:** B", "b"),
        ("**Verdict: A**", "a"),
        ("### Verdict: tie", "tie"),
        ("Verdict: Both bad", "both_bad"),
        ("Verdict: both_bad", "both_bad"),
        ("Verdict: Both answers are bad.", "both_bad"),
        ("Verdict: neither is good", "both_bad"),
        ("Verdict: neither is better", "tie"),
        ("Verdict: equally good", "tie"),
        ("Verdict: Answer B", "b"),
        ("Verdict: the response A, by far", "a"),
        ("Verdict: “B”", "b"),
        ("Verdict: B is better than A", "b"),
        ("Verdict: A > B", "a"),
        ("Verdict: Answer 2", "b"),
        ("Final verdict: A", "a"),
        ("The final verdict is: B", "b"),
        ("Winner: A", "a"),
        ("Both are fine, but [[B]]", "b"),
        ("It goes wrong in the second step. [[A]]", "a"),
        ("My judgment: [[tie]]", "tie"),
        ("B is right.\n\nB", "b"),
        ("They say the same.\nTie.", "tie"),
        ("Verdict: A\nOn reflection I change it.\nVerdict: B", "b"),
        ("<think>Verdict: A? No.</think>B is right. Verdict: B", "b"),
        ("Is it A? No.</think>B is right. Verdict: B", "b"),
        ("Verdict: A is wrong, B is right", "b"),
        ("Verdict: A is better, though neither is perfect", "a"),
        ("Verdict: A is the better answer", "a"),
        ("Verdict: A is as good as B: a tie", "tie"),
    ],
)
def test_forms_of_words(text: str, outcome: str) -> None:
    read = _read(text)
    assert read is not None
    assert read[0] == outcome


@pytest.mark.parametrize(
    "value",
    [
        {"verdict": "A", "rationale": "Short and right."},
        {"reason": "Short and right.", "winner": "Answer A"},
        {"Outcome": "a", "Explanation": "Short and right."},
    ],
)
def test_json_in_any_wrapping(value: dict[str, str]) -> None:
    for text in (
        json.dumps(value),
        f"```json\n{json.dumps(value, indent=2)}\n```",
        f"Here {{it}} is: {json.dumps(value)} Done.",
    ):
        verdict = read_verdict(text)
        assert verdict is not None
        assert verdict.outcome == "a"
        assert verdict.rationale == "Short and right."


@pytest.mark.parametrize(
    ("text", "strength"),
    [
        ("Verdict: A (strength 1)", 1),
        ("Verdict: B, strength: 3", 3),
        ("Verdict: B (strength: **2**)", 2),
        ("Verdict: A is slightly better", 1),
        ("Verdict: A is clearly better", 2),
        ("Verdict: B, by far", 3),
        ("Verdict: A is much better", 3),
        ("Verdict: A", None),
        ("Verdict: A (strength 9)", None),
        ("Verdict: tie (strength 2)", None),
        ('{"verdict": "B", "strength": 3}', 3),
        ('{"verdict": "A", "strength": -2}', 2),
    ],
)
def test_strength_by_number_and_by_word(text: str, strength: int | None) -> None:
    read = _read(text)
    assert read is not None
    assert read[1] == strength


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Both answers have their merits.",
        "I cannot judge this.",
        "Verdict:",
        "Verdict: it depends",
        "Verdict: A or B",
        "Verdict: A is not better than B",
        "A good question deserves a good answer",
        '{"verdict": null}',
        '{"score": 3}',
        "{" * 500,
        "<think>Verdict: A",
    ],
)
def test_what_cannot_be_read_is_not_guessed(text: str) -> None:
    assert _read(text) is None
