"""Majority and Dawid–Skene: worked cases, symmetry, and a second implementation."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from annotation.aggregation import dawid_skene, majority

Votes = dict[str, list[tuple[str, str]]]
SWAP = {"a": "b", "b": "a", "tie": "tie", "both_bad": "both_bad"}


def crowd(
    seed: int, items: int = 400, workers: int = 20, good: int = 12
) -> tuple[Votes, list[str]]:
    """Five votes an item; the first workers are right in 90 of 100, the others guess."""
    rng = np.random.default_rng(seed)
    truth = [str(side) for side in rng.choice(["a", "b"], items)]
    votes: Votes = {}
    for item, right in enumerate(truth):
        votes[f"item {item:03}"] = []
        for worker in rng.permutation(workers)[:5]:
            hit = rng.random() < (0.9 if worker < good else 0.5)
            votes[f"item {item:03}"].append((f"w{worker}", right if hit else SWAP[right]))
    return votes, truth


def share_right(outcomes: list[str], truth: list[str]) -> float:
    return sum(x == y for x, y in zip(outcomes, truth, strict=True)) / len(truth)


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        (["a"], "a"),
        (["a", "a", "b"], "a"),
        (["tie", "tie", "a"], "tie"),
        (["both_bad", "both_bad", "a"], "both_bad"),
        (["a", "b"], "tie"),
        (["a", "tie"], "tie"),
        (["a", "both_bad"], "tie"),
        (["b", "b", "a", "a", "tie"], "tie"),
    ],
)
def test_majority_is_the_single_most_frequent_outcome_or_a_tie(
    votes: list[str], outcome: str
) -> None:
    assert majority(votes) == outcome
    assert majority(reversed(votes)) == outcome
    assert majority(SWAP[vote] for vote in votes) == SWAP[outcome]


def test_majority_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="vote"):
        majority([])


def test_dawid_skene_follows_the_reliable() -> None:
    votes, truth = crowd(0)
    found = dawid_skene(votes)
    assert list(found) == sorted(votes)
    by_majority = [majority(outcome for _, outcome in votes[item]) for item in found]
    assert share_right(list(found.values()), truth) > share_right(by_majority, truth) + 0.02


def test_dawid_skene_is_that_of_plain_loops() -> None:
    votes, _ = crowd(1, items=120)
    assert dawid_skene(votes) == by_loops(votes)


def by_loops(votes: Votes) -> dict[str, str]:
    """One-coin EM over a and b, written without arrays."""
    belief = {i: Counter(o for _, o in cast) for i, cast in votes.items()}
    share = {i: {c: belief[i][c] / len(votes[i]) for c in "ab"} for i in votes}
    for _ in range(500):
        right: dict[str, list[float]] = {}
        for i, cast in votes.items():
            for worker, outcome in cast:
                right.setdefault(worker, []).append(share[i][outcome])
        skill = {w: (math.fsum(r) + 4) / (len(r) + 5) for w, r in right.items()}
        for i, cast in votes.items():
            weight = {
                c: math.prod(skill[w] if o == c else 1 - skill[w] for w, o in cast) for c in "ab"
            }
            share[i] = {c: weight[c] / sum(weight.values()) for c in "ab"}
    return {i: "a" if share[i]["a"] > share[i]["b"] else "b" for i in votes}


def test_dawid_skene_does_not_look_at_the_order_of_votes_or_items() -> None:
    votes, _ = crowd(2, items=60)
    shuffled = {item: cast[::-1] for item, cast in reversed(votes.items())}
    assert dawid_skene(shuffled) == dawid_skene(votes)


def test_dawid_skene_treats_the_sides_alike() -> None:
    votes, _ = crowd(3, items=80, good=8)
    swapped = {item: [(w, SWAP[o]) for w, o in cast] for item, cast in votes.items()}
    found = dawid_skene(votes)
    assert dawid_skene(swapped) == {item: SWAP[outcome] for item, outcome in found.items()}


def test_two_equals_who_differ_make_a_tie() -> None:
    assert dawid_skene({"one": [("x", "a"), ("y", "b")]}) == {"one": "tie"}


def test_one_vote_is_taken_at_its_word() -> None:
    said = {"1": "a", "2": "b", "3": "tie", "4": "both_bad"}
    assert dawid_skene({item: [("x", outcome)] for item, outcome in said.items()}) == said


def test_one_class_only() -> None:
    assert dawid_skene({"1": [("x", "tie")], "2": [("x", "tie"), ("y", "tie")]}) == {
        "1": "tie",
        "2": "tie",
    }


def test_nothing_in_nothing_out() -> None:
    assert dawid_skene({}) == {}


def test_what_is_no_vote_is_refused() -> None:
    with pytest.raises(ValueError, match="no votes"):
        dawid_skene({"1": [("x", "a")], "2": []})
    with pytest.raises(ValueError, match="skip"):
        dawid_skene({"1": [("x", "skip")]})
