"""Which models should meet next: where a vote tells most, without losing the honesty of chance.

Information is the expected drop in uncertainty about who is better: the entropy of a vote less what
is left of it when the ratings are known. A batch is a maximum spanning tree on it, so that many
people vote at once on different pairs and no model is left aside (Hybrid-MST, Li et al. 2018). One
vote in five goes to a pair drawn by chance alone, and every pair is logged with the probability it
had: what is averaged with :func:`weights` stays unbiased. Pure NumPy; nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.engine.davidson import probabilities
from evaluation.engine.sequential import EARLY, half_width

RANDOM = 0.2
"""Share of votes on pairs drawn by chance alone."""
PRIOR = 0.5
"""Precision of the prior on each log-odds: a standard deviation of 1.4."""
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Chosen:
    """Pairs to be shown, in the order to be shown in; arrays of one length."""

    i: np.ndarray
    j: np.ndarray
    """i < j; which side is shown first is not decided here."""
    probability: np.ndarray
    """With which this slot was to show this pair, given all votes before the batch."""
    by_chance: np.ndarray
    """Whether the slot was one of those that are filled by chance alone."""


def posterior(scored: np.ndarray, prior: float = PRIOR) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of all models and their covariance, by a normal approximation at the maximum.

    With a prior every model has both, also those without any votes.

    Args:
        scored: ``S[i, j]``, what i has scored against j, ties as half; shape (models, models).
        prior: precision of each log-odds around 0; above 0.

    Returns:
        means, shape (models,), and covariance, shape (models, models).
    """
    models = len(scored)
    battles = scored + scored.T
    theta = np.zeros(models)
    for _ in range(100):
        expected = _logistic(theta[:, None] - theta)
        weight = battles * expected * (1.0 - expected)
        information = np.diag(weight.sum(axis=1) + prior) - weight
        gradient = (scored - battles * expected).sum(axis=1) - prior * theta
        step = np.linalg.solve(information, gradient)
        largest = float(np.abs(step).max(initial=0.0))
        theta = theta + step * min(1.0, 2.0 / largest if largest else 1.0)
        if largest < 1e-9:
            break
    return theta, np.linalg.inv(information)


def information(mean: np.ndarray, covariance: np.ndarray, nu: float = 0.0) -> np.ndarray:
    """Bits that one vote between i and j is expected to tell, shape (models, models).

    ``h(E p(z)) − E h(p(z))`` with z the difference of their log-odds, p the probabilities of a win,
    a tie and a loss, h the entropy; by Gauss–Hermite with 15 points.

    Args:
        nu: weight of a tie, see :mod:`.davidson`. Equals tie often, which tells little of them.
    """
    difference = mean[:, None] - mean
    variance = np.diag(covariance)
    spread = np.sqrt(np.maximum(variance[:, None] + variance - 2.0 * covariance, 0.0))
    outcomes = probabilities(difference[..., None] + spread[..., None] * _POINTS, nu)
    told = np.zeros(difference.shape)
    for chance in outcomes:
        told += _surprise(chance @ _WEIGHTS) - _surprise(chance) @ _WEIGHTS
    np.fill_diagonal(told, 0.0)
    return np.asarray(np.maximum(told, 0.0))


def spanning_tree(worth: np.ndarray, allowed: np.ndarray | None = None) -> list[tuple[int, int]]:
    """The pairs i < j that tie all models together and are worth most, models − 1 of them.

    Args:
        worth: symmetric, shape (models, models).
        allowed: which pairs can be shown, symmetric booleans. Where they do not tie all together,
            each part has a tree of its own.
    """
    models = len(worth)
    value = np.where(np.eye(models, dtype=bool), -np.inf, worth)
    if allowed is not None:
        value = np.where(allowed, value, -np.inf)
    found: list[tuple[int, int]] = []
    inside = np.zeros(models, dtype=bool)
    best, to = np.full(models, -np.inf), np.zeros(models, dtype=np.int64)
    for _ in range(models):
        # models that cannot be reached begin a tree of their own
        here = int(np.argmax(np.where(inside, -np.inf, best)))
        if inside[here] or best[here] == -np.inf:
            here = int(np.flatnonzero(~inside)[0])
        else:
            one, other = sorted((here, int(to[here])))
            found.append((one, other))
        inside[here] = True
        nearer = value[here] > best
        best, to = np.where(nearer, value[here], best), np.where(nearer, here, to)
    return found


