"""Bradley–Terry with covariates: logit P(i beats j) = θ_i − θ_j + x·β. Pure NumPy.

What β takes up is no longer in the ratings: style control (length, headers, bold, lists; for media
resolution, duration, file size) and the side that was shown first. There is no penalty unless one
is asked for, and it is then against the *sum* of log-likelihoods: against the mean, as some do, it
shrinks β to a fifth and leaves most of the bias in the ratings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.engine.bradley_terry import Fit, count, spread_of
from evaluation.engine.clusters import few, numbered, outer_sums

_BOUNDLESS = 20.0
"""Log-odds beyond which an estimate is on its way to infinity."""


@dataclass(frozen=True)
class Contextual:
    """Ratings at equal covariates, and what the covariates do."""

    beta: np.ndarray
    """Log-odds per unit of each covariate; 0 for one that never differs."""
    covariance: np.ndarray
    """Of (θ, β), clustered; shape (models + covariates, models + covariates)."""
    ratings: Fit
    """θ with its own covariance, as :mod:`.ranks` and :mod:`.ratings` take it."""

    def errors(self) -> np.ndarray:
        """Standard errors of ``beta``, shape (covariates,)."""
        models = self.ratings.theta.size
        return np.sqrt(np.diag(self.covariance)[models:])


def relative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(a − b)/(a + b)`` of two amounts of a kind, 0 where both are nothing; −1 to 1."""
    total = np.asarray(a, dtype=float) + np.asarray(b, dtype=float)
    return (np.asarray(a, dtype=float) - b) / np.where(total == 0.0, 1.0, total)


def scaled(x: np.ndarray) -> np.ndarray:
    """Columns divided by their root mean square, so that β compare; not centred.

    Centring would add a constant, and swapping the two sides of a vote would no longer be the same
    vote.
    """
    x = np.asarray(x, dtype=float)
    size = np.sqrt((x**2).mean(axis=0)) if len(x) else np.ones(x.shape[1])
    return x / np.where(size > 0.0, size, 1.0)


def fit(
    prompt: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    models: int,
    *,
    votes: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    penalty: float = 0.0,
) -> Contextual:
    """Maximum likelihood and sandwich covariance, clustered by prompt.

    Args:
        prompt, i, j, y, votes: as :func:`~evaluation.engine.ratings.leaderboard` takes them.
        x: covariates of each row, positive where i has more; shape (rows, covariates). For the
            side shown first, +1 where that was i, −1 where j, 0 where unknown.
        weight: of each row, such as :func:`~evaluation.engine.bradley_terry.equal_pairs` gives.
        penalty: λ of ½λ‖β‖² against the sum of log-likelihoods.

    Raises:
        ValueError: the covariates cannot be told from the models (or from each other), or they
            predict the votes without fail, so that no finite maximum exists.
    """
    i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
    y, x = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    number = np.ones(y.size) if votes is None else np.asarray(votes, dtype=float)
    if x.ndim != 2 or len(x) != y.size or not np.isfinite(x).all():
        raise ValueError(f"{y.size} rows need as many rows of finite covariates")
    moving = x.any(axis=0)
    used = x[:, moving]
    own = np.ones(y.size) if weight is None else np.asarray(weight, dtype=float)
    estimate, inverse = _newton(i, j, own * y, own * number, used, models, penalty)
    theta, beta = estimate[:models], estimate[models:]
    expected = _logistic(theta[i] - theta[j] + used @ beta)
    residual = own * (y - number * expected)
    cluster, clusters = numbered(np.asarray(prompt))
    middle = outer_sums(cluster, i, j, residual, residual[:, None] * used, models)
    known = own * number * expected * (1.0 - expected)
    decided = _information(i, j, own * known, used, models)
    wide = np.concatenate([np.ones(models, dtype=bool), moving])
    covariance, fisher = np.zeros((2, wide.size, wide.size))
    covariance[np.ix_(wide, wide)] = inverse @ (middle * few(clusters)) @ inverse
    fisher[np.ix_(wide, wide)] = inverse @ decided @ inverse
    every = np.zeros(x.shape[1])
    every[moving] = beta
    # each model's effective number of prompts hangs on the weights only
    cells = count(cluster, i, j, known / 2.0, models, known)
    _, effective = spread_of(cells, np.zeros(cells.votes.size), cells.votes, models)
    own_part = slice(0, models)
    ratings = Fit(
        theta, covariance[own_part, own_part], fisher[own_part, own_part], effective, clusters
    )
    return Contextual(every, covariance, ratings)


def _logistic(difference: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * difference))


def _information(
    i: np.ndarray, j: np.ndarray, weight: np.ndarray, x: np.ndarray, models: int
) -> np.ndarray:
    """Sum of weight·row·rowᵀ with rows (e_i − e_j, x), without making the rows."""
    width = models + x.shape[1]
    total = np.zeros((width, width))
    pair = np.bincount(i * models + j, weights=weight, minlength=models**2)
    between = pair.reshape(models, models)
    between = between + between.T
    total[:models, :models] = np.diag(between.sum(axis=1)) - between
    for at, column in enumerate(x.T):
        value = weight * column
        cross = np.bincount(i, weights=value, minlength=models)
        cross = cross - np.bincount(j, weights=value, minlength=models)
        total[:models, models + at] = total[models + at, :models] = cross
        total[models + at, models:] = value @ x
    return total


def _newton(
    i: np.ndarray,
    j: np.ndarray,
    score: np.ndarray,
    number: np.ndarray,
    x: np.ndarray,
    models: int,
    penalty: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(θ, β) and the pseudo-inverse of the information there."""
    width = models + x.shape[1]
    estimate = np.zeros(width)
    for turn in range(60):
        difference = estimate[i] - estimate[j] + x @ estimate[models:]
        expected = _logistic(difference)
        residual = score - number * expected
        gradient = np.zeros(width)
        gradient[:models] = np.bincount(i, weights=residual, minlength=models)
        gradient[:models] -= np.bincount(j, weights=residual, minlength=models)
        gradient[models:] = residual @ x - penalty * estimate[models:]
        information = _information(i, j, number * expected * (1.0 - expected), x, models)
        information[models:, models:] += penalty * np.eye(x.shape[1])
        scale = float(np.trace(information[:models, :models])) / models
        information[:models, :models] += scale / models
        if turn == 0:
            _tell_apart(information, models)
        step = np.linalg.solve(information, gradient)
        largest = float(np.abs(step).max())
        estimate = estimate + step * min(1.0, 2.0 / largest if largest else 1.0)
        estimate[:models] -= estimate[:models].mean()
        if largest < 1e-10:
            inverse = np.linalg.inv(information)
            inverse[:models, :models] -= 1.0 / (scale * models)
            return estimate, inverse
        if float(np.abs(estimate).max()) > _BOUNDLESS:
            break
    raise ValueError("the covariates predict the votes without fail: there is no finite maximum")


def _tell_apart(information: np.ndarray, models: int) -> None:
    """Refuse covariates that are nothing but models, or each other, in other words."""
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    values = np.linalg.eigvalsh(information / np.outer(size, size))
    if values[0] < 1e-10:
        raise ValueError(
            "the covariates cannot be told from the models or from each other: more than one "
            "output of each model is needed, and no covariate twice"
        )
