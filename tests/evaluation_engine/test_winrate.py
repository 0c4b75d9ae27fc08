"""Win rates and their intervals: worked values, bounds, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine.quantiles import t_quantile
from evaluation.engine.winrate import interval, win_rate


def test_it_works() -> None:
    rate = win_rate([1, 1, 0.5, 0], ["p1", "p2", "p3", "p4"])
    assert (rate.wins, rate.ties, rate.losses) == (2, 1, 1)
    assert (rate.votes, rate.prompts) == (4, 4)
    assert rate.rate == 0.625
    assert rate.lo is not None
    assert rate.hi is not None
    assert rate.lo < 0.625 < rate.hi


def test_worked_by_hand() -> None:
    # eight prompts and the four added: 0 0 0 1 1 1 1 1 | 0 0 1 1, mean 7/12, sd 0.514929
    lo, hi = interval(np.array([0, 0, 0, 1, 1, 1, 1, 1.0]))
    half = 2.200985 * 0.514929 / 12**0.5
    assert lo == pytest.approx(7 / 12 - half, abs=1e-6)
    assert hi == pytest.approx(7 / 12 + half, abs=1e-6)


@pytest.mark.parametrize(
    ("df", "quantile"), [(1, 12.7062), (2, 4.30265), (5, 2.57058), (30, 2.04227), (10**6, 1.95997)]
)
def test_quantiles_are_those_of_the_tables(df: int, quantile: float) -> None:
    assert t_quantile(df) == pytest.approx(quantile, rel=1e-5)


def test_a_far_quantile_is_right_too() -> None:
    assert t_quantile(12, 0.9999) == pytest.approx(5.6945, rel=1e-4)
    with pytest.raises(ValueError, match="degree of freedom"):
        t_quantile(0)


def test_votes_on_one_prompt_count_as_one_prompt() -> None:
    once = win_rate([1, 0, 1, 1], [1, 2, 3, 4])
    thrice = win_rate([1, 0, 1, 1] * 3, [1, 2, 3, 4] * 3)
    assert thrice.votes == 12
    assert (thrice.rate, thrice.lo, thrice.hi) == (once.rate, once.lo, once.hi)


def test_every_prompt_counts_alike() -> None:
    assert win_rate([1, 1, 1, 0], ["p", "p", "p", "q"]).rate == 0.5


def test_the_other_sides_win_rate_is_the_mirror_image() -> None:
    scores, prompts = [1, 0.5, 0, 1, 1, 0.5, 1], [1, 1, 2, 3, 4, 5, 5]
    ours, theirs = win_rate(scores, prompts), win_rate([1 - s for s in scores], prompts)
    assert theirs.rate == pytest.approx(1 - ours.rate)
    assert theirs.lo == pytest.approx(1 - ours.hi)
    assert (theirs.wins, theirs.losses) == (ours.losses, ours.wins)


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_unanimous_votes_still_have_an_interval_with_a_width(score: float) -> None:
    rate = win_rate([score] * 10, list(range(10)))
    assert rate.lo is not None
    assert rate.hi is not None
    assert 0 <= rate.lo <= score <= rate.hi <= 1
    assert rate.hi - rate.lo > 0.25


def test_one_prompt_gives_no_interval_and_says_why() -> None:
    rate = win_rate([1, 1, 0], ["p", "p", "p"])
    assert (rate.lo, rate.hi) == (None, None)
    assert "one prompt" in rate.reason


@pytest.mark.parametrize(
    ("scores", "prompts"), [([], []), ([1.0], []), ([1.5], ["p"]), ([float("nan")], ["p"])]
)
def test_what_is_no_score_is_refused(scores: list[float], prompts: list[str]) -> None:
    with pytest.raises(ValueError, match="score"):
        win_rate(scores, prompts)


@pytest.mark.parametrize("prompts", [3, 10, 40])
@pytest.mark.parametrize(
    ("win", "tie"), [(0.5, 0.0), (0.9, 0.0), (0.98, 0.0), (0.3, 0.5), (0.05, 0.95)]
)
def test_covers_the_truth_with_one_vote_a_prompt(prompts: int, win: float, tie: float) -> None:
    u = np.random.default_rng(prompts).random((4000, prompts))
    scores = np.where(u < win, 1.0, np.where(u < win + tie, 0.5, 0.0))
    assert coverage(scores, win + tie / 2) >= 0.93


@pytest.mark.parametrize("prompts", [5, 15, 60])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.3, 0.1), (9, 1)])
def test_covers_the_truth_with_correlated_votes(prompts: int, a: float, b: float) -> None:
    rng = np.random.default_rng(prompts)
    preference = rng.beta(a, b, (4000, prompts))
    assert coverage(rng.binomial(5, preference) / 5, a / (a + b)) >= 0.93


def coverage(means: np.ndarray, truth: float) -> float:
    ends = [interval(row) for row in means]
    return float(np.mean([lo <= truth <= hi for lo, hi in ends]))  # type: ignore[operator]
