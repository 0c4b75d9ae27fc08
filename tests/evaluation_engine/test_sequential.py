"""Looking as often as one likes: golden figures, SciPy as the oracle, simulated false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln

from evaluation.engine.sequential import (
    assisted,
    best_found,
    betting,
    betting_interval,
    by_prompt,
    coin,
    coin_interval,
    decide,
    e_bh,
    half_width,
    narrowest,
    running,
)

LIMIT = np.log(20.0)


def coins(runs: int, labels: int, chance: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((runs, labels)) < chance).astype(float)


def paths(x: np.ndarray) -> np.ndarray:
    """The coin's log e-values by SciPy."""
    wins, losses = x.cumsum(axis=1), (1 - x).cumsum(axis=1)
    return betaln(10 + wins, 10 + losses) - betaln(10, 10) + (wins + losses) * np.log(2)


def stopped(log_e: np.ndarray) -> np.ndarray:
    """After how many labels each run stopped, infinity where it never did."""
    hit = log_e >= LIMIT
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, np.inf)


def test_golden_e_values() -> None:
    assert np.exp(coin(60, 40)) == pytest.approx(2.18659, abs=5e-6)
    assert np.exp(coin(70, 30)) == pytest.approx(383.3349, abs=5e-5)
    assert np.exp(coin(8, 2, strength=0.5)) == pytest.approx(1.675781, abs=5e-7)
    assert coin(0, 0) == pytest.approx(0.0)
    x = coins(3, 50, 0.6, 0)
    ours = [[coin(one[:n].sum(), n - one[:n].sum()) for n in range(1, 51)] for one in x]
    assert np.array(ours) == pytest.approx(paths(x))


def test_the_coins_interval_ends_where_the_e_value_against_it_is_twenty() -> None:
    lo, hi = coin_interval(60, 40)
    for end in (lo, hi):
        e = betaln(70, 50) - betaln(10, 10) - 60 * np.log(end) - 40 * np.log(1 - end)
        assert e == pytest.approx(LIMIT, abs=1e-9)
    assert lo < 0.6 < hi
    assert coin_interval(0, 0) == (0.0, 1.0)
    none_lost = coin_interval(30, 0)
    assert none_lost[1] == 1.0
    assert 0.6 < none_lost[0] < 0.95
    assert coin_interval(0, 30) == pytest.approx((1 - none_lost[1], 1 - none_lost[0]))


def test_between_equals_a_winner_is_rarely_crowned_however_often_one_looks() -> None:
    x = coins(1000, 1500, 0.5, 1)
    assert np.isfinite(stopped(paths(x))).mean() < 0.06
    graded = np.random.default_rng(2).choice([0, 0.25, 0.5, 0.75, 1], (1000, 1500))
    assert np.isfinite(stopped(betting(graded))).mean() < 0.06
    mean, half = running(x)
    assert (np.abs(mean - 0.5) > half).any(axis=1).mean() < 0.075
    # a plain test, looked at after every vote from the twentieth on
    t = np.arange(1, 1501)
    z = np.abs(x.cumsum(axis=1) - t / 2) / (np.sqrt(t) / 2)
    assert (z[:, 20:] > 1.96).any(axis=1).mean() > 0.4


def test_five_votes_a_prompt_count_once() -> None:
    rng = np.random.default_rng(3)
    taste = rng.beta(1, 1, (600, 400))
    votes = (rng.random((600, 400, 5)) < taste[:, :, None]).astype(float)
    assert np.isfinite(stopped(paths(votes.reshape(600, -1)))).mean() > 0.2
    assert np.isfinite(stopped(betting(votes.mean(axis=2)))).mean() < 0.06
    assert by_prompt([1, 0, 1, 0, 0], ["b", "a", "b", "a", "c"]).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(("chance", "labels"), [(0.6, (150, 220)), (0.7, (40, 70))])
def test_it_takes_about_as_many_labels_as_a_test_of_fixed_size(
    chance: float, labels: tuple[int, int]
) -> None:
    x = coins(400, 1500, chance, 4)
    assert labels[0] < np.median(stopped(paths(x))) < labels[1]
    assert np.median(stopped(betting(x))) < 1.5 * labels[1]


def test_betting_is_the_reference_rule_written_out() -> None:
    x = np.random.default_rng(5).random(200) * 0.8 + 0.2
    wealth, total, squares = 0.0, 0.0, 0.0
    for n, one in enumerate(x):
        mean, spread = (0.5 + total) / (n + 1), (0.25 + squares) / (n + 1)
        stake = np.clip((mean - 0.5) / (spread + (mean - 0.5) ** 2), -1, 1)
        wealth += np.log(1 + stake * (one - 0.5))
        total += one
        squares += (one - (0.5 + total) / (n + 2)) ** 2
    assert betting(x)[-1] == pytest.approx(wealth)
    with pytest.raises(ValueError, match="0 to 1"):
        betting([1.2])


def test_intervals_hold_at_all_times_at_once() -> None:
    rng = np.random.default_rng(6)
    x = rng.choice([0, 0.5, 1], (1000, 1000), p=[0.3, 0.2, 0.5])
    mean, half = running(x)
    assert (np.abs(mean - 0.6) > half).any(axis=1).mean() < 0.075
    assert (betting(x, 0.6).max(axis=1) >= LIMIT).mean() < 0.06
    lo, hi = betting_interval(x[0])
    assert lo < x[0].mean() < hi
    assert hi - lo < 4 * half[0, -1]
    assert betting_interval([]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("ties", "wins"), [(0.0, 0.02), (0.0, 0.05), (0.0, 0.9), (0.8, 0.9), (0.95, 1.0)]
)
def test_the_interval_shown_holds_also_where_nearly_all_scores_are_alike(
    ties: float, wins: float
) -> None:
    rng, runs, mean = np.random.default_rng(2), 60, 0.5 * ties + (1.0 - ties) * wins
    left_out = 0
    for _ in range(runs):
        decided = (rng.random(600) < wins).astype(float)
        scores = np.where(rng.random(600) < ties, 0.5, decided)
        _, lo, hi, contradictory = narrowest(scores)
        left_out += not lo[-1] <= mean <= hi[-1]
        assert not contradictory.any()
    assert left_out <= 0.05 * runs + 3.0 * np.sqrt(0.05 * 0.95 * runs)


