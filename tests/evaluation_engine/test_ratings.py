"""Ratings against evalica, against brute force and against values worked out elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import evalica
import numpy as np
import pytest

from evaluation.engine.bradley_terry import Fit, count, degrees, fit
from evaluation.engine.quantiles import t_quantile
from evaluation.engine.ranks import _quantile_of_largest, above
from evaluation.engine.ratings import ELO, Board, LeaderboardRow, Unrated, leaderboard

WINS = [[0, 30, 45, 20], [20, 0, 35, 25], [10, 15, 0, 18], [8, 9, 12, 0]]
TIES = [[0, 10, 5, 4], [10, 0, 8, 6], [5, 8, 0, 7], [4, 6, 7, 0]]
Battles = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def golden() -> Battles:
    """The battles of the two tables, each on a prompt of its own."""
    rows = []
    for i in range(4):
        for j in range(4):
            rows += [(i, j, 1.0)] * WINS[i][j]
            rows += [(i, j, 0.5)] * TIES[i][j] if i < j else []
    i, j, y = (np.array(column) for column in zip(*rows, strict=True))
    return np.arange(len(y)), i, j, y


def random_battles(seed: int, models: int, battles: int, prompts: int) -> Battles:
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.7, models)
    i = rng.integers(0, models, battles)
    j = (i + rng.integers(1, models, battles)) % models
    better = rng.random(battles) < 1 / (1 + np.exp(theta[j] - theta[i]))
    y = np.where(rng.random(battles) < 0.2, 0.5, better.astype(float))
    return rng.integers(0, prompts, battles), i, j, y


def rows_of(board: Board) -> list[LeaderboardRow]:
    """Of a board on which all rated models stand together."""
    (group,) = board.groups
    return group


def reasons_of(board: Board) -> dict[int, str]:
    return {left.model: left.reason for left in board.unrated}


def ratings_of(board: Board) -> dict[int, float]:
    return {row.model: row.rating for row in rows_of(board)}


def by_evalica(i: Sequence[int], j: Sequence[int], y: Sequence[float]) -> dict[int, float]:
    """The same model on the Elo scale with mean 1000."""
    winners = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    result = evalica.bradley_terry(
        [f"{m:04}" for m in i],
        [f"{m:04}" for m in j],
        [winners[float(score)] for score in y],
        tolerance=1e-13,
        limit=100_000,
    )
    logs = {int(name): float(np.log(score)) for name, score in result.scores.items()}
    mean = np.mean(list(logs.values()))
    return {model: 1000 + ELO * (value - mean) for model, value in logs.items()}


def test_golden_ratings() -> None:
    board = leaderboard(*golden(), models=4)
    assert [row.model for row in rows_of(board)] == [0, 1, 2, 3]
    assert [row.rating for row in rows_of(board)] == pytest.approx(
        [1113.364, 1053.165, 923.759, 909.712], abs=5e-4
    )
    assert [(row.rank_lo, row.rank_hi) for row in rows_of(board)] == [
        (1, 2),
        (1, 2),
        (3, 4),
        (3, 4),
    ]
    assert rows_of(board)[0].votes == 95 + 38 + 19
    assert rows_of(board)[0].win_rate == pytest.approx((95 + 19 / 2) / (95 + 38 + 19))
    assert board.unrated == []


def test_golden_errors() -> None:
    fitted = fit(count(*golden(), models=4), 4)
    # every vote has its own prompt: the plain sandwich, but for a correction of half a per cent
    plain = [0.126182, 0.115610, 0.117516, 0.145048]
    assert np.sqrt(np.diag(fitted.covariance)) == pytest.approx(plain, rel=5e-3)
    fisher = [0.135723, 0.126610, 0.130529, 0.155258]
    assert np.sqrt(np.diag(fitted.fisher)) == pytest.approx(fisher, rel=1e-5)
    z = (fitted.theta[0] - fitted.theta[1]) / np.sqrt(fitted.variance_of_differences()[0, 1])
    assert z == pytest.approx(1.850237, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_the_points_are_evalicas(seed: int) -> None:
    models = 3 + 4 * seed
    prompt, i, j, y = random_battles(seed, models, 400 * models, 50)
    ours = ratings_of(leaderboard(prompt, i, j, y, models))
    theirs = by_evalica(i, j, y)
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[m] - theirs[m]) for m in ours) < 1e-6


@pytest.mark.parametrize("prompts", [7, 40, 3000])
def test_the_covariance_is_that_of_dense_algebra(prompts: int) -> None:
    models = 5
    prompt, i, j, y = random_battles(3, models, 1200, prompts)
    fitted = fit(count(prompt, i, j, y, models), models)
    rows = np.eye(models)[i] - np.eye(models)[j]
    p = 1 / (1 + np.exp(-rows @ fitted.theta))
    information = rows.T @ (rows * (p * (1 - p))[:, None])
    inverse = np.linalg.pinv(information, rcond=1e-9)
    middle, squares = np.zeros((models, models)), np.zeros(models)
    for one in np.unique(prompt):
        mine = prompt == one
        own = rows[mine]
        part = (own**2 * (p * (1 - p))[mine, None]).sum(axis=0) / np.diag(information)
        score = (own * (y - p)[mine, None]).sum(axis=0) / np.sqrt(1 - part)
        middle += np.outer(score, score)
        squares += part**2
    assert np.abs(fitted.covariance - inverse @ middle @ inverse).max() < 1e-12
    assert fitted.effective == pytest.approx(1 / squares)


def test_errors_are_those_of_a_bootstrap_over_prompts() -> None:
    models, prompts = 4, 60
    rng = np.random.default_rng(1)
    prompt, i, j, _ = random_battles(2, models, 3000, prompts)
    taste = rng.normal(0, 0.8, (prompts, models))
    y = (rng.random(3000) < 1 / (1 + np.exp(taste[prompt, j] - taste[prompt, i]))).astype(float)
    fitted = fit(count(prompt, i, j, y, models), models)
    per_prompt = [np.flatnonzero(prompt == one) for one in range(prompts)]
    draws = []
    for _ in range(400):
        chosen = np.concatenate([per_prompt[one] for one in rng.integers(0, prompts, prompts)])
        again = count(prompt[chosen], i[chosen], j[chosen], y[chosen], models)
        draws.append(fit(again, models).theta)
    ratio = np.sqrt(np.diag(fitted.covariance)) / np.std(draws, axis=0)
    assert ratio == pytest.approx(np.ones(models), abs=0.12)


def test_intervals_cover_the_truth_with_few_uneven_prompts_and_a_rare_model() -> None:
    hit: list[np.ndarray] = []
    false = 0
    models, prompts, battles = 6, 40, 600
    rng = np.random.default_rng(0)
    weight = rng.gamma(1.0, size=prompts) + 0.1
    for _ in range(250):
        i = rng.integers(1, models, battles)
        j = 1 + (i - 1 + rng.integers(1, models - 1, battles)) % (models - 1)
        prompt = rng.choice(prompts, battles, p=weight / weight.sum())
        # the rare one: 12 battles on 4 prompts
        i, j = np.append(i, np.zeros(12, int)), np.append(j, rng.integers(1, models, 12))
        prompt = np.append(prompt, rng.integers(0, 4, 12))
        taste = rng.normal(0, 0.5, (prompts, models))
        y = rng.random(i.size) < 1 / (1 + np.exp(taste[prompt, j] - taste[prompt, i]))
        board = leaderboard(prompt, i, j, y.astype(float), models)
        if board.unrated or len(board.groups) > 1:
            continue
        hit.append(np.array([row.lo <= 1000 <= row.hi for row in rows_of(board)]))  # type: ignore[operator]
        false += any(row.rank_lo > 1 for row in rows_of(board))
    assert len(hit) > 200
    assert np.mean(hit) >= 0.93
    # all six are equal: a rank above 1 is a false claim, and 5 % of boards may have one
    assert false / len(hit) <= 0.07


def test_a_new_model_among_many_battles_keeps_its_coverage() -> None:
    rng = np.random.default_rng(0)
    hit = []
    for _ in range(150):
        i = np.append(rng.integers(1, 6, 20_000), np.zeros(60, int))
        j = np.append(1 + (i[:20_000] + rng.integers(0, 4, 20_000)) % 5, rng.integers(1, 6, 60))
        y = (rng.random(i.size) < 0.5).astype(float)
        board = leaderboard(np.arange(i.size), i, j, y, 6)
        new = next(row for row in rows_of(board) if row.model == 0)
        hit.append(new.lo <= 1000 <= new.hi)  # type: ignore[operator]
    assert np.mean(hit) >= 0.92


def test_shuffled_votes_give_the_very_same_board() -> None:
    prompt, i, j, y = random_battles(5, 8, 900, 30)
    order = np.random.default_rng(0).permutation(900)
    shuffled = leaderboard(prompt[order], i[order], j[order], y[order], 8)
    assert shuffled == leaderboard(prompt, i, j, y, 8)


def test_swapped_sides_change_nothing() -> None:
    prompt, i, j, y = random_battles(6, 5, 500, 40)
    turned = np.arange(500) % 3 == 0
    other = leaderboard(
        prompt, np.where(turned, j, i), np.where(turned, i, j), np.where(turned, 1 - y, y), 5
    )
    assert other == leaderboard(prompt, i, j, y, 5)


def test_counted_votes_are_the_same_as_single_ones() -> None:
    prompt, i, j, y = random_battles(7, 4, 800, 20)
    cells = count(prompt, i, j, y, 4)
    counted = leaderboard(cells.prompt, cells.i, cells.j, cells.score, 4, votes=cells.votes)
    assert counted == leaderboard(prompt, i, j, y, 4)


def test_many_prompts_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = count(*random_battles(8, 5, 3000, 700), models=5)
    whole = fit(cells, 5)
    monkeypatch.setattr("evaluation.engine.bradley_terry._BLOCK", 13)
    assert np.abs(fit(cells, 5).covariance - whole.covariance).max() < 1e-15


def test_more_of_the_same_prompts_is_not_more_sure() -> None:
    prompt, i, j, y = random_battles(9, 4, 600, 25)
    once = fit(count(prompt, i, j, y, 4), 4)
    twice = fit(count(*(np.tile(column, 2) for column in (prompt, i, j, y)), models=4), 4)
    assert twice.covariance == pytest.approx(once.covariance, rel=1e-9)


def test_a_model_that_only_won_is_unrated_and_the_others_are_not() -> None:
    board = leaderboard([1, 2, 3, 4, 5], [0, 0, 1, 2, 1], [1, 2, 2, 1, 2], [1, 1, 1, 1, 0.5], 4)
    assert {row.model for row in rows_of(board)} == {1, 2}
    reasons = reasons_of(board)
    assert "won all of its 2 votes" in reasons[0]
    assert reasons[3] == "no votes"


def test_a_model_that_only_lost_is_unrated() -> None:
    board = leaderboard([1, 2, 3], [0, 1, 0], [1, 0, 2], [1, 1, 1], 3)
    assert {row.model for row in rows_of(board)} == {0, 1}
    assert "lost its only vote" in reasons_of(board)[2]


def test_two_groups_that_never_met_are_rated_apart() -> None:
    battles = [(0, 1, 1.0), (0, 1, 0.0), (1, 2, 0.5), (3, 4, 1.0), (3, 4, 1.0), (3, 4, 0.0)]
    i, j, y = zip(*battles, strict=True)
    board = leaderboard(range(6), i, j, y, 5)
    assert [{row.model for row in group} for group in board.groups] == [{0, 1, 2}, {3, 4}]
    assert board.unrated == []
    first, second = board.groups[1]
    assert (first.model, second.model) == (3, 4)
    assert first.rating - second.rating == pytest.approx(ELO * np.log(2))
    assert (first.rating + second.rating) / 2 == pytest.approx(1000)


def test_a_group_that_only_beat_another_is_rated_apart_too() -> None:
    battles = [(0, 1, 0.5), (1, 2, 0.5), (3, 4, 0.5), (3, 0, 1.0)]
    i, j, y = zip(*battles, strict=True)
    board = leaderboard(range(4), i, j, y, 5)
    assert [{row.model for row in group} for group in board.groups] == [{0, 1, 2}, {3, 4}]
    # a win over the other group counts among its votes
    assert {row.model: row.votes for row in board.groups[1]} == {3: 2, 4: 1}


def test_one_between_two_that_it_cannot_be_tied_to() -> None:
    board = leaderboard([1, 2], [0, 1], [1, 2], [1, 1], 3)
    assert board.groups == []
    assert "nobody whom it beat" in reasons_of(board)[1]


def test_nothing_but_clean_wins_rates_nobody() -> None:
    board = leaderboard([1, 2], [0, 0], [1, 1], [1, 1], 2)
    assert board.groups == []
    assert [(left.model, left.win_rate, left.votes) for left in board.unrated] == [
        (0, 1.0, 2),
        (1, 0.0, 2),
    ]


def test_no_votes_at_all() -> None:
    assert leaderboard([], [], [], [], 0) == Board([], [])
    assert leaderboard([], [], [], [], 1).unrated == [Unrated(0, "no votes", None, 0)]


def test_a_model_on_one_prompt_has_a_rating_and_no_interval() -> None:
    prompt, i, j, y = random_battles(10, 4, 400, 20)
    prompt, i, j = np.append(prompt, [0, 0]), np.append(i, [4, 4]), np.append(j, [0, 1])
    board = leaderboard(prompt, i, j, np.append(y, [1.0, 0.0]), 5)
    lonely = next(row for row in rows_of(board) if row.model == 4)
    assert (lonely.lo, lonely.hi) == (None, None)
    assert (lonely.rank_lo, lonely.rank_hi) == (1, 5)
    assert all(row.lo is not None for row in rows_of(board) if row.model != 4)


def test_ties_alone_are_not_taken_for_certainty() -> None:
    board = leaderboard(range(10), [0] * 10, [1] * 10, [0.5] * 10, 2)
    assert [row.rating for row in rows_of(board)] == pytest.approx([1000, 1000])
    assert rows_of(board)[0].hi - rows_of(board)[0].lo > 50  # type: ignore[operator]
    assert all((row.rank_lo, row.rank_hi) == (1, 2) for row in rows_of(board))


def test_a_lopsided_table_converges() -> None:
    i, j, y = [0] * 10_001, [1] * 10_001, [1.0] * 10_000 + [0.0]
    board = leaderboard(range(10_001), i, j, y, 2)
    gap = rows_of(board)[0].rating - rows_of(board)[1].rating
    assert gap == pytest.approx(ELO * np.log(10_000), abs=1e-6)


def test_far_apart_models_are_separated_and_equal_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    i = rng.integers(0, 4, 4000)
    j = (i + rng.integers(1, 4, 4000)) % 4
    theta = np.array([1.0, 0.0, 0.0, -1.0])
    y = (rng.random(4000) < 1 / (1 + np.exp(theta[j] - theta[i]))).astype(float)
    board = leaderboard(rng.integers(0, 500, 4000), i, j, y, 4)
    ranges = {row.model: (row.rank_lo, row.rank_hi) for row in rows_of(board)}
    assert ranges == {0: (1, 1), 1: (2, 3), 2: (2, 3), 3: (4, 4)}


def test_with_few_prompts_differences_are_held_against_bonferroni() -> None:
    prompt, i, j, y = random_battles(11, 6, 3000, 9)
    fitted = fit(count(prompt, i, j, y, 6), 6)
    claims = above(fitted)
    assert not (claims & claims.T).any()
    assert claims.tolist() == expected_claims(fitted)


@pytest.mark.parametrize("seed", range(6))
def test_the_largest_differences_are_those_of_all_draws(seed: int) -> None:
    # of models that are known well and hardly at all, some of them all but one model
    rng = np.random.default_rng(seed)
    models = int(rng.integers(2, 30))
    root = rng.normal(size=(models, models)) * np.exp(rng.normal(size=models) * seed)
    root[: models // 3] = root[0] + 1e-4 * seed * root[: models // 3]
    centred = root - root.mean(axis=0)
    covariance = centred @ centred.T
    draws = rng.normal(size=(1000, models)) @ centred.T
    difference = draws[:, :, None] - draws[:, None]
    variance = np.diag(covariance)
    gap = variance[:, None] + variance - 2.0 * covariance
    scale = np.where(gap > 1e-15, 1.0 / np.sqrt(np.maximum(gap, 1e-15)), 0.0)
    largest = np.abs(difference * scale)[:, *np.triu_indices(models, 1)].max(axis=1)
    found = _quantile_of_largest(draws, covariance, 0.95)
    assert found == pytest.approx(np.quantile(largest, 0.95), rel=1e-9)


def expected_claims(fitted: Fit) -> list[list[bool]]:
    level = 1 - 0.05 / 15
    variance = fitted.variance_of_differences()
    n = fitted.effective_of_differences()
    return [
        [
            bool(i != j and d > t_quantile(degrees(n[i, j]), level) * variance[i, j] ** 0.5)
            for j in range(6)
            for d in [fitted.theta[i] - fitted.theta[j]]
        ]
        for i in range(6)
    ]


@pytest.mark.parametrize(
    ("i", "j", "y", "models"),
    [([0], [0], [1], 2), ([0], [2], [1], 2), ([-1], [1], [1], 2), ([0], [1], [1.5], 2)],
)
def test_what_is_no_battle_is_refused(
    i: list[int], j: list[int], y: list[float], models: int
) -> None:
    with pytest.raises(ValueError, match=r"model|score"):
        leaderboard([1], i, j, y, models)
