"""Agreement against textbook examples, against brute force, and its intervals by simulation."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from evaluation.engine.agreement import Estimate, agreement, cohen, human_ceiling

# Krippendorff 2011, C: four observers, twelve units, missing data
OBSERVERS = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
# Fleiss's table as it is in many textbooks: ten subjects, fourteen raters, five categories
FLEISS = """0 0 0 0 14  0 2 6 4 2  0 0 3 5 6  0 3 9 2 0  2 2 8 1 1
7 7 0 0 0  3 2 6 3 0  2 5 3 2 2  6 5 2 1 0  0 2 2 3 7"""

Votes = tuple[list[int], list[int], list[Any]]


def of_observers() -> Votes:
    told = [
        (unit, who, int(label))
        for who, row in enumerate(OBSERVERS)
        for unit, label in enumerate(row)
        if label != "."
    ]
    return tuple(list(column) for column in zip(*told, strict=True))  # type: ignore[return-value]


def of_counts(table: np.ndarray) -> Votes:
    told = []
    for item, row in enumerate(table):
        labels = np.repeat(np.arange(row.size), row)
        told += [(item, who, int(label)) for who, label in enumerate(labels)]
    return tuple(list(column) for column in zip(*told, strict=True))  # type: ignore[return-value]


def test_krippendorffs_example() -> None:
    found = agreement(*of_observers())
    assert found.alpha.value == pytest.approx(0.743, abs=5e-4)
    assert found.ordinal_alpha.value == pytest.approx(0.815, abs=5e-4)
    # Gwet's package irrCAC prints these for the same units
    assert found.raw.value == pytest.approx(0.81818, abs=5e-6)
    assert found.ac1.value == pytest.approx(0.77544, abs=5e-6)
    assert found.fleiss.value == pytest.approx(0.76117, abs=5e-6)
    assert (found.items, found.labels, found.annotators) == (11, 41, 4)
    assert found.categories == [1, 2, 3, 4, 5]


def test_fleisss_example() -> None:
    table = np.array(FLEISS.split(), dtype=int).reshape(10, 5)
    assert agreement(*of_counts(table)).fleiss.value == pytest.approx(0.20993, abs=5e-6)


def test_cohens_kappa_in_a_table_of_two_by_two() -> None:
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen(first, second).value == pytest.approx(0.4)
    assert cohen(first, second, weights="quadratic").value == pytest.approx(0.4)


def test_weighted_kappa_is_worked_by_hand() -> None:
    # distances 0 1 0 2; expected of linear: margins (2,1,1) and (1,2,1) of 4
    first, second = [1, 1, 2, 3], [1, 2, 2, 1]
    p, q = np.array([2, 1, 1]) / 4, np.array([2, 2, 0]) / 4
    apart = np.abs(np.subtract.outer(range(3), range(3)))
    for weights, power, seen in (("linear", 1, 3 / 4), ("quadratic", 2, 5 / 4)):
        expected = float(p @ apart**power @ q)
        found = cohen(first, second, [1, 2, 3], weights)
        assert found.value == pytest.approx(1 - seen / expected)
    with pytest.raises(ValueError, match="weights"):
        cohen([1], [1], weights="cubic")
    with pytest.raises(ValueError, match="same items"):
        cohen([1], [1, 2])


def test_prevalence_lowers_alpha_and_not_ac1() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(4000) < 0.98
    labels = np.where(rng.random((4000, 3)) < 0.92, truth[:, None], ~truth[:, None])
    item, who = np.indices(labels.shape)
    found = agreement(item.ravel().tolist(), who.ravel().tolist(), labels.ravel().tolist())
    assert found.raw.value == pytest.approx(0.856, abs=0.01)
    assert found.alpha.value == pytest.approx(0.143, abs=0.03)
    assert found.ac1.value == pytest.approx(0.828, abs=0.02)


def test_raw_agreement_is_the_share_of_equal_pairs() -> None:
    rng = np.random.default_rng(2)
    shares, votes = [], []
    for item in range(20):
        labels = rng.integers(0, 3, rng.integers(1, 6)).tolist()
        votes += [(item, who, label) for who, label in enumerate(labels)]
        if len(labels) > 1:
            shares.append(np.mean([a == b for a, b in combinations(labels, 2)]))
    found = agreement(*(list(column) for column in zip(*votes, strict=True)))
    assert found.raw.value == pytest.approx(np.mean(shares))
    assert found.items == len(shares)


def test_order_of_votes_and_names_do_not_matter() -> None:
    items, who, labels = of_observers()
    turned = agreement(items[::-1], who[::-1], labels[::-1])
    straight = agreement(items, who, labels)
    assert turned.alpha.value == pytest.approx(straight.alpha.value)
    renamed = agreement(items, who, ["zyxwv"[label - 1] for label in labels])
    assert renamed.alpha.value == pytest.approx(straight.alpha.value)
    # the other way round is the same order
    assert renamed.ordinal_alpha.value == pytest.approx(straight.ordinal_alpha.value)


def test_what_is_not_defined_is_none_and_never_perfect() -> None:
    alike = agreement([1, 1, 2, 2], [1, 2, 1, 2], ["a"] * 4)
    assert alike.raw.value == 1.0
    assert alike.alpha == alike.fleiss == alike.ac1 == Estimate(None, None, None)
    alone = agreement([1, 2], [1, 1], ["a", "b"])
    assert alone.raw.value is None
    assert alone.items == 0
    one = agreement([1, 1], [1, 2], ["a", "b"])
    assert (one.raw.value, one.raw.lo) == (0.0, None)
    assert cohen(["a"], ["a"]).value is None


def test_votes_that_do_not_fit_are_refused() -> None:
    for told, match in (
        (([], [], []), "0 labels"),
        (([1], [1], []), "0 labels"),
        (([1, 1], [1, 1], ["a", "b"]), "twice"),
    ):
        with pytest.raises(ValueError, match=match):
            agreement(*told)
        with pytest.raises(ValueError, match=r"label"):
            human_ceiling(*told)
    with pytest.raises(ValueError, match="no category"):
        agreement([1], [1], ["c"], ["a", "b"])


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(3)
    right, items = 0.8, 60
    pairs = right**2 + (1 - right) ** 2
    alpha = (pairs - 0.5) / 0.5  # balanced classes
    hits: dict[str, list[bool]] = {"raw": [], "alpha": [], "ac1": [], "ceiling": []}
    for draw in range(200):
        truth = rng.random(items) < 0.5
        labels = np.where(rng.random((items, 3)) < right, truth[:, None], ~truth[:, None])
        item, who = (part.ravel().tolist() for part in np.indices(labels.shape))
        votes = labels.ravel().tolist()
        found = agreement(item, who, votes, seed=draw)
        ceiling = human_ceiling(item, who, votes).people
        # two others who differ leave each label half
        limit = right * (right**2 + right * (1 - right)) + (1 - right) * (
            (1 - right) ** 2 + right * (1 - right)
        )
        for name, estimate, true in (
            ("raw", found.raw, pairs),
            ("alpha", found.alpha, alpha),
            ("ac1", found.ac1, alpha),
            ("ceiling", ceiling, limit),
        ):
            hits[name].append(estimate.lo <= true <= estimate.hi)  # type: ignore[operator]
    for name, told in hits.items():
        assert 0.915 <= np.mean(told) <= 0.985, name


def test_kappas_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(4)
    hits = []
    for draw in range(300):
        truth = rng.random(50) < 0.5
        one, two = (np.where(rng.random(50) < 0.85, truth, ~truth).tolist() for _ in range(2))
        found = cohen(one, two, seed=draw)
        hits.append(found.lo <= 2 * (0.85**2 + 0.15**2) - 1 <= found.hi)  # type: ignore[operator]
    assert 0.92 <= np.mean(hits) <= 0.985


def test_kappas_interval_by_prompt_is_that_of_prompts_drawn_one_by_one() -> None:
    rng = np.random.default_rng(6)
    prompts = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    # all votes on a prompt are alike, so that votes are far fewer than they look
    truth = rng.random(12) < 0.5
    right = rng.random(12) < 0.8
    one, two = truth[prompts].astype(int), np.where(right, truth, ~truth)[prompts].astype(int)
    found = cohen(one.tolist(), two.tolist(), clusters=prompts.tolist())
    told = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(prompts == k) for k in rng.integers(0, 12, 12)])
        mean, other = one[rows].mean(), two[rows].mean()
        chance = mean * other + (1 - mean) * (1 - other)
        if chance < 1:
            told.append(((one[rows] == two[rows]).mean() - chance) / (1 - chance))
    lo, middle, hi = np.quantile(told, [0.025, 0.5, 0.975])
    wider = 2.201 * np.sqrt(12 / 11) / 1.96  # Student's t of 11, and n/(n − 1)
    assert found.lo == pytest.approx(middle - wider * (middle - lo), abs=0.05)
    assert found.hi == pytest.approx(min(1.0, middle + wider * (hi - middle)), abs=0.05)
    by_vote = cohen(one.tolist(), two.tolist())
    assert found.value == by_vote.value
    assert found.hi - found.lo > 1.3 * (by_vote.hi - by_vote.lo)  # type: ignore[operator]
    with pytest.raises(ValueError, match="clusters"):
        cohen([1], [1], clusters=[1, 2])


def test_people_are_held_against_the_others_and_a_judge_against_the_same() -> None:
    # item p: a a b; leaving out one a: others a, b tie (½); the other a too; b: others a a, no
    items, who = ["p"] * 3 + ["q"] * 2 + ["r"], [1, 2, 3, 1, 2, 1]
    found = human_ceiling(items, who, ["a", "a", "b", "a", "a", "b"], {"p": "a", "q": "b"})
    assert found.people.value == pytest.approx((1 / 3 + 1) / 2)
    # the judge says a on p: ½, ½, 1; b on q: 0, 0
    assert found.judge.value == pytest.approx((2 / 3 + 0) / 2)
    assert found.difference.value == pytest.approx(((2 / 3 - 1 / 3) + (0 - 1)) / 2)
    assert (found.items, found.votes) == (2, 5)
    without = human_ceiling(items, who, ["a", "a", "b", "a", "a", "b"])
    assert without.judge.value is None
    assert human_ceiling([1], [1], ["a"]).people.value is None


def test_a_judge_that_is_one_of_the_people_is_at_their_ceiling() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(3000) < 0.5
    labels = np.where(rng.random((3000, 4)) < 0.75, truth[:, None], ~truth[:, None])
    item, who = (part.ravel().tolist() for part in np.indices((3000, 3)))
    judge = dict(enumerate(labels[:, 3].tolist()))
    found = human_ceiling(item, who, labels[:, :3].ravel().tolist(), judge)
    assert found.difference.lo < 0 < found.difference.hi  # type: ignore[operator]
    assert abs(found.difference.value) < 0.02  # type: ignore[arg-type]
