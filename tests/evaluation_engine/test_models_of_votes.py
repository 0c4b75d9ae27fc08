"""Davidson, covariates, equal opponents and slices: evalica, SciPy and dense algebra as oracles."""

from __future__ import annotations

import evalica
import numpy as np
import pytest
from scipy.optimize import minimize

from evaluation.engine import contextual, davidson, slices
from evaluation.engine.bradley_terry import count, equal_pairs, fit
from evaluation.engine.clusters import outer_sums
from evaluation.engine.ratings import ELO, leaderboard

WINS = np.array([[0, 30, 45, 20], [20, 0, 35, 25], [10, 15, 0, 18], [8, 9, 12, 0]])
TIES = np.array([[0, 10, 5, 4], [10, 0, 8, 6], [5, 8, 0, 7], [4, 6, 7, 0]])
Battles = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def battles(seed: int, models: int, number: int, prompts: int, ties: float = 0.2) -> Battles:
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.7, models)
    i = rng.integers(0, models, number)
    j = (i + rng.integers(1, models, number)) % models
    better = rng.random(number) < 1 / (1 + np.exp(theta[j] - theta[i]))
    y = np.where(rng.random(number) < ties, 0.5, better.astype(float))
    return rng.integers(0, prompts, number), i, j, y


def test_golden_davidson() -> None:
    theta, nu, _ = davidson.of_counts(WINS, TIES)
    assert theta == pytest.approx([0.774596, 0.362947, -0.520755, -0.616789], abs=5e-7)
    assert nu == pytest.approx(0.359257, abs=5e-7)


@pytest.mark.parametrize("seed", range(3))
def test_davidson_is_evalicas_newman_with_half_its_tie_parameter(seed: int) -> None:
    models = 4 + 3 * seed
    prompt, i, j, y = battles(seed, models, 300 * models, 40)
    fitted = davidson.fit(prompt, i, j, y, models)
    winners = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    theirs = evalica.newman(
        [f"{m:04}" for m in i],
        [f"{m:04}" for m in j],
        [winners[float(score)] for score in y],
        tolerance=1e-14,
        limit=100_000,
    )
    logs = np.log([theirs.scores[f"{m:04}"] for m in range(models)])
    assert np.abs(fitted.theta - (logs - logs.mean())).max() < 1e-9
    assert fitted.nu == pytest.approx(2 * theirs.v, abs=1e-9)


def test_win_tie_and_loss_sum_to_one_and_turn_about() -> None:
    win, tie, loss = davidson.probabilities(np.array([-900.0, -1.0, 0.0, 1.0, 900.0]), 0.7)
    assert win + tie + loss == pytest.approx(np.ones(5))
    assert win == pytest.approx(loss[::-1])
    assert (win[0], win[-1]) == (0.0, 1.0)
    assert win[1] == pytest.approx(np.exp(-0.5) / (np.exp(-0.5) + np.exp(0.5) + 0.7))


def test_without_ties_davidson_is_bradley_terry_and_of_ties_alone_there_is_none() -> None:
    prompt, i, j, y = battles(1, 4, 600, 50, ties=0.0)
    fitted = davidson.fit(prompt, i, j, y, 4)
    assert fitted.nu == 0.0
    assert fitted.theta == pytest.approx(fit(count(prompt, i, j, y, 4), 4).theta)
    with pytest.raises(ValueError, match="every vote is a tie"):
        davidson.fit(prompt, i, j, np.full(600, 0.5), 4)
    with pytest.raises(ValueError, match="no finite ratings"):
        davidson.fit(prompt, i, j, y, 5)


def test_davidsons_errors_cover() -> None:
    rng = np.random.default_rng(5)
    theta, nu = np.array([0.6, 0.0, -0.6]), 0.5
    hit = []
    for _ in range(300):
        i = rng.integers(0, 3, 400)
        j = (i + rng.integers(1, 3, 400)) % 3
        win, tie, _ = davidson.probabilities(theta[i] - theta[j], nu)
        luck = rng.random(400)
        y = np.where(luck < win, 1.0, np.where(luck < win + tie, 0.5, 0.0))
        fitted = davidson.fit(np.arange(400), i, j, y, 3)
        miss = np.append(fitted.theta - theta, np.log(fitted.nu / nu))
        hit.append(np.abs(miss) < 1.96 * np.sqrt(np.diag(fitted.covariance)))
    assert np.mean(hit) == pytest.approx(0.95, abs=0.02)


