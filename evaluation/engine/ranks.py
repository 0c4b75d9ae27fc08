"""Which models are above which, all differences judged together: 5 % chance of any false claim on
the whole board, not on each of its pairs."""

from __future__ import annotations

import numpy as np

from evaluation.engine.bradley_terry import Fit

DRAWS = 4000


def above(fitted: Fit) -> np.ndarray:
    """``[i, j]``: whether i is better than j, shape (models, models)."""
    models = fitted.theta.size
    if fitted.covariance is None:
        return np.zeros((models, models), dtype=bool)
    variance = np.diag(fitted.covariance)
    sd = np.sqrt(np.maximum(variance[:, None] + variance - 2.0 * fitted.covariance, 0.0))
    difference = fitted.theta[:, None] - fitted.theta
    return (difference > largest_quantile(fitted, sd) * sd) & (sd > 0.0)


def largest_quantile(fitted: Fit, sd: np.ndarray, level: float = 0.95) -> float:
    """Quantile of the largest of all studentised differences, were all models equal.

    With few prompts the differences' standard errors are themselves uncertain: each prompt's
    influence is given a random sign and every difference is divided by the error that *those*
    prompts show. With many, the errors are as good as known and normal draws do.

    Args:
        sd: standard errors of the differences, shape (models, models).
    """
    rng = np.random.default_rng(0)
    prompts = fitted.prompts
    if fitted.influence is None:
        root = _root(fitted.covariance)
        draws = rng.standard_normal((DRAWS, root.shape[1])) @ root.T
        return float(np.quantile(_largest(draws, sd), level))
    signs = rng.integers(0, 2, (DRAWS, prompts)) * 2.0 - 1.0
    size = sd / np.sqrt(prompts / (prompts - 1))
    ratio = float(np.quantile(_largest(signs @ fitted.influence, size), level))
    # ratio is |sum| / sqrt(sum of squares); what Student's t says of the same sum
    left = 1.0 - ratio**2 / prompts
    if left < 1e-9:
        return float("inf")
    return ratio * float(np.sqrt((prompts - 1) / prompts / left))


def _root(covariance: np.ndarray | None) -> np.ndarray:
    """A matrix whose product with its transpose is the covariance, which is singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _largest(draws: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Largest |difference| / sd of each draw, shape (draws,)."""
    largest = np.zeros(len(draws))
    with np.errstate(divide="ignore"):
        scale = np.where(sd > 0.0, 1.0 / sd, 0.0)
    for at in range(draws.shape[1] - 1):
        gaps = np.abs(draws[:, at + 1 :] - draws[:, at, None]) * scale[at, at + 1 :]
        np.maximum(largest, gaps.max(axis=1), out=largest)
    return largest
