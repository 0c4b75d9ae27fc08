"""Human labels that were drawn with unequal probabilities: unbiased where the naive figure is not,
and with intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine import ppi
from evaluation.engine.bradley_terry import count, fit
from evaluation.engine.ppi import Battles


def asked(rng: np.random.Generator, prompts: int = 1500) -> dict[str, np.ndarray]:
    """People and a judge who is too kind where it is sure; the unsure come to people more often,
    and there the candidate is worse."""
    good = rng.random(prompts) < 0.5
    truth = np.where(good, 0.75, 0.3)
    y = (rng.random(prompts) < truth).astype(float)
    f = np.clip(np.where(good, 0.95, 0.6) + 0.05 * rng.standard_normal(prompts), 0, 1)
    p = np.clip(0.05 + 0.3 * (1 - np.abs(2 * f - 1)), 0, 1)
    return {"y": y, "f": f, "p": p, "drawn": rng.random(prompts) < p}


def test_the_corrected_rate_is_unbiased_where_the_naive_one_is_not() -> None:
    rng = np.random.default_rng(7)
    truth, rates, naive, plain, judge, covered = 0.525, [], [], [], [], []
    for _ in range(300):
        one = asked(rng)
        human = np.where(one["drawn"], one["y"], np.nan)
        found = ppi.drawn_win_rate(one["f"], human, one["p"], np.arange(human.size))
        rates.append(found.rate)
        judge.append(found.judge)
        naive.append(np.nanmean(human))
        seen, at = one["drawn"], np.arange(human.size)
        plain.append(
            ppi.win_rate(one["y"][seen], one["f"][seen], at[seen], one["f"][~seen], at[~seen]).rate
        )
        covered.append(found.lo <= truth <= found.hi)
    error = np.std(rates) / np.sqrt(len(rates))
    assert abs(np.mean(rates) - truth) < 4 * error
    assert abs(np.mean(naive) - truth) > 0.05
    assert abs(np.mean(plain) - truth) > 5 * error
    assert abs(np.mean(judge) - truth) > 0.2
    assert np.mean(covered) > 0.92


def test_with_everything_labelled_it_is_the_people() -> None:
    rng = np.random.default_rng(1)
    one = asked(rng, 200)
    found = ppi.drawn_win_rate(one["f"], one["y"], np.ones(200), np.arange(200))
    assert found.rate == pytest.approx(one["y"].mean())


def test_drawn_alike_it_comes_near_ppi() -> None:
    rng = np.random.default_rng(2)
    f = rng.random(4000)
    y = (rng.random(4000) < 0.2 + 0.6 * f).astype(float)
    seen = rng.random(4000) < 0.1
    at = np.arange(4000)
    drawn = ppi.drawn_win_rate(f, np.where(seen, y, np.nan), np.full(4000, seen.mean()), at)
    plain = ppi.win_rate(y[seen], f[seen], at[seen], f[~seen], at[~seen])
    assert drawn.rate == pytest.approx(plain.rate, abs=0.002)
    assert drawn.se == pytest.approx(plain.se, rel=0.05)
    assert drawn.gain > 1.1


def test_prompts_count_alike_and_bad_input_is_refused() -> None:
    y, f, p = np.array([1.0, 1.0, 0.0] * 40), np.full(120, 0.5), np.ones(120)
    prompts = np.repeat(np.arange(40), 3)
    prompts[2::3] += 40  # the losses have prompts of their own
    assert ppi.drawn_win_rate(f, y, p, prompts).rate == pytest.approx(0.5)
    with pytest.raises(ppi.TooFewLabels, match="1 prompts"):
        ppi.drawn_win_rate(f, y, p, np.zeros(120))
    with pytest.raises(ValueError, match="above 0"):
        ppi.drawn_win_rate(f, y, p * 0, prompts)
    with pytest.raises(ValueError, match="0 to 1"):
        ppi.drawn_win_rate(f * 3, y, p, prompts)
    with pytest.raises(ValueError, match="every item"):
        ppi.drawn_win_rate(f[1:], y, p, prompts)


def drawn_battles(
    rng: np.random.Generator, theta: np.ndarray, bias: np.ndarray, prompts: int = 500
) -> tuple[Battles, Battles, Battles]:
    """The drawn ones with what each stands for, the same as if all had been drawn alike, and all.
    People are asked more often about hard prompts, of which the judge is unsure; on these the
    models come out the other way round."""
    number = 3 * prompts
    prompt = np.arange(number) // 3
    i = rng.integers(0, theta.size, number)
    j = (i + rng.integers(1, theta.size, number)) % theta.size
    hard = rng.random(prompts)[prompt] < 0.4
    own = np.where(hard, -0.5, 1.0)
    human = (rng.random(number) < 1 / (1 + np.exp(own * (theta[j] - theta[i])))).astype(float)
    sure = 1 / (1 + np.exp(3.0 * (theta + bias)[j] - 3.0 * (theta + bias)[i]))
    judged = np.where(hard, 0.5, sure)
    p = np.where(hard, 0.6, 0.15)
    seen = rng.random(number) < p
    some = [one[seen] for one in (prompt, i, j, judged, human)]
    return Battles(*some, 1.0 / p[seen]), Battles(*some), Battles(prompt, i, j, judged)


def test_ratings_weighed_by_the_draw_are_unbiased_where_plain_ones_are_not() -> None:
    rng = np.random.default_rng(5)
    theta, bias = np.array([0.9, 0.3, -0.3, -0.9]), np.array([0.0, 0.9, -0.4, -0.5])
    # what people say of all prompts, from very many of them
    big = drawn_battles(rng, theta, bias, 40_000)
    truth = ppi.ratings(big[0], big[2], 4, weight=0.0).ratings.theta
    weighed, plain, hits, gains = [], [], [], []
    for _ in range(70):
        drawn, alike, every = drawn_battles(rng, theta, bias)
        found = ppi.ratings(drawn, every, 4)
        weighed.append(found.ratings.theta)
        plain.append(ppi.ratings(alike, every, 4).ratings.theta)
        sd = np.sqrt(found.ratings.variance_of_differences())[0, 1:]
        miss = (found.ratings.theta[0] - found.ratings.theta - truth[0] + truth)[1:]
        hits.append(np.abs(miss) < 1.96 * sd)
        gains.append(found.gain)
    error = np.std(weighed, axis=0) / np.sqrt(len(weighed))
    assert (np.abs(np.mean(weighed, axis=0) - truth) < 4 * error + 0.01).all()
    assert np.abs(np.mean(plain, axis=0) - truth).max() > 0.1
    assert np.mean(hits) == pytest.approx(0.95, abs=0.035)
    assert np.mean(gains) >= 1.0


def test_ratings_of_battles_that_all_came_to_people_are_theirs() -> None:
    rng = np.random.default_rng(6)
    theta = np.array([0.5, 0.0, -0.5])
    every = drawn_battles(rng, theta, theta)[2]
    human = (rng.random(every.i.size) < 0.5).astype(float)
    labelled = Battles(every.prompt, every.i, every.j, every.judged, human, np.ones(human.size))
    alone = fit(count(every.prompt, every.i, every.j, human, 3), 3)
    for weight in (0.0, 0.7):
        found = ppi.ratings(labelled, every, 3, weight=weight).ratings
        assert found.theta == pytest.approx(alone.theta, abs=1e-8)
