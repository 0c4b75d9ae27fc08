"""How large a difference is, beside how often it wins: values by hand, and what must hold."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine.effect import cohens_d, mean_strength


def test_it_works() -> None:
    # means 3 and 2, variances 1 and 1
    effect = cohens_d([2, 3, 4], [1, 2, 3], ["p", "q", "r"])
    assert effect is not None
    assert (effect.size, effect.pairs, effect.prompts) == (1.0, 3, 3)
    assert effect.lo is not None
    assert effect.lo < 1.0 < effect.hi  # type: ignore[operator]
    back = cohens_d([1, 2, 3], [2, 3, 4], ["p", "q", "r"])
    assert back is not None
    assert (back.size, back.lo) == (-1.0, pytest.approx(-effect.hi))  # type: ignore[operator]


def test_a_change_too_small_to_see_wins_always_on_equal_seeds_and_is_no_effect() -> None:
    baseline = np.random.default_rng(0).normal(size=400)
    effect = cohens_d(baseline + 0.01, baseline, list(range(400)))
    assert effect is not None
    assert effect.size == pytest.approx(0.01, abs=0.001)


def test_its_interval_keeps_its_word_where_a_prompt_has_several_pairs() -> None:
    draw, held = np.random.default_rng(1), 0
    for _ in range(200):
        prompt = np.repeat(draw.normal(size=(30, 2)), 3, axis=0)
        scores = prompt + draw.normal(size=(90, 2))
        effect = cohens_d(scores[:, 0], scores[:, 1], np.repeat(np.arange(30), 3).tolist())
        assert effect is not None
        held += effect.lo <= 0 <= effect.hi  # type: ignore[operator]
    assert held >= 180


def test_strengths_are_measured_about_zero() -> None:
    for strengths, size in (([2, 2, 2], 1.0), ([1, -1, 3, -3], 0.0), ([3, 0, 0, 0], 0.5)):
        effect = mean_strength(strengths, list(range(len(strengths))))
        assert effect is not None
        assert effect.size == pytest.approx(size)
        # of a single strong verdict nothing is left without it
        assert (effect.lo is None) == (strengths == [3, 0, 0, 0])
        assert effect.lo is None or -1 <= effect.lo <= size <= effect.hi <= 1  # type: ignore[operator]


def test_where_nothing_can_be_said_nothing_is() -> None:
    assert cohens_d([1], [0], ["p"]) is None
    assert cohens_d([0.1, 0.1], [0.1, 0.1], ["p", "q"]) is None
    assert mean_strength([0, 0], ["p", "q"]) is None
    two = cohens_d([1, 2], [3, 5], ["p", "q"])
    assert two is not None
    assert two.lo is None
    with pytest.raises(ValueError, match="scores"):
        cohens_d([1, 2], [1], ["p", "q"])
