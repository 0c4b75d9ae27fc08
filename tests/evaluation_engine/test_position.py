"""Position bias: worked by hand, and found in simulated annotators who have it."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine.position import position_bias


def test_it_is_worked_by_hand() -> None:
    # pair 1: a wins in both orders; 2: the first wins in both; 3: the second; 4: tie, then a
    votes = [
        (1, 1.0, False), (1, 1.0, True),
        (2, 1.0, False), (2, 0.0, True),
        (3, 0.0, False), (3, 1.0, True),
        (4, 0.5, False), (4, 1.0, True),
    ]  # fmt: skip
    pairs, scores, swapped = (list(column) for column in zip(*votes, strict=True))
    (found,) = position_bias(["robot"] * 8, pairs, pairs, scores, swapped)
    # first: 1 0 | 1 1 | 0 0 | ½ 0
    assert found.first.rate == pytest.approx(3.5 / 8)
    assert found.preference == pytest.approx(3.5 / 8 - 0.5)
    assert found.consistency is not None
    assert found.consistency.rate == 0.25
    assert (found.to_first, found.to_second, found.pairs) == (0.25, 0.25, 4)
    assert not found.biased


def test_annotators_are_told_apart_and_one_order_gives_no_consistency() -> None:
    found = position_bias(
        ["robot", "rater", "robot"], [1, 1, 2], [1, 1, 2], [1, 0, 1], [False, True, False]
    )
    assert [one.annotator for one in found] == ["rater", "robot"]
    assert [one.first.rate for one in found] == [1.0, 1.0]
    assert all(one.consistency is None and one.pairs == 0 for one in found)


def test_repeated_votes_in_one_order_share_their_weight() -> None:
    (found,) = position_bias(["r"] * 3, [1] * 3, [1] * 3, [1, 0, 1], [False, False, True])
    assert found.consistency is not None
    assert found.consistency.rate == 0.5


def test_a_swap_of_the_names_of_the_outputs_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    pair = np.repeat(np.arange(40), 2)
    swapped, score = np.tile([False, True], 40), rng.integers(0, 3, 80) / 2
    (one,) = position_bias(["r"] * 80, pair, pair, score, swapped)
    (two,) = position_bias(["r"] * 80, pair, pair, 1 - score, ~swapped)
    assert one.first == two.first
    assert one.consistency == two.consistency
    assert (one.to_first, one.to_second) == (two.to_first, two.to_second)


def test_a_bias_is_found_and_a_fair_judge_is_seldom_called_biased() -> None:
    rng = np.random.default_rng(1)
    pairs = 100
    pair, swapped = np.repeat(np.arange(pairs), 2), np.tile([False, True], pairs)
    prompt = pair // 2  # two pairs a prompt
    alarms = {0.0: 0, 0.8: 0}
    for bias in alarms:
        for _ in range(300):
            better = np.repeat(rng.normal(0, 1.5, pairs), 2)
            p = 1 / (1 + np.exp(-(better + np.where(swapped, -bias, bias))))
            score = (rng.random(2 * pairs) < p).astype(float)
            (found,) = position_bias(["r"] * 2 * pairs, prompt, pair, score, swapped)
            alarms[bias] += found.biased
            if bias:
                assert found.to_first > 0  # type: ignore[operator]
    assert alarms[0.0] / 300 <= 0.075
    assert alarms[0.8] / 300 > 0.9


def test_votes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="all five"):
        position_bias([], [], [], [], [])
    with pytest.raises(ValueError, match="all five"):
        position_bias(["r"], [1], [1], [1.0], [])
    with pytest.raises(ValueError, match="0 to 1"):
        position_bias(["r"], [1], [1], [2.0], [False])
