"""Which models meet next: dense quadrature and plain loops as oracles, simulated savings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from evaluation.engine import active
from evaluation.engine.active import average_win_rates, next_pairs, posterior, spanning_tree
from evaluation.engine.davidson import probabilities

Votes = tuple[np.ndarray, np.ndarray]


def table(i: np.ndarray, j: np.ndarray, y: np.ndarray, models: int) -> np.ndarray:
    scored = np.zeros((models, models))
    np.add.at(scored, (i, j), y)
    np.add.at(scored, (j, i), 1 - y)
    return scored


def vote(theta: np.ndarray, i: np.ndarray, j: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(i.size) < 1 / (1 + np.exp(theta[j] - theta[i]))).astype(float)


def test_the_posterior_is_the_maximum_that_scipy_finds() -> None:
    scored = np.array([[0, 8, 3], [2, 0, 4], [1, 1, 0.0]])
    mean, covariance = posterior(scored)

    def loss(theta: np.ndarray) -> float:
        gap = theta[:, None] - theta
        return float((scored * np.logaddexp(0, -gap)).sum() + 0.25 * (theta**2).sum())

    best = minimize(loss, np.zeros(3), options={"gtol": 1e-9})
    assert mean == pytest.approx(best.x, abs=1e-6)
    step = 1e-3
    for a, b in itertools.product(range(3), repeat=2):
        e, f = np.eye(3)[a] * step, np.eye(3)[b] * step
        ends = loss(mean + e + f) - loss(mean + e - f) - loss(mean - e + f) + loss(mean - e - f)
        assert np.linalg.inv(covariance)[a, b] == pytest.approx(ends / (4 * step**2), abs=1e-4)


def test_models_without_votes_have_a_place_too() -> None:
    mean, covariance = posterior(np.zeros((3, 3)))
    assert mean.tolist() == [0.0, 0.0, 0.0]
    assert covariance == pytest.approx(np.eye(3) / active.PRIOR)


def test_information_is_that_of_a_dense_integral() -> None:
    mean = np.array([0.9, 0.0, -0.4])
    covariance = np.array([[0.5, 0.1, 0.0], [0.1, 0.3, -0.1], [0.0, -0.1, 1.2]])
    told = active.information(mean, covariance)
    z = np.linspace(-9, 9, 20001)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    for i, j in ((0, 1), (1, 2), (0, 2)):
        sd = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
        p = 1 / (1 + np.exp(-(mean[i] - mean[j] + sd * z)))
        h = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
        middle = p @ density
        whole = -middle * np.log2(middle) - (1 - middle) * np.log2(1 - middle)
        assert told[i, j] == pytest.approx(whole - h @ density, abs=2e-5)
    assert told == pytest.approx(told.T)
    tied = active.information(mean, covariance, nu=1.0)
    win, tie, loss = probabilities(0.9 + np.sqrt(0.6) * z, 1.0)
    parts = [
        -(p @ density) * np.log2(p @ density) + p * np.log2(p) @ density for p in (win, tie, loss)
    ]
    assert tied[0, 1] == pytest.approx(sum(parts), abs=2e-5)
    # nothing is learnt of what is known, nor of a model against itself
    assert active.information(mean, np.zeros((3, 3))) == pytest.approx(np.zeros((3, 3)))


def test_the_tree_is_the_best_of_all_trees() -> None:
    worth = np.random.default_rng(0).random((5, 5))
    worth = worth + worth.T
    edges = list(itertools.combinations(range(5), 2))
    best = -1.0
    for chosen in itertools.combinations(edges, 4):
        reach = np.eye(5, dtype=int)
        for a, b in chosen:
            reach[a, b] = reach[b, a] = 1
        if (np.linalg.matrix_power(reach, 5) > 0).all():
            best = max(best, sum(worth[a, b] for a, b in chosen))
    assert sum(worth[a, b] for a, b in spanning_tree(worth)) == pytest.approx(best)


def test_where_not_all_can_meet_each_part_has_its_tree() -> None:
    allowed = np.zeros((5, 5), dtype=bool)
    for a, b in ((0, 1), (1, 2), (0, 2), (3, 4)):
        allowed[a, b] = allowed[b, a] = True
    tree = spanning_tree(np.ones((5, 5)), allowed)
    assert len(tree) == 3
    assert (3, 4) in tree
    assert spanning_tree(np.ones((3, 3)), np.zeros((3, 3), dtype=bool)) == []


def test_pairs_come_up_as_often_as_their_logged_probability_says() -> None:
    mean, covariance = posterior(np.diag(np.ones(4), 1) * 3 + np.diag(np.ones(4), -1))
    seen, said = np.zeros((5, 5)), np.full((5, 5), np.nan)
    for seed in range(1000):
        batch = next_pairs(mean, covariance, 3, np.random.default_rng(seed))
        assert (batch.i < batch.j).all()
        np.add.at(seen, (batch.i, batch.j), 1)
        said[batch.i, batch.j] = batch.probability
    shown = seen > 0
    assert shown.sum() == 10
    assert said[shown].sum() == pytest.approx(1.0)
    error = np.sqrt(said[shown] * (1 - said[shown]) / 3000)
    assert (np.abs(seen[shown] / 3000 - said[shown]) < 4 * error).all()


def test_a_batch_may_be_longer_than_a_tree_or_than_all_pairs() -> None:
    mean, covariance = posterior(np.zeros((4, 4)))
    batch = next_pairs(mean, covariance, 6, np.random.default_rng(0), random=1e-9)
    assert len(set(zip(batch.i.tolist(), batch.j.tolist(), strict=True))) == 6
    long = next_pairs(mean, covariance, 40, np.random.default_rng(0))
    assert long.i.size == 40
    assert 2 < long.by_chance.sum() < 16
    none = next_pairs(
        mean, covariance, 5, np.random.default_rng(0), allowed=np.zeros((4, 4), dtype=bool)
    )
    assert none.i.size == 0
    with pytest.raises(ValueError, match="nothing to weigh by"):
        next_pairs(mean, covariance, 5, np.random.default_rng(0), random=0.0)


def play(
    theta: np.ndarray, votes: int, rng: np.random.Generator, chosen: bool, batch: int = 30
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    models = theta.size
    every = np.argwhere(np.triu(np.ones((models, models)), 1))
    scored, log = np.zeros((models, models)), []
    for _ in range(votes // batch):
        if chosen:
            pairs = next_pairs(*posterior(scored), batch, rng)
            i, j, p = pairs.i, pairs.j, pairs.probability
        else:
            i, j = every[rng.integers(0, len(every), batch)].T
            p = np.full(batch, 1 / len(every))
        y = vote(theta, i, j, rng)
        scored += table(i, j, y, models)
        log.append((i, j, y, p))
    i, j, y, p = (np.concatenate(column) for column in zip(*log, strict=True))
    return i, j, y, p


def tau(theta: np.ndarray, mean: np.ndarray) -> float:
    one, other = np.sign(theta[:, None] - theta), np.sign(mean[:, None] - mean)
    return float((one * other).sum() / (theta.size * (theta.size - 1)))


def test_chosen_pairs_rank_better_than_random_ones_with_as_many_votes() -> None:
    rng, gains = np.random.default_rng(1), []
    for _ in range(25):
        theta = rng.normal(0, 1.5, 16)
        played = [play(theta, 450, rng, chosen, batch=15)[:3] for chosen in (True, False)]
        for votes in (150, 225, 300, 375, 450):
            ours, theirs = (
                tau(theta, posterior(table(*(column[:votes] for column in one), 16))[0])
                for one in played
            )
            gains.append(ours - theirs)
    assert np.mean(gains) > 0.01


def test_weighted_win_rates_are_what_random_pairs_would_give_and_raw_ones_are_not() -> None:
    theta = np.array([1.5, 1.2, 0.2, -0.5, -2.4])
    chance = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    truth = (chance.sum(axis=1) - 0.5) / 4
    rng, raw, weighed, hits, modelled = np.random.default_rng(2), [], [], [], []
    for _ in range(20):
        i, j, y, p = play(theta, 600, rng, True, batch=4)
        weight = active.weights(p, 10)
        assert weight.mean() == pytest.approx(1.0, abs=0.5)
        found = average_win_rates(i, j, y, weight, 5)
        raw.append(average_win_rates(i, j, y, np.ones(i.size), 5).rate)
        weighed.append(found.rate)
        hits.append(np.abs(found.rate - truth) < 1.96 * found.se)
        expected = active.expected_win_rates(*posterior(table(i, j, y, 5), 0.01))
        modelled.append(np.abs(expected.rate - truth) < 1.96 * expected.se)
    assert np.abs(np.mean(raw, axis=0) - truth).max() > 0.05
    assert np.abs(np.mean(weighed, axis=0) - truth).max() < 0.025
    assert np.mean(hits) == pytest.approx(0.93, abs=0.06)
    assert np.mean(modelled) == pytest.approx(0.95, abs=0.04)
    assert np.isnan(average_win_rates(i[:1], j[:1], y[:1], weight[:1], 9).rate[8])


def test_equal_models_are_rarely_set_apart_however_often_one_looks_at_an_active_board() -> None:
    rng, wrong, told = np.random.default_rng(3), 0, 0
    for theta, runs in ((np.zeros(4), 30), (np.array([1.5, 0.5, -0.5, -1.5]), 3)):
        for _ in range(runs):
            scored, ever = np.zeros((4, 4)), False
            for _ in range(30):
                mean, covariance = posterior(scored, 0.01)
                batch = next_pairs(mean, covariance, 15, rng)
                scored += table(batch.i, batch.j, vote(theta, batch.i, batch.j, rng), 4)
                mean, covariance = posterior(scored, 0.01)
                variance = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
                met = (scored + scored.T).sum(axis=1)
                least = np.minimum(met[:, None], met)
                claims = active.settled(mean, variance, least)
                ever |= bool(claims.any())
            if theta.any():
                told += int(claims.sum())
            else:
                wrong += ever
    assert wrong <= 4
    assert told >= 12
