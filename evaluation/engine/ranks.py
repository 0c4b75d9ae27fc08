"""Which models are above which, all differences judged together: 5 % chance of any false claim on
the whole board, not on each of its pairs."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from evaluation.engine.bradley_terry import Fit, degrees
from evaluation.engine.quantiles import t_quantile

DRAWS = 4000
_PROMPTS_A_MODEL = 3
_NORMAL = NormalDist()


def above(fitted: Fit) -> np.ndarray:
    """``[i, j]``: whether i is better than j, shape (models, models).

    Each difference is held against Student's t with its own degrees of freedom, at the level that
    :func:`level_of_each` finds for all of them together. A difference whose error nobody can know,
    because a model's votes are on one prompt, is never claimed.
    """
    level = level_of_each(fitted)
    effective = fitted.effective_of_differences()
    df, at = np.unique([degrees(n) for n in effective.ravel()], return_inverse=True)
    limit = np.array([t_quantile(int(n), level) for n in df])[at].reshape(effective.shape)
    sd = np.sqrt(fitted.variance_of_differences())
    difference = fitted.theta[:, None] - fitted.theta
    return (difference > limit * sd) & (sd > 0.0) & (effective > 1.0 + 1e-9)


def level_of_each(fitted: Fit, level: float = 0.95) -> float:
    """The level at which one difference must stand out for all to be right with ``level``.

    From the simulated largest of all differences (max-t), which knows how they hang together. That
    can be estimated with several prompts a model only; with fewer it is Bonferroni's.
    """
    models = fitted.theta.size
    if fitted.prompts < _PROMPTS_A_MODEL * models:
        return 1.0 - (1.0 - level) / (models * (models - 1) / 2)
    values, vectors = np.linalg.eigh(fitted.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = np.random.default_rng(0).standard_normal((DRAWS, models)) @ root.T
    largest = float(np.quantile(_largest(draws, fitted.covariance), level))
    return 2.0 * _NORMAL.cdf(largest) - 1.0


def _largest(draws: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Largest studentised difference of each draw, shape (draws,)."""
    variance = np.diag(covariance)
    largest = np.zeros(len(draws))
    for at in range(draws.shape[1] - 1):
        gap = variance[at] + variance[at + 1 :] - 2.0 * covariance[at, at + 1 :]
        # a difference without any spread cannot be the largest
        scale = np.where(gap > 1e-15, 1.0 / np.sqrt(np.maximum(gap, 1e-15)), 0.0)
        gaps = np.abs(draws[:, at + 1 :] - draws[:, at, None]) * scale
        np.maximum(largest, gaps.max(axis=1), out=largest)
    return largest
