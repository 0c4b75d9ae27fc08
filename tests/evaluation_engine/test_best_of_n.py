"""Best of n against brute force, and when it is said that choosing does harm."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from evaluation.engine.best_of_n import curve, ensemble, expected_best, guide, kl


def brute(proxy: np.ndarray, gold: np.ndarray, n: int) -> float:
    values = []
    for chosen in combinations(range(len(proxy)), n):
        of, most = list(chosen), max(proxy[list(chosen)])
        values.append(np.mean([gold[at] for at in of if proxy[at] == most]))
    return float(np.mean(values))


def test_known_values() -> None:
    found = expected_best(np.array([0.1, 0.5, 0.3, 0.9, 0.7]), np.array([0, 1, 1, 0, 1]), [2, 3])
    assert found == pytest.approx([0.6, 0.4])
    told = [0.1931, 0.6363, 1.8351, 3.1745, 4.5491, 5.9324]
    np.testing.assert_allclose(kl(np.array([2, 4, 16, 64, 256, 1024])), told, atol=5e-5)
    assert kl(1) == 0


@pytest.mark.parametrize("samples", range(1, 10))
def test_all_subsets_are_counted(samples: int) -> None:
    rng = np.random.default_rng(samples)
    proxy, gold = rng.random(samples), rng.random(samples)
    sizes = range(1, samples + 1)
    found = expected_best(proxy, gold, sizes)
    assert found == pytest.approx([brute(proxy, gold, n) for n in sizes], abs=1e-10)


def test_samples_that_the_proxy_likes_equally_share_what_they_are_worth() -> None:
    # of a tied value, which of them is at hand hangs on the subset: on average all alike
    proxy, gold = np.array([1, 1, 0, 2, 2, 2.0]), np.array([5, 3, 9, 1, 2, 6.0])
    found = expected_best(proxy, gold, [1, 2, 3, 6])
    assert found == pytest.approx([brute(proxy, gold, n) for n in (1, 2, 3, 6)])


def test_it_is_without_bias_and_steadier_than_the_first_n() -> None:
    rng = np.random.default_rng(0)
    ours, first = [], []
    for _ in range(1500):
        proxy = rng.normal(0, 1, 64)
        gold = 0.7 * proxy + rng.normal(0, 1, 64)
        ours.append(expected_best(proxy, gold, [4])[0])
        first.append(gold[int(np.argmax(proxy[:4]))])
    best_of_four = 1.0293754  # expected largest of four normals
    assert np.mean(ours) == pytest.approx(0.7 * best_of_four, abs=0.02)
    assert np.var(first) > 8 * np.var(ours)


def test_large_samples_do_not_overflow() -> None:
    proxy = np.arange(5000.0)
    found = expected_best(proxy, proxy, [1, 2500, 5000])
    assert found == pytest.approx([2499.5, 2500 * 5001 / 2501 - 1, 4999])


def sampled(rng: np.random.Generator, prompts: int, harm: float) -> tuple[np.ndarray, np.ndarray]:
    """The proxy's error is heavy-tailed; what only it likes does harm."""
    quality = rng.normal(0, 1, (prompts, 64))
    error = rng.standard_t(3, (prompts, 64))
    return quality + error, quality - harm * np.maximum(error - 1.0, 0.0)


def test_harm_is_told_where_it_is_and_seldom_where_it_is_not() -> None:
    rng = np.random.default_rng(1)
    found = curve(*sampled(rng, 150, 0.8))
    assert found.best in (2, 4)
    assert found.over_optimised_from is not None
    assert found.over_optimised_from <= 32
    assert [point.n for point in found.points] == [1, 2, 4, 8, 16, 32, 64]
    assert all(a.proxy < b.proxy for a, b in zip(found.points, found.points[1:], strict=False))
    alarms = 0
    for draw in range(120):
        proxy = rng.normal(0, 1, (30, 16))
        gold = rng.normal(0, 1, (30, 16))  # the proxy knows nothing: gold is level
        alarms += curve(proxy, gold, seed=draw).over_optimised_from is not None
    assert alarms / 120 <= 0.12  # at most 5 % for each of four sizes


def test_intervals_cover_what_is_so() -> None:
    rng, hits = np.random.default_rng(2), []
    for _ in range(200):
        proxy = rng.normal(0, 1, (25, 8))
        level = rng.normal(0, 1, (25, 1))  # prompts are hard or easy
        point = curve(proxy, 0.5 * proxy + level, [4]).points[0]
        hits.append(point.gold_lo <= 0.5 * 1.0293754 <= point.gold_hi)  # type: ignore[operator]
    assert 0.92 <= np.mean(hits) <= 0.98


def test_one_prompt_has_no_interval_and_no_harm_is_told_of_it() -> None:
    found = curve([np.arange(8.0)], [np.arange(8.0)[::-1]])
    assert found.best == 1
    assert found.points[-1].gold_lo is None
    assert found.over_optimised_from is None


def test_the_guide_goes_through_points_that_are_of_its_form() -> None:
    found = curve(*sampled(np.random.default_rng(3), 20, 0.8))
    exact = [
        type(point)(**{**vars(point), "gold": 0.1 + d * (0.9 - 0.3 * d)})
        for point in found.points
        for d in (point.kl**0.5,)
    ]
    line = guide(exact)
    assert line is not None
    assert (line.start, line.alpha, line.beta) == pytest.approx((0.1, 0.9, 0.3))
    assert line.peak == pytest.approx(1.5)
    assert line.rms < 1e-12
    assert guide(exact[:3]) is None


def test_ensembles_have_the_known_values() -> None:
    rewards = np.array([[1, 2, 3], [1.5, 1, 3.5], [0.5, 2.5, 2]])
    assert ensemble(rewards) == pytest.approx([1, 1.8333333, 2.8333333])
    assert ensemble(rewards, "worst") == pytest.approx([0.5, 1, 2])
    known = [0.9166667, 1.6388889, 2.6388889]
    assert ensemble(rewards, "uncertain") == pytest.approx(known)
    with pytest.raises(ValueError, match="ensemble"):
        ensemble(rewards, "best")


def test_samples_that_do_not_fit_are_refused() -> None:
    for proxy, gold, ns, match in (
        ([1.0], [1.0, 2.0], [1], "one prompt"),
        ([], [], [1], "one prompt"),
        ([1.0], [float("nan")], [1], "finite"),
        ([1.0], [1.0], [2], "from 1 to the 1"),
    ):
        with pytest.raises(ValueError, match=match):
            expected_best(np.array(proxy), np.array(gold), ns)
    with pytest.raises(ValueError, match="prompts"):
        curve([], [])
