"""Length-controlled win rates: AlpacaEval's figures, alpaca-eval's on the same inputs, and ours."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.engine.length_control import (
    GamedRows,
    alpaca_eval,
    length_controlled,
    prompt_difficulty,
    read_gamed,
)
from evaluation.engine.logistic import NoMaximum, fit_absolute, fit_logistic, newton, sigmoid
from evaluation.engine.winrate import win_rate

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "alpaca_eval"
PROMPTS = 805

# alpaca-eval 0.6.6 (scikit-learn 1.9.1) on the same votes and the difficulties and gamed rows of
# made_up_board: length_controlled_v1, _noreg and _minimal; with its solver's tolerance as it is,
# and at 1e-8 with as many steps as it takes. Between the two lies its solver's early stop alone.
ORACLE = {
    "alpaca-7b": ((6.9526, 19.6509, 19.5494), (6.9487, 19.6618, 19.6106)),
    "alpaca-7b_concise": ((5.0017, 12.2698, 13.0322), (4.9989, 12.3002, 13.0567)),
    "alpaca-7b_verbose": ((6.5128, 9.7139, 9.7136), (6.5078, 9.7230, 9.7234)),
    "claude-2": ((32.4917, 36.7212, 36.7813), (32.4946, 36.7293, 36.7854)),
    "gemma-2b-it": ((5.8682, 6.7810, 6.6486), (5.8674, 6.7824, 6.6428)),
    "gpt-3.5-turbo-1106": ((23.7798, 37.7457, 37.7594), (23.7910, 37.7601, 37.6914)),
    "phi-2": ((3.9773, 4.2485, 4.3215), (3.9770, 4.2442, 4.3163)),
    "vicuna-7b-v1.5": ((9.2408, 11.3267, 11.2274), (9.2341, 11.3375, 11.2331)),
}

Votes = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def votes() -> Votes:
    """By model: score, length difference and number of the prompt, in the order of the prompts."""
    if not FOLDER.is_dir():
        pytest.skip("AlpacaEval's annotations are not beside this checkout (../shared/data)")
    with gzip.open(FOLDER / "annotations.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    number = {text: at for at, text in enumerate(sorted({row["instruction"] for row in rows}))}
    assert len(number) == PROMPTS
    by_model: dict[str, list[tuple[int, float, int]]] = {}
    for row in rows:
        longer = len(row["output_1"]) - len(row["output_2"])
        told = (number[row["instruction"]], row["preference"] or 1.5, longer)
        by_model.setdefault(row["generator_2"], []).append(told)
    made = {}
    for name, told in by_model.items():
        prompt, preference, longer = np.array(sorted(told)).T
        made[name] = (preference - 1.0, longer, prompt.astype(int))
    return made


@pytest.fixture(scope="module")
def published() -> dict[str, dict[str, str]]:
    if not FOLDER.is_dir():
        pytest.skip("AlpacaEval's leaderboard is not beside this checkout (../shared/data)")
    with (FOLDER / "published_leaderboard.csv").open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def made_up_board() -> tuple[np.ndarray, GamedRows]:
    """Difficulties and gamed rows by formula: the benchmark's own are its authors' to give."""
    at = np.arange(PROMPTS)
    difficulty = 1.2 * np.sin(1.7 * at)
    scores, lengths = [], []
    for version, (shift, level) in enumerate(((-1.1, -0.35), (1.0, 0.2))):
        length = shift + np.cos(2.3 * at + version)
        odds = level - 1.6 * np.tanh(length) + 0.75 * difficulty + 1.5 * np.sin(5.1 * at + version)
        scores.append(sigmoid(odds))
        lengths.append(length)
    twice = np.concatenate([difficulty, difficulty])
    return difficulty, GamedRows(np.concatenate(scores), np.concatenate(lengths), twice)


def test_raw_win_rates_are_the_published_ones(
    votes: Votes, published: dict[str, dict[str, str]]
) -> None:
    assert set(votes) == set(published) == set(ORACLE)
    for name, (score, longer, prompt) in votes.items():
        raw = win_rate(score.tolist(), prompt.tolist())
        assert 100 * raw.rate == pytest.approx(float(published[name]["win_rate"]), abs=1e-9)
        assert raw.votes == int(published[name]["n_total"])
        assert alpaca_eval(score, longer).raw == pytest.approx(raw.rate)


def test_length_control_agrees_with_alpaca_eval(votes: Votes) -> None:
    difficulty, gamed = made_up_board()
    for name, (score, longer, prompt) in votes.items():
        hard = difficulty[prompt]
        ours = np.array(
            [
                100 * alpaca_eval(score, longer, hard, gamed).controlled,
                100 * alpaca_eval(score, longer, hard).controlled,
                100 * alpaca_eval(score, longer).controlled,
            ]
        )
        as_it_is, to_the_end = ORACLE[name]
        np.testing.assert_allclose(ours, to_the_end, atol=2e-4, err_msg=name)
        np.testing.assert_allclose(ours[:2], as_it_is[:2], atol=0.05, err_msg=name)
        np.testing.assert_allclose(ours[2], as_it_is[2], atol=0.07, err_msg=name)


def test_a_plain_fit_is_far_from_what_is_published_where_lengths_do_not_overlap(
    votes: Votes, published: dict[str, dict[str, str]]
) -> None:
    found = {name: length_controlled(*told) for name, told in votes.items()}
    rates = {name: 100 * own.controlled for name, own in found.items() if own.controlled}
    assert len(rates) == 8
    assert min(rates.values()) == pytest.approx(4.28, abs=0.01)
    assert max(rates.values()) == pytest.approx(37.80, abs=0.01)
    for name, own in found.items():
        assert own.shorter > 0.85, name  # each of the eight is nearly always the shorter
        assert own.raw < own.controlled  # type: ignore[operator]
    # the fewer prompts have it as long as the baseline, the farther a plain fit has to guess
    far = {
        name: rates[name] / float(published[name]["length_controlled_winrate"]) for name in rates
    }
    assert far["gpt-3.5-turbo-1106"] > 1.9
    assert far["gemma-2b-it"] < 1.25
    # prompt difficulty, made of these eight models, brings it nearer
    names = sorted(votes)
    score, longer, prompt = (np.concatenate([votes[n][k] for n in names]) for k in range(3))
    model = np.concatenate([np.full(votes[n][0].size, at) for at, n in enumerate(names)])
    gamma = prompt_difficulty(score, longer, model, prompt)
    plain, with_difficulty = [], []
    for name, (own_score, own_longer, own_prompt) in votes.items():
        there = float(published[name]["length_controlled_winrate"])
        near = alpaca_eval(own_score, own_longer, gamma[own_prompt])
        plain.append(abs(rates[name] - there))
        with_difficulty.append(abs(100 * near.controlled - there))
    assert np.mean(with_difficulty) < 0.5 * np.mean(plain)


def test_a_score_that_is_missing_counts_in_no_fit_but_its_prompt_counts_in_the_mean() -> None:
    rng = np.random.default_rng(5)
    score, longer, hard = rng.random(60), rng.normal(0, 100, 60), rng.normal(0, 1, 60)
    score[7] = np.nan
    one = alpaca_eval(score, longer, hard)
    odds = one.model + one.difficulty * hard
    assert one.controlled == pytest.approx(float(sigmoid(odds).mean()), abs=1e-12)
    assert one.raw == pytest.approx(np.nanmean(score))


def test_the_authors_file_of_gamed_rows_is_read() -> None:
    lines = [
        "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline",
        "brief,0.25,0,-1.5,0.5,False",
        "brief,,1,-0.5,-1.25,False",
        "wordy,0.75,0,2.0,0.5,False",
    ]
    rows, difficulty = read_gamed(lines)
    assert difficulty == {0: 0.5, 1: -1.25}
    assert rows.length.tolist() == [-1.5, -0.5, 2.0]
    rng = np.random.default_rng(0)
    longer, hard = rng.normal(0, 9, 40), rng.normal(0, 1, 40)
    score = sigmoid(2 * hard - longer / 3)
    told = alpaca_eval(score, longer, hard, rows)
    assert rows.difficulty is not None
    without = GamedRows(rows.score[[0, 2]], rows.length[[0, 2]], rows.difficulty[[0, 2]])
    assert told == alpaca_eval(score, longer, hard, without)
    assert told != alpaca_eval(score, longer, hard)
    with pytest.raises(ValueError, match="no rows"):
        read_gamed(lines[:1])


def test_a_handful_of_votes_that_length_parts_is_fitted_all_the_same() -> None:
    found = alpaca_eval([0, 1, 0, 0.5, 1, 1], [1, 2, 3, 4, 6, 7], [0.5, -1.25, 0.5, 0.0, 1.0, 0])
    assert 0 < found.controlled < 1
    all_lost = alpaca_eval([0] * 20, range(20))
    assert 0 <= all_lost.controlled < 0.5


def test_what_cannot_be_controlled_is_refused() -> None:
    with pytest.raises(ValueError, match="5 scores"):
        alpaca_eval([1, 0], [1, 2])
    with pytest.raises(ValueError, match="0 to 1"):
        alpaca_eval([2, 0, 1, 1, 0], [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="both, or neither"):
        alpaca_eval([0, 1, 0, 1, 0], range(5), None, made_up_board()[1])
    with pytest.raises(ValueError, match="difficulties"):
        alpaca_eval([0, 1, 0, 1, 0], range(5), [1.0])
    with pytest.raises(ValueError, match="prompts"):
        length_controlled([1.0], [1.0], [])
    with pytest.raises(ValueError, match="ridge"):
        prompt_difficulty([1.0], [1.0], [0], [0], ridge=0)
    with pytest.raises(NoMaximum, match="always"):
        prompt_difficulty([1.0] * 9, range(9), [0] * 9, range(9))


def test_equal_lengths_leave_the_win_rate_as_it_is() -> None:
    own = length_controlled([1, 0, 1, 1, 0.5], [0] * 5, range(5))
    assert own.controlled == pytest.approx(own.raw)
    assert own.length is None
    assert own.shorter == 0.5


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_all_won_or_lost_is_said_to_have_no_maximum(score: float) -> None:
    own = length_controlled([score] * 20, range(20), range(20))
    assert (own.controlled, own.lo, own.raw) == (None, None, score)
    assert "no maximum" in own.reason
    assert "too few" in length_controlled([1.0, 0.0], [1, 2], [1, 2]).reason


def test_the_other_side_has_the_mirror_image() -> None:
    rng = np.random.default_rng(2)
    longer, prompt = rng.normal(50, 200, 200), np.repeat(np.arange(100), 2)
    score = (rng.random(200) < sigmoid(0.4 - longer / 200)).astype(float)
    one, other = (
        length_controlled(score, longer, prompt),
        length_controlled(1 - score, -longer, prompt),
    )
    assert other.controlled == pytest.approx(1 - one.controlled)  # type: ignore[operator]
    assert other.lo == pytest.approx(1 - one.hi)  # type: ignore[operator]
    assert one.shorter == pytest.approx(1 - other.shorter)


@pytest.mark.parametrize("difficulty", [False, True])
def test_ours_covers_the_truth_with_several_votes_a_prompt(difficulty: bool) -> None:
    rng = np.random.default_rng(int(difficulty))
    prompts, hits = 120, []
    population = rng.normal(0, 1, 200_000)
    truth = float(sigmoid(0.3 + 0.8 * population).mean()) if difficulty else None
    for _ in range(400):
        hard = rng.normal(0, 1, prompts)
        # where difficulty is not told, every prompt still has a preference of its own, on the scale
        # of votes, so that the marginal model is the one that is fitted
        z = rng.normal(80, 150, prompts)
        odds = 0.3 - 1.2 * np.tanh(z / 150) + (0.8 * hard if difficulty else 0.0)
        p = sigmoid(odds)
        own = p if difficulty else rng.beta(2 * p, 2 * (1 - p))
        score = rng.binomial(1, np.repeat(own, 3)).astype(float)
        of = np.repeat(np.arange(prompts), 3)
        found = length_controlled(
            score, np.repeat(z, 3), of, np.repeat(hard, 3) if difficulty else None
        )
        right = truth if truth is not None else float(sigmoid(np.array(0.3)))
        hits.append(found.lo <= right <= found.hi)  # type: ignore[operator]
    assert 0.925 <= np.mean(hits) <= 0.98


def test_difficulties_are_found_again() -> None:
    rng = np.random.default_rng(9)
    models, prompts = 30, 60
    gamma = rng.normal(0, 1, prompts)
    m, g = (part.ravel() for part in np.meshgrid(np.arange(models), np.arange(prompts)))
    longer = rng.normal(0, 100, m.size)
    level = rng.normal(0, 1, models)
    odds = level[m] - np.tanh(longer / 100) + gamma[g]
    found = prompt_difficulty((rng.random(m.size) < sigmoid(odds)).astype(float), longer, m, g)
    assert np.corrcoef(found, gamma)[0, 1] > 0.85
    assert abs(found.sum()) < 1e-6  # the models' levels take what all prompts have in common


def test_newton_is_at_its_optimum_and_its_errors_are_the_sandwich() -> None:
    rng = np.random.default_rng(4)
    x = np.column_stack([np.ones(300), rng.normal(0, 1, 300), rng.normal(0, 50, 300)])
    y, w = rng.random(300), rng.random(300)
    found = fit_logistic(x, y, np.arange(300), w)
    u = (w * (y - sigmoid(x @ found.coefficients)))[:, None] * x
    np.testing.assert_allclose(u.sum(axis=0), 0, atol=1e-8)  # concave: there is no other
    bread = newton(x, y, w)[1]
    np.testing.assert_allclose(found.covariance, bread @ (u.T @ u) @ bread * 300 / 299)
    np.testing.assert_allclose(found.influence.sum(axis=0), 0, atol=1e-9)


def test_the_absolute_penalty_is_at_its_optimum() -> None:
    rng = np.random.default_rng(6)
    x, y, w = rng.normal(0, 1, (80, 3)), rng.random(80), rng.random(80)
    for c in (0.05, 1.0, 1e4):
        beta = fit_absolute(x, y, w, c)
        slope = c * x.T @ (w * (y - sigmoid(x @ beta)))
        for b, s in zip(beta, slope, strict=True):
            assert s == pytest.approx(np.sign(b), abs=1e-5) if b else abs(s) <= 1 + 1e-9
    assert not fit_absolute(x, y, w, 1e-4).any()


def test_features_that_repeat_each_other_are_refused() -> None:
    x = np.ones((10, 2))
    with pytest.raises(NoMaximum, match="sum of others"):
        newton(x, np.arange(10) / 10)
    with pytest.raises(NoMaximum, match="no maximum"):
        newton(np.arange(-5, 5)[:, None] + 0.5, (np.arange(10) > 4).astype(float))
