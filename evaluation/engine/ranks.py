"""Which models are above which, all differences judged together: 5 % chance of any false claim on
the whole board, not on each of its pairs."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from evaluation.engine.bradley_terry import Fit, degrees
from evaluation.engine.quantiles import t_quantile

DRAWS = 4000
_BLOCK = 256
"""Draws that are looked at together."""
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
    df, at = np.unique([degrees(n) for n in fitted.effective], return_inverse=True)
    quantile = np.array([t_quantile(int(n), level) for n in df])[at]
    # the poorer of two models has fewer degrees of freedom, and so the larger limit
    limit = np.maximum(quantile[:, None], quantile)
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
    return 2.0 * _NORMAL.cdf(_quantile_of_largest(draws, fitted.covariance, level)) - 1.0


def _quantile_of_largest(draws: np.ndarray, covariance: np.ndarray, level: float) -> float:
    """A high quantile of each draw's largest studentised difference, shape of draws
    (draws, models).

    Only draws that may lie above it are looked at closely, those first that may be largest.
    """
    variance = np.diag(covariance)
    gap = variance[:, None] + variance - 2.0 * covariance
    # a difference without any spread cannot be the largest
    scale = np.where(gap > 1e-15, 1.0 / np.sqrt(np.maximum(gap, 1e-15)), 0.0)
    most = _at_most(draws, variance, gap)
    order = np.argsort(-most, kind="stable")
    above = len(draws) - int(level * (len(draws) - 1))
    largest = np.zeros(len(draws))
    for start in range(0, len(draws), _BLOCK):
        if start >= above and most[order[start]] < np.partition(largest, -above)[-above]:
            break
        some = order[start : start + _BLOCK]
        largest[some] = _largest(np.ascontiguousarray(draws[some].T), scale)
    return float(np.quantile(largest, level))


def _at_most(draws: np.ndarray, variance: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """What each draw's largest studentised difference cannot be above, shape (draws,).

    Of independent x and y with variances v and w, ``|x − y|/√(v + w)`` is at most
    ``√(x²/v + y²/w)`` where their signs differ, and at most the larger of ``|x|/√v`` and ``|y|/√w``
    where they do not. How far the least variance of a difference falls short of v + w makes up for
    what hangs together.
    """
    spread = np.maximum(variance, 1e-18)
    known = gap > 1e-15
    if not known.any():
        return np.zeros(len(draws))
    short = float((gap[known] / (spread[:, None] + spread)[known]).min())
    alike = draws / np.sqrt(spread)
    up, down = np.maximum(alike.max(axis=1), 0.0), np.minimum(alike.min(axis=1), 0.0)
    return np.sqrt((up**2 + down**2) / short) * (1.0 + 1e-9)


def _largest(draws: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Largest studentised difference of each draw, shape (draws,); that of draws is
    (models, draws)."""
    largest = np.zeros(draws.shape[1])
    gaps = np.empty_like(draws)
    for at in range(len(draws) - 1):
        own = gaps[at + 1 :]
        np.subtract(draws[at + 1 :], draws[at], out=own)
        np.abs(own, out=own)
        own *= scale[at, at + 1 :, None]
        np.maximum(largest, own.max(axis=0), out=largest)
    return largest