def test_the_width_is_that_of_the_formula_and_tightest_where_asked() -> None:
    rho = (-2 * np.log(0.05) + np.log(-2 * np.log(0.05)) + 1) / 200
    wide = 300 * rho + 1
    plain = 0.5 * np.sqrt(2 * wide / (300**2 * rho) * np.log(np.sqrt(wide) / 0.05))
    assert half_width(300, 0.5) == pytest.approx(plain)
    others = [float(half_width(200, 0.5, tightest=t)) for t in (20, 60, 200, 700, 2000)]
    assert int(np.argmin(others)) == 2


def judged(runs: int, chance: float, flip: float, seed: int) -> tuple[np.ndarray, ...]:
    """A judge that is right but for a share ``flip``, and people asked one time in ten."""
    rng = np.random.default_rng(seed)
    y = (rng.random((runs, 4000)) < chance).astype(float)
    f = np.where(rng.random(y.shape) < flip, 1 - y, y) * 0.7 + 0.25
    return f, np.where(rng.random(y.shape) < 0.1, y, np.nan)


def test_a_judge_between_the_labels_saves_labels_and_alarms_no_more() -> None:
    f, y = judged(150, 0.5, 0.15, 7)
    wrong = 0
    for one, human in zip(f, y, strict=True):
        asked = ~np.isnan(human)
        mean, half = running(assisted(one, human, 0.1), tightest=2000, labelled=asked)
        wrong += bool((np.abs(mean - 0.5) > half).any())
    assert wrong / 150 < 0.09
    f, y = judged(60, 0.6, 0.15, 8)
    with_judge, alone = [], []
    for one, human in zip(f, y, strict=True):
        asked = ~np.isnan(human)
        mean, half = running(assisted(one, human, 0.1), tightest=2000, labelled=asked)
        at = int((mean - half > 0.5).argmax())
        with_judge.append(asked[: at + 1].sum() if mean[at] - half[at] > 0.5 else 400)
        mean, half = running(human[asked])
        at = int((mean - half > 0.5).argmax())
        alone.append(at + 1 if mean[at] - half[at] > 0.5 else 400)
    assert np.median(with_judge) < 0.8 * np.median(alone)


def test_assisted_scores_are_unbiased_and_of_labels_alone_are_the_labels() -> None:
    f, y = judged(100, 0.6, 0.3, 9)
    scores = [assisted(one, human, 0.1).mean() for one, human in zip(f, y, strict=True)]
    assert np.mean(scores) == pytest.approx(0.6, abs=0.006)
    assert assisted(f[0], f[0] > 0.5, 1.0) == pytest.approx((f[0] > 0.5) * 1.0)
    with pytest.raises(ValueError, match="probability"):
        assisted([0.5], [1.0], 0.0)


def test_among_many_true_equals_few_are_rejected() -> None:
    assert e_bh(np.log([300, 4, 90, 1])).tolist() == [True, False, True, False]
    assert e_bh(np.log([30, 30, 1, 1])).tolist() == [False, False, False, False]
    assert e_bh([]).tolist() == []
    log_e = np.stack(
        [
            paths(coins(200, 300, chance, k))[:, -1]
            for k, chance in enumerate([0.5] * 12 + [0.7] * 4)
        ]
    )
    rejected = np.stack([e_bh(one) for one in log_e.T])
    wrong = rejected[:, :12].sum(axis=1) / np.maximum(rejected.sum(axis=1), 1)
    assert wrong.mean() < 0.05
    assert rejected[:, 12:].mean() > 0.9
    assert best_found(np.log([70, 61, 60.1]))
    assert not best_found(np.log([70, 61, 59]))
    assert not best_found([])


def test_verdicts() -> None:
    better = decide(coins(1, 300, 0.7, 10)[0])
    assert (better.decision, better.left) == ("better", 0)
    assert better.lo > 0.5
    assert better.p < 0.05
    assert decide(1 - coins(1, 300, 0.7, 10)[0]).decision == "worse"
    early = decide([1.0, 0.0])
    assert (early.decision, early.left, early.lo, early.hi) == ("keep voting", None, 0.0, 1.0)
    assert decide([]).decision == "keep voting"
    # graded scores are bet on
    graded = np.clip(0.62 + 0.2 * np.random.default_rng(0).normal(size=300), 0, 1)
    assert decide(graded).decision == "better"


def test_equals_are_told_to_be_so_in_the_end_and_what_is_left_is_foretold() -> None:
    x = coins(1, 12_000, 0.5, 11)[0]
    found = decide(x, delta=0.03)
    assert found.decision == "no difference"
    assert 0.47 <= found.lo <= found.hi <= 0.53
    part = decide(x[:1500], delta=0.03)
    assert part.decision == "keep voting"
    assert part.left is not None
    assert 1000 < part.left < 20_000
    ties = decide(np.full(3000, 0.5))
    assert ties.decision == "no difference"
    assert decide(coins(1, 100, 0.6, 3)[0]).left is not None


def test_no_difference_is_rarely_said_where_there_is_one() -> None:
    wrong = sum(
        decide(one, delta=0.05).decision == "no difference" for one in coins(60, 2500, 0.56, 12)
    )
    assert wrong <= 3
