"""Few human labels beside many of a judge: golden figures, identities and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine import ppi
from evaluation.engine.bradley_terry import count, fit
from evaluation.engine.ppi import Battles, TooFewLabels
from evaluation.engine.ranks import above

HUMAN = np.array([1, 0, 1, 0.5, 1, 0, 1, 1, 0, 0.5])
JUDGED = np.array([0.9, 0.2, 0.8, 0.6, 0.7, 0.4, 0.9, 0.6, 0.3, 0.5])
OTHERS = np.array(
    [
        *(0.8, 0.3, 0.7, 0.9, 0.6, 0.2, 0.75, 0.65, 0.55, 0.85),
        *(0.4, 0.7, 0.6, 0.5, 0.9, 0.35, 0.8, 0.7, 0.65, 0.45),
    ]
)


def test_golden_estimates() -> None:
    rate, variance, weight = ppi.estimate(HUMAN, JUDGED, OTHERS)
    assert (rate, np.sqrt(variance), weight) == pytest.approx((0.6275, 0.093650, 1.0), abs=5e-7)
    rate, variance, _ = ppi.estimate(HUMAN, JUDGED, OTHERS, weight=0.8)
    assert (rate, np.sqrt(variance)) == pytest.approx((0.622, 0.099887), abs=5e-7)


def test_without_the_judge_it_is_the_people_alone() -> None:
    rate, variance, _ = ppi.estimate(HUMAN, JUDGED, OTHERS, weight=0.0)
    assert rate == HUMAN.mean()
    assert variance == pytest.approx(HUMAN.var(ddof=1) / 10)
    assert ppi.estimate(HUMAN, JUDGED, np.zeros(0))[2] == 0.0


def test_the_tuned_weight_has_the_least_variance() -> None:
    rng = np.random.default_rng(0)
    f = rng.random(5000)
    y = np.clip(0.5 * f + 0.5 * rng.random(5000), 0, 1)
    weight = ppi.estimate(y[:200], f[:200], f[200:])[2]
    grid = np.linspace(0, 1, 101)
    tried = [ppi.estimate(y[:200], f[:200], f[200:], weight=lam)[1] for lam in grid]
    assert weight == pytest.approx(grid[int(np.argmin(tried))], abs=0.06)


def test_a_judge_that_only_guesses_costs_next_to_nothing() -> None:
    rng = np.random.default_rng(1)
    y, f = rng.integers(0, 2, 200) * 1.0, rng.random(200)
    found = ppi.win_rate(y, f, range(200), rng.random(4000), range(200, 4200))
    assert found.gain == pytest.approx(1.0, abs=0.05)
    assert found.weight < 0.3
    assert found.rate == pytest.approx(found.human, abs=0.01)


def test_under_thirty_prompts_with_labels_nothing_is_said() -> None:
    y = np.tile([1.0, 0.0], 50)
    with pytest.raises(TooFewLabels, match="29 prompts"):
        ppi.win_rate(y, y, np.arange(100) % 29, y, np.arange(100) + 100)
    assert ppi.win_rate(y, y, np.arange(100) % 30, y, np.arange(100) + 100).few
    battles = Battles(np.arange(100) % 29, np.zeros(100, int), np.ones(100, int), y, y)
    with pytest.raises(TooFewLabels, match="29 prompts"):
        ppi.ratings(battles, battles, 2)


def test_labels_that_all_agree_have_a_width_too() -> None:
    won = np.ones(40)
    found = ppi.win_rate(won, won, range(40), np.ones(500), range(40, 540))
    assert (found.rate, found.hi) == (1.0, 1.0)
    assert 0.8 < found.lo < 0.93


def test_bad_scores_are_refused() -> None:
    y = np.tile([1.0, 0.0], 50)
    with pytest.raises(ValueError, match="0 to 1"):
        ppi.win_rate(y, 2 * y, range(100), y, range(100))
    with pytest.raises(ValueError, match="needs its prompt"):
        ppi.win_rate(y, y[1:], range(100), y, range(100))


@pytest.mark.parametrize(("labelled", "votes"), [(30, 1), (100, 3), (300, 1)])
def test_the_interval_covers_what_people_say_and_is_narrower_than_theirs(
    labelled: int, votes: int
) -> None:
    """A judge that is right four times in five and likes the first model; several correlated votes
    a prompt, and half of the labelled prompts are judged again among the others."""
    rng = np.random.default_rng(labelled)
    hits, judged_hits, gains, truth = [], [], [], 0.542
    size = labelled + 1500
    for _ in range(400):
        taste = np.clip(truth + 0.35 * rng.choice([-1, 1], size), 0, 1) if votes > 1 else truth
        chance = np.repeat(np.broadcast_to(taste, size), votes)
        y = (rng.random(size * votes) < chance).astype(float)
        f = np.clip(np.where(rng.random(y.size) < 0.8, y, 1 - y) * 0.8 + 0.2, 0, 1)
        prompt = np.repeat(np.arange(size), votes)
        mine = prompt < labelled
        again = prompt >= labelled // 2 if votes > 1 else ~mine
        found = ppi.win_rate(y[mine], f[mine], prompt[mine], f[again], prompt[again])
        hits.append(found.lo <= truth <= found.hi)
        judged_hits.append(abs(found.judge - truth) < 0.02)
        gains.append(found.gain)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)
    assert np.mean(gains) > 1.2
    assert np.mean(judged_hits) < 0.5


def battles(
    rng: np.random.Generator, theta: np.ndarray, bias: np.ndarray, number: int, per_prompt: int
) -> Battles:
    """People by Bradley–Terry; the judge flips one in five and has its own favourites."""
    models = theta.size
    i = rng.integers(0, models, number)
    j = (i + rng.integers(1, models, number)) % models
    luck = rng.random(number)
    human = (luck < 1 / (1 + np.exp(theta[j] - theta[i]))).astype(float)
    biased = (luck < 1 / (1 + np.exp((theta + bias)[j] - (theta + bias)[i]))).astype(float)
    judged = np.where(rng.random(number) < 0.1, 1 - biased, biased)
    prompt = np.arange(number) // per_prompt + int(rng.integers(0, 10**9)) * 1000
    return Battles(prompt, i, j, judged, human)


def test_ratings_without_the_judge_are_those_of_the_people() -> None:
    rng = np.random.default_rng(2)
    theta, bias = np.array([0.5, 0.2, -0.2, -0.5]), np.array([0.0, 0.8, 0.0, -0.8])
    mine, others = battles(rng, theta, bias, 400, 2), battles(rng, theta, bias, 2000, 2)
    assert mine.human is not None
    alone = fit(count(mine.prompt, mine.i, mine.j, mine.human, 4), 4)
    found = ppi.ratings(mine, others, 4, weight=0.0)
    assert np.abs(found.ratings.theta - alone.theta).max() < 1e-9
    ratio = np.diag(found.ratings.covariance) / np.diag(alone.covariance)
    assert ratio == pytest.approx(np.ones(4), abs=0.02)
    # a judge who says what people say, on as many: theirs and his are one sample
    agreed = Battles(mine.prompt, mine.i, mine.j, mine.human, mine.human)
    more = Battles(others.prompt, others.i, others.j, np.asarray(others.human))
    both = ppi.ratings(agreed, more, 4, weight=1.0)
    judged = fit(count(more.prompt, more.i, more.j, more.judged, 4), 4)
    assert np.abs(both.ratings.theta - judged.theta).max() < 1e-9


def test_a_judge_with_favourites_does_not_move_the_ratings_and_narrows_them() -> None:
    rng = np.random.default_rng(3)
    theta = np.array([0.6, 0.3, 0.0, -0.3, -0.6])
    bias = np.array([0.0, 0.9, 0.0, -0.5, -0.4])
    hits, gains, misses, judges = [], [], [], []
    for _ in range(60):
        mine, others = battles(rng, theta, bias, 300, 2), battles(rng, theta, bias, 2000, 2)
        found = ppi.ratings(mine, others, 5)
        sd = np.sqrt(found.ratings.variance_of_differences())[0]
        miss = (found.ratings.theta[0] - found.ratings.theta) - (theta[0] - theta)
        hits.append(np.abs(miss[1:]) < 1.96 * sd[1:])
        misses.append(found.ratings.theta - theta)
        gains.append(found.gain)
        judged = fit(count(others.prompt, others.i, others.j, others.judged, 5), 5).theta
        judges.append(judged[1] > judged[0])
    assert np.mean(hits) == pytest.approx(0.95, abs=0.025)
    assert np.abs(np.mean(misses, axis=0)).max() < 0.08
    assert np.mean(gains) > 1.3
    assert np.mean(judges) == 1.0
    assert above(found.ratings)[0, 4]


def test_models_without_finite_ratings_are_refused() -> None:
    y = np.ones(60)
    one = Battles(np.arange(60), np.zeros(60, int), np.ones(60, int), y, y)
    with pytest.raises(ValueError, match="no finite ratings"):
        ppi.ratings(one, one, 2)
