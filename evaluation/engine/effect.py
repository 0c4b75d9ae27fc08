"""How large a difference between two models is, beside how often one is preferred.

A win rate says how often and not by how much: with a scorer that answers alike every time, a change
that nobody would see wins nearly always where both models draw from one seed. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluation.engine.quantiles import t_quantile


@dataclass(frozen=True)
class Effect:
    """A difference in standard deviations, positive where the candidate is better."""

    size: float
    lo: float | None
    """Ends of the 95 % interval, prompts being the sample; None with fewer than three prompts, or
    where the spread hangs on a single one."""
    hi: float | None
    pairs: int
    prompts: int


def cohens_d(
    candidate: Sequence[float], baseline: Sequence[float], prompts: Sequence[object]
) -> Effect | None:
    """Cohen's d of scores: the difference of the means over the pooled standard deviation of single
    outputs, so that it means the same whatever seeds were paired.

    Args:
        candidate, baseline: the two scores of each pair.
        prompts: the prompt of each pair; anything that sorts.

    Returns:
        None where there are fewer than two pairs, or no output differs from another.
    """
    x, y = np.asarray(candidate, dtype=float), np.asarray(baseline, dtype=float)
    if x.size != y.size or len(prompts) != x.size:
        raise ValueError(f"{x.size} and {y.size} scores with {len(prompts)} prompts")
    cells = [np.ones_like(x), x, y, x * x, y * y]
    return _effect(cells, prompts, _d)


def mean_strength(strengths: Sequence[float], prompts: Sequence[object]) -> Effect | None:
    """Mean of signed strengths over their standard deviation about zero: 1 where every verdict is
    for the candidate and equally strong, 0 where as much is said for either.

    Args:
        strengths: of each vote, positive for the candidate.

    Returns:
        None where there are fewer than two votes or all are 0.
    """
    s = np.asarray(strengths, dtype=float)
    if len(prompts) != s.size:
        raise ValueError(f"{s.size} strengths with {len(prompts)} prompts")
    found = _effect([np.ones_like(s), s, s * s], prompts, _shift)
    if found is None or found.lo is None or found.hi is None:
        return found
    # a mean is never longer than the root mean square
    return replace(found, lo=max(-1.0, found.lo), hi=min(1.0, found.hi))


def _d(n: np.ndarray, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = (xx - x * x / n) + (yy - y * y / n)
        # what rounding leaves of outputs that are all alike is no spread
        squares = np.where(squares > 1e-12 * (xx + yy), squares, 0.0)
        return np.asarray((x - y) / n / np.sqrt(squares / (2 * (n - 1))))


def _shift(n: np.ndarray, s: np.ndarray, ss: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(s / n / np.sqrt(ss / n))


def _effect(cells: list[np.ndarray], prompts: Sequence[object], of: object) -> Effect | None:
    """The figure of all, with an interval by leaving out one prompt after the other."""
    assert callable(of)
    pairs = int(cells[0].size)
    if pairs < 2:
        return None
    _, cluster = np.unique(np.asarray(prompts), return_inverse=True)
    sums = np.stack([np.bincount(cluster, weights=cell) for cell in cells])
    total = sums.sum(axis=1, keepdims=True)
    size = float(of(*total)[0])
    if not np.isfinite(size):
        return None
    count, lo, hi = sums.shape[1], None, None
    if count > 2:
        without = of(*(total - sums))
        error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
        if np.isfinite(error):
            half = t_quantile(count - 1) * float(error)
            lo, hi = size - half, size + half
    return Effect(size, lo, hi, pairs, count)