def next_pairs(
    mean: np.ndarray,
    covariance: np.ndarray,
    number: int,
    rng: np.random.Generator,
    *,
    allowed: np.ndarray | None = None,
    random: float = RANDOM,
    nu: float = 0.0,
) -> Chosen:
    """A batch of pairs that tell most, a share of them drawn by chance.

    As many edge-disjoint spanning trees as the batch needs are shuffled together; each slot shows
    the next of their pairs or, with probability ``random``, any pair. So a slot shows a pair with
    probability ``random``/(pairs) + (1 − ``random``)/(pairs in the trees) where it is in a tree.

    Args:
        mean, covariance: of the log-odds, see :func:`posterior`.
        number: slots in the batch; fewer come back where no pair is allowed.
        rng: with its seed logged, the batch can be drawn again.
        allowed: which pairs can be shown, symmetric booleans; all where not given. Only these are
            drawn by chance too.
        random: share drawn by chance, above 0 up to 1.
        nu: weight of a tie, see :func:`information`.

    Raises:
        ValueError: ``random`` is not above 0 and up to 1.
    """
    if not 0.0 < random <= 1.0:
        raise ValueError(f"a share of {random} drawn by chance leaves nothing to weigh by")
    models = mean.size
    free = ~np.eye(models, dtype=bool)
    if allowed is not None:
        free &= np.asarray(allowed, dtype=bool)
        free &= free.T
    every = np.argwhere(np.triu(free))
    if not len(every) or number < 1:
        none = np.zeros(0)
        return Chosen(none.astype(int), none.astype(int), none, none.astype(bool))
    worth, left = information(mean, covariance, nu), free.copy()
    trees: list[tuple[int, int]] = []
    while len(trees) < min(number, len(every)):
        tree = spanning_tree(worth, left)
        trees += tree
        for one, other in tree:
            left[one, other] = left[other, one] = False
    # a batch that is longer than all pairs goes round again
    told = np.array(trees)
    rounds = [told[rng.permutation(len(told))] for _ in range(-(-number // len(told)))]
    pairs = np.concatenate(rounds)[:number]
    by_chance = rng.random(number) < random
    drawn = every[rng.integers(0, len(every), number)]
    pairs = np.where(by_chance[:, None], drawn, pairs)
    in_tree = np.zeros((models, models), dtype=bool)
    in_tree[told[:, 0], told[:, 1]] = True
    probability = random / len(every) + np.where(
        in_tree[pairs[:, 0], pairs[:, 1]], (1.0 - random) / len(told), 0.0
    )
    return Chosen(pairs[:, 0], pairs[:, 1], probability, by_chance)


def weights(probability: np.ndarray, pairs: int) -> np.ndarray:
    """What each vote counts for, as if all pairs had been equally likely: 1/(π·pairs).

    Args:
        probability: that was logged with the pair.
        pairs: how many pairs there are, or could be shown at the time.
    """
    return 1.0 / (np.asarray(probability, dtype=float) * pairs)


@dataclass(frozen=True)
class AverageRates:
    """Each model's win rate against rivals drawn evenly, shape (models,); nan without votes."""

    rate: np.ndarray
    se: np.ndarray


def average_win_rates(
    i: np.ndarray, j: np.ndarray, y: np.ndarray, weight: np.ndarray, models: int
) -> AverageRates:
    """Weighted means of what each model scored: raw ones would be lower for strong models, which
    are shown with strong rivals.

    Args:
        i, j: the two models of each vote.
        y: the score of i, 0 to 1.
        weight: see :func:`weights`.
    """
    y, w = np.asarray(y, dtype=float), np.asarray(weight, dtype=float)

    def sums(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.bincount(i, one, models) + np.bincount(j, other, models)

    total = sums(w, w)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums(w * y, w * (1.0 - y)) / total
        square = sums((w * (y - rate[i])) ** 2, (w * (1.0 - y - rate[j])) ** 2)
        return AverageRates(rate, np.sqrt(square) / total)


def expected_win_rates(mean: np.ndarray, covariance: np.ndarray) -> AverageRates:
    """Each model's win rate against all the others by the ratings: mean over j of σ(θ_i − θ_j).

    What an adaptive board should show; errors by the delta method.
    """
    models = mean.size
    chance = _logistic(mean[:, None] - mean)
    slope = chance * (1.0 - chance)
    np.fill_diagonal(slope, 0.0)
    rate = (chance.sum(axis=1) - 0.5) / max(1, models - 1)
    gradient = (np.diag(slope.sum(axis=1)) - slope) / max(1, models - 1)
    variance = np.einsum("ab,bc,ac->a", gradient, covariance, gradient)
    return AverageRates(rate, np.sqrt(np.maximum(variance, 0.0)))


def settled(
    theta: np.ndarray,
    variance: np.ndarray,
    prompts: np.ndarray | float,
    alpha: float = 0.05,
    claims: int | None = None,
) -> np.ndarray:
    """``[i, j]``: whether i is above j, looked at as often as one likes; shape (models, models).

    Each difference is held against the asymptotic confidence sequence of
    :func:`~evaluation.engine.sequential.half_width` instead of a normal quantile, at α shared out
    over all claims.

    Args:
        theta: log-odds.
        variance: of each difference as of now, shape (models, models); see
            :meth:`~evaluation.engine.bradley_terry.Fit.variance_of_differences`.
        prompts: how many independent votes or prompts that stands on, one number or one a pair.
        claims: of how many none may be false; all pairs where not given. Who looks for the best
            model alone can be wrong only about that one and its rivals: models − 1.
    """
    models = theta.size
    number = np.broadcast_to(np.asarray(prompts, dtype=float), variance.shape)
    each = alpha / max(1.0, claims or models * (models - 1) / 2)
    limit = half_width(np.maximum(number, 1.0), np.sqrt(variance * number), each)
    difference = theta[:, None] - theta
    return np.asarray((difference > limit) & (number >= EARLY) & (variance > 0.0))


def _logistic(difference: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * difference))


def _surprise(chance: np.ndarray) -> np.ndarray:
    """One outcome's part of the entropy, in bits."""
    return np.asarray(-chance * np.log2(np.maximum(chance, 1e-300)))