def test_covariates_have_the_maximum_that_scipy_finds_and_the_plain_sandwich() -> None:
    models, number = 4, 800
    prompt, i, j, y = battles(2, models, number, 60)
    x = np.random.default_rng(0).normal(size=(number, 2))
    y = np.clip(np.round(2 * (y + 0.3 * x[:, 0])) / 2, 0, 1)
    ours = contextual.fit(prompt, i, j, y, x, models)
    rows = np.column_stack([np.eye(models)[i] - np.eye(models)[j], x])

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        z = rows @ np.concatenate([free[:3], [-free[:3].sum()], free[3:]])
        gradient = rows.T @ (y - 1 / (1 + np.exp(-z)))
        slope = np.concatenate([gradient[:3] - gradient[3], gradient[4:]])
        return float(-(y * z - np.logaddexp(0, z)).sum()), -slope

    best = minimize(loss, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    assert ours.ratings.theta[:3] == pytest.approx(best[:3], abs=1e-6)
    assert ours.beta == pytest.approx(best[3:], abs=1e-6)
    estimate = np.concatenate([ours.ratings.theta, ours.beta])
    p = 1 / (1 + np.exp(-rows @ estimate))
    inverse = np.linalg.pinv(rows.T @ (rows * (p * (1 - p))[:, None]), rcond=1e-9)
    scores = np.stack([((y - p)[:, None] * rows)[prompt == one].sum(axis=0) for one in range(60)])
    assert np.abs(ours.covariance - inverse @ (scores.T @ scores) @ inverse * 60 / 59).max() < 1e-12


def test_swapping_the_sides_of_every_vote_turns_only_the_side_effect() -> None:
    models, number = 5, 2000
    prompt, i, j, y = battles(3, models, number, 100, ties=0.0)
    side = np.random.default_rng(4).choice([-1.0, 1.0], number)
    y = np.where(np.random.default_rng(5).random(number) < 0.2, (side + 1) / 2, y)
    one = contextual.fit(prompt, i, j, y, side[:, None], models)
    other = contextual.fit(prompt, j, i, 1 - y, -side[:, None], models)
    named = contextual.fit(prompt, i, j, y, -side[:, None], models)
    assert other.beta == pytest.approx(one.beta)
    assert other.ratings.theta == pytest.approx(one.ratings.theta)
    assert named.beta == pytest.approx(-one.beta)
    assert one.beta[0] > 5 * one.errors()[0]


def test_length_bias_of_wordy_models_leaves_the_ratings_and_intervals_cover() -> None:
    rng = np.random.default_rng(6)
    theta, wordy = np.array([0.4, 0.1, -0.2, -0.3]), np.array([0, 0.5, 0, 0.5])
    misses, hits, raw = [], [], []
    for _ in range(60):
        i = rng.integers(0, 4, 1500)
        j = (i + rng.integers(1, 4, 1500)) % 4
        lengths = np.exp(wordy[[i, j]] + 0.4 * rng.normal(size=(2, 1500)))
        x = contextual.relative(*lengths)[:, None]
        chance = 1 / (1 + np.exp(-(theta[i] - theta[j] + 1.5 * x[:, 0])))
        y = (rng.random(1500) < chance).astype(float)
        prompt = np.arange(1500)
        board = leaderboard(prompt, i, j, y, 4, controls=x)
        truth = 1000 + ELO * theta
        (rows,) = board.groups
        misses += [row.rating - truth[row.model] for row in rows if row.model in (1, 3)]
        hits += [row.lo <= truth[row.model] <= row.hi for row in rows if row.lo and row.hi]
        (effect,) = board.effects[0]
        hits.append(effect.lo <= 1.5 * ELO <= effect.hi)
        (rows,) = leaderboard(prompt, i, j, y, 4).groups
        raw += [row.rating - truth[row.model] for row in rows if row.model in (1, 3)]
    assert abs(np.mean(misses)) < 2.0
    assert np.mean(raw) > 20.0
    assert np.mean(hits) == pytest.approx(0.95, abs=0.035)


def test_covariates_that_are_models_in_other_words_are_refused() -> None:
    prompt, i, j, y = battles(7, 4, 400, 40)
    with pytest.raises(ValueError, match="cannot be told"):
        contextual.fit(prompt, i, j, y, (i - j)[:, None] * 1.0, 4)
    with pytest.raises(ValueError, match="no finite maximum"):
        contextual.fit(prompt, i, j, np.round(y), (2 * np.round(y) - 1)[:, None], 4)
    still = contextual.fit(prompt, i, j, y, np.zeros((400, 1)), 4)
    assert still.beta.tolist() == [0.0]
    assert still.ratings.theta == pytest.approx(fit(count(prompt, i, j, y, 4), 4).theta)


def test_scaled_covariates_keep_their_zero() -> None:
    x = contextual.scaled(np.array([[3.0, 0.0], [-4.0, 0.0], [0.0, 0.0]]))
    assert (x[:, 0] ** 2).mean() == pytest.approx(1.0)
    assert x[2].tolist() == [0.0, 0.0]
    assert contextual.relative(np.array([3.0, 0.0]), np.array([1.0, 0.0])).tolist() == [0.5, 0.0]


def test_a_rival_met_often_counts_no_more_where_opponents_are_equal() -> None:
    i = np.repeat([0, 0, 1], [4000, 400, 400])
    j = np.repeat([1, 2, 2], [4000, 400, 400])
    y = np.tile([1.0, 1.0, 0.0, 1.0], 1200)
    y[4000:4400] = np.tile([0.0, 1.0], 200)
    plain = leaderboard(np.arange(4800), i, j, y, 3)
    equal = leaderboard(np.arange(4800), i, j, y, 3, equal_opponents=True)
    once = {row.model: row.rating for row in equal.groups[0]}
    tenth = np.concatenate([np.arange(400), np.arange(4000, 4800)])
    level = leaderboard(np.arange(1200), i[tenth], j[tenth], y[tenth], 3)
    assert once == pytest.approx({row.model: row.rating for row in level.groups[0]}, abs=1e-6)
    assert once[0] != pytest.approx({row.model: row.rating for row in plain.groups[0]}[0], abs=5)


def test_weights_do_not_care_which_model_is_named_first_and_leave_rare_pairs_alone() -> None:
    i, j = np.array([0] * 100 + [1] * 100 + [2]), np.array([1] * 100 + [0] * 100 + [0])
    weight = equal_pairs(i, j, np.ones(201), 3)
    assert weight[-1] / weight[0] == pytest.approx(200 / 50)
    assert np.ptp(weight[:200]) == 0.0
    assert weight.mean() == pytest.approx(1.0)


def test_reweighted_errors_are_those_of_a_bootstrap() -> None:
    prompt, i, j, y = battles(8, 4, 3000, 3000)
    j = np.where(i == 0, 1, j)
    y, keep = y[i != j], i != j
    prompt, i, j = prompt[keep], i[keep], j[keep]
    ones = np.ones(i.size)

    def of(rows: np.ndarray) -> np.ndarray:
        cells = count(np.arange(rows.size), i[rows], j[rows], y[rows], 4)
        return fit(cells, 4, equal_pairs(cells.i, cells.j, cells.votes, 4)).theta

    cells = count(np.arange(i.size), i, j, y, 4, ones)
    fitted = fit(cells, 4, equal_pairs(cells.i, cells.j, cells.votes, 4))
    rng = np.random.default_rng(0)
    draws = [of(rng.integers(0, i.size, i.size)) for _ in range(200)]
    ratio = np.sqrt(np.diag(fitted.covariance)) / np.std(draws, axis=0)
    assert ratio == pytest.approx(np.ones(4), abs=0.15)


def test_cluster_sums_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(1)
    prompt, i, j, _ = battles(9, 5, 400, 30)
    residual, columns = rng.normal(size=400), rng.normal(size=(400, 2))
    rows = np.column_stack([residual[:, None] * (np.eye(5)[i] - np.eye(5)[j]), columns])
    sums = [rows[prompt == one].sum(axis=0) for one in np.unique(prompt)]
    plain = sum(np.outer(one, one) for one in sums)
    named = np.unique(prompt, return_inverse=True)[1]
    assert np.abs(outer_sums(named, i, j, residual, columns, 5) - plain).max() < 1e-10


def test_slices_that_differ_by_chance_only_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    false, hits = 0, []
    for _ in range(150):
        y = (rng.random(600) < 0.6).astype(float)
        found = slices.win_rates(y.tolist(), range(600), (np.arange(600) % 12).tolist())
        false += any(one.stands_out for one in found)
        hits += [one.lo <= 0.6 <= one.hi for one in found]
        raw = np.std([one.rate.rate for one in found])
        assert np.std([one.shrunk for one in found]) < raw
    assert false / 150 < 0.09
    assert np.mean(hits) > 0.94


def test_a_slice_that_is_different_stands_out() -> None:
    rng = np.random.default_rng(3)
    of = np.repeat(["code", "law", "poems"], 200)
    y = (rng.random(600) < np.where(of == "poems", 0.25, 0.65)).astype(float)
    found = {one.name: one for one in slices.win_rates(y.tolist(), range(600), of.tolist())}
    assert found["poems"].stands_out
    assert found["poems"].hi < found["law"].lo
    (alone,) = slices.win_rates([1.0, 0.0], [1, 2], ["x", "x"])
    assert not alone.stands_out


def test_every_slice_has_a_board_of_its_own() -> None:
    prompt, i, j, y = battles(4, 3, 600, 60)
    of = np.where(prompt < 30, "a", "b")
    found = slices.boards(prompt, i, j, y, 3, of.tolist())
    half = prompt < 30
    assert found["a"] == leaderboard(prompt[half], i[half], j[half], y[half], 3)
    assert set(found) == {"a", "b"}
