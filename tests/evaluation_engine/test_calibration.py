"""Calibration: textbook values, and that nobody is calibrated on what he is shown for."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine.calibration import cross_fitted, isotonic, platt, pooled, reliability
from evaluation.engine.logistic import sigmoid

Judged = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def too_sure(rng: np.random.Generator, votes: int) -> Judged:
    """A judge that says thrice the log-odds it should; said, truth, prompt, what is right."""
    right = rng.normal(0.3, 0.8, votes)
    truth = (rng.random(votes) < sigmoid(right)).astype(float)
    return sigmoid(3 * right + 0.5), truth, np.arange(votes) // 2, sigmoid(right)


def test_neighbours_that_fall_are_pooled() -> None:
    np.testing.assert_allclose(pooled(np.array([1, 3, 2, 4.0]), np.ones(4)), [1, 2.5, 2.5, 4])
    np.testing.assert_allclose(pooled(np.array([3, 2, 1.0]), np.array([1, 1, 2.0])), [1.75] * 3)
    np.testing.assert_allclose(
        pooled(np.array([1, 2, 6, 2, 2, 7.0]), np.ones(6)), [1, 2, 10 / 3, 10 / 3, 10 / 3, 7]
    )


def test_the_isotonic_curve_rises_and_is_nearest() -> None:
    rng = np.random.default_rng(0)
    said, truth = rng.integers(0, 8, 40) / 8, rng.random(40)
    curve = isotonic(said, truth)
    fitted = curve(said)
    assert (np.diff(curve(np.linspace(-1, 2, 50))) >= 0).all()
    # a projection on a cone: the rest is square to what was projected, and to nothing that rises
    assert (truth - fitted) @ fitted == pytest.approx(0, abs=1e-12)
    for power in (0.5, 1, 3):
        assert (truth - fitted) @ said**power <= 1e-12


def test_platts_curve_finds_what_is_right() -> None:
    rng = np.random.default_rng(1)
    said, truth, _, right = too_sure(rng, 20_000)
    np.testing.assert_allclose(platt(said, truth)(said), right, atol=0.03)
    never_wrong = platt(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0, 1, 1]))
    assert 0.6 < never_wrong(np.array([0.9]))[0] < 0.95
    # two of three for it: with the targets of Platt 2/3 · 3/4 + 1/3 · 1/3
    always = platt(np.full(3, 0.7), np.array([1.0, 1, 0]))
    assert always(np.array([0.7, 0.2])) == pytest.approx([2 / 3 * 3 / 4 + 1 / 3 * 1 / 3] * 2)
    turned = platt(1 - said, truth)
    assert turned(np.array([0.01]))[0] > 0.7


def test_reliability_is_worked_by_hand() -> None:
    found = reliability([0.05, 0.05, 0.92, 1.0], [0, 1, 1, 1], [1, 2, 3, 3])
    assert found.brier == pytest.approx((0.05**2 + 0.95**2 + 0.08**2) / 4)
    assert found.ece == pytest.approx((2 * 0.45 + 2 * 0.04) / 4)
    loss = -(np.log(0.95) + np.log(0.05) + np.log(0.92) + np.log(1 - 1e-6)) / 4
    assert found.log_loss == pytest.approx(loss)
    low, high = found.bins
    assert (low.said, low.true, low.votes) == (0.05, 0.5, 2)
    assert low.lo is not None
    assert low.lo < 0.5
    assert (high.said, high.true, high.lo) == (pytest.approx(0.96), 1.0, None)  # one prompt


@pytest.mark.parametrize(("votes", "method"), [(400, "platt"), (3000, "isotonic")])
def test_a_judge_that_is_too_sure_is_calibrated(votes: int, method: str) -> None:
    said, truth, prompt, right = too_sure(np.random.default_rng(2), votes)
    found = cross_fitted(said, truth, prompt.tolist())
    assert found.method == method
    assert found.before.ece > 0.15
    assert found.after.ece < 0.4 * found.before.ece
    assert found.after.log_loss < found.before.log_loss
    assert np.abs(found.said - right).mean() < 0.06
    assert np.abs(found.curve(said) - right).mean() < 0.06


def test_noise_is_not_calibrated_into_knowledge() -> None:
    gains, flattery = [], []
    for draw in range(40):
        rng = np.random.default_rng(draw)
        said, each = rng.random(300), rng.integers(0, 2, 100).astype(float)
        prompt, truth = np.repeat(np.arange(100), 3), np.repeat(each, 3)
        found = cross_fitted(said, truth, prompt.tolist(), "isotonic")
        gains.append(0.25 - found.after.brier)
        flattery.append(0.25 - reliability(isotonic(said, truth)(said), truth, prompt).brier)
    assert np.mean(flattery) > 0.005
    assert np.mean(gains) < 0


def test_no_prompt_is_in_two_folds_and_the_order_of_votes_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    said, truth, _, _ = too_sure(rng, 90)
    prompt = [f"p{at // 3}" for at in range(90)]
    found = cross_fitted(said, truth, prompt)
    order = rng.permutation(90)
    again = cross_fitted(said[order], truth[order], [prompt[at] for at in order])
    np.testing.assert_allclose(again.said, found.said[order])
    # turning one prompt's votes round leaves what is shown of it as it was
    other = truth.copy()
    other[:3] = 1 - other[:3]
    np.testing.assert_array_equal(cross_fitted(said, other, prompt).said[:3], found.said[:3])


def test_the_curves_intervals_cover_where_the_judge_is_calibrated() -> None:
    rng, hits = np.random.default_rng(4), []
    for _ in range(60):
        p = rng.random(300)
        truth = (rng.random(300) < p).astype(float)
        bins = reliability(p, truth, np.arange(300)).bins
        hits += [point.lo <= point.said <= point.hi for point in bins]  # type: ignore[operator]
    assert 0.93 <= np.mean(hits) <= 0.99


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        reliability([1.2], [1], [1])
    with pytest.raises(ValueError, match="0 probabilities"):
        reliability([], [], [])
    with pytest.raises(ValueError, match="two are needed"):
        cross_fitted([0.2, 0.3], [0, 1], ["p", "p"])
    with pytest.raises(ValueError, match="platt or isotonic"):
        cross_fitted([0.2, 0.3], [0, 1], ["p", "q"], "beta")
