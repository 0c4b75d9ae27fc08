"""Win rate of one model against another, with an interval that is clustered by prompt.

Pure NumPy. Several votes on one prompt are not several prompts: a vote's score is averaged within
its prompt first, and the prompts' means are the sample. The interval is Agresti and Coull's on
those means: two prompts lost and two won are added, then Student's t. At 0 % and 100 %, among ties
only and with a handful of prompts it keeps its 95 %, where a plain t interval has no width at all
(the tests simulate this).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.engine.quantiles import t_quantile

_ADDED = np.array([0.0, 0.0, 1.0, 1.0])


@dataclass(frozen=True)
class WinRate:
    """How often one model is preferred. ``rate``, ``lo`` and ``hi`` are shares, 0 to 1."""

    rate: float
    """Mean over prompts of the mean score of each: every prompt counts alike."""
    lo: float | None
    """Ends of the 95 % interval; None where none can be given, and ``reason`` says why."""
    hi: float | None
    votes: int
    prompts: int
    wins: int
    ties: int
    """Votes with a score of exactly one half."""
    losses: int
    reason: str = ""


def win_rate(scores: Sequence[float], prompts: Sequence[object]) -> WinRate:
    """Win rate from votes.

    Args:
        scores: one a vote, 1 for a win, 0 for a loss, between them for less than either.
        prompts: the prompt of each vote; anything that sorts.

    Raises:
        ValueError: there is no vote, the two differ in length, or a score is outside 0 to 1.
    """
    y = np.asarray(scores, dtype=float)
    if y.size == 0 or len(prompts) != y.size:
        raise ValueError(f"{y.size} scores with {len(prompts)} prompts: give one a vote")
    if not ((y >= 0.0) & (y <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    _, cluster = np.unique(np.asarray(prompts), return_inverse=True)
    means = np.bincount(cluster, weights=y) / np.bincount(cluster)
    rate = float(means.mean())
    lo, hi = interval(means)
    return WinRate(
        rate=rate,
        lo=lo,
        hi=hi,
        votes=int(y.size),
        prompts=int(means.size),
        wins=int((y > 0.5).sum()),
        ties=int((y == 0.5).sum()),
        losses=int((y < 0.5).sum()),
        reason=""
        if lo is not None
        else "all votes are on one prompt, which tells nothing of others",
    )


def interval(means: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """95 % interval for the mean of independent prompt means in 0 to 1; none for a single one."""
    if means.size < 2:
        return None, None
    sample = np.concatenate([means, _ADDED])
    half = t_quantile(sample.size - 1) * float(sample.std(ddof=1)) / np.sqrt(sample.size)
    centre, rate = float(sample.mean()), float(means.mean())
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))
