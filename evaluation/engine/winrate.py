"""Win rate of one model against another, with an interval that is clustered by prompt.

Pure NumPy. Several votes on one prompt are not several prompts: a vote's score is averaged within
its prompt first, and the prompts' means are the sample. The interval is Agresti and Coull's on
those means: two prompts lost and two won are added, then Student's t. At 0 % and 100 %, among ties
only and with a handful of prompts it keeps its 95 %, where a plain t interval has no width at all
(the tests simulate this).

Beside it: Wilson's interval for one vote a prompt, an interval that also knows that an annotator's
votes hang together, and the difference of two models that met the same third.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

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


def win_rate(
    scores: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    *,
    drop_ties: bool = False,
) -> WinRate:
    """Win rate from votes.

    Args:
        scores: one a vote, 1 for a win, 0 for a loss, between them for less than either.
        prompts: the prompt of each vote; anything that sorts.
        drop_ties: leave votes of exactly one half out of the rate and its interval, which then
            speak of decided votes only; ``ties`` still counts them, ``votes`` does not.

    Raises:
        ValueError: there is no vote (or none but ties, where those are dropped), the two differ in
            length, or a score is outside 0 to 1.
    """
    y = _checked(scores, prompts)
    tied = int((y == 0.5).sum())
    of = np.asarray(prompts)
    if drop_ties:
        y, of = y[y != 0.5], of[y != 0.5]
        if y.size == 0:
            raise ValueError("all scores are ties: without them nothing is left")
    _, cluster = np.unique(of, return_inverse=True)
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
        ties=tied,
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


def _checked(
    scores: Sequence[float] | np.ndarray, prompts: Sequence[object] | np.ndarray
) -> np.ndarray:
    y = np.asarray(scores, dtype=float)
    if y.size == 0 or len(prompts) != y.size:
        raise ValueError(f"{y.size} scores with {len(prompts)} prompts: give one a vote")
    if not ((y >= 0.0) & (y <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    return y


def wilson(score: float, votes: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for independent votes, one a prompt and one an annotator.

    The values p0 with ``|p − p0| ≤ z·√(p0(1 − p0)/n)``. Ties as half a win make it too wide, never
    too narrow: a score in 0 to 1 varies at most as a coin of the same mean.

    Args:
        score: sum of the scores, a tie being half.
        votes: how many.

    Raises:
        ValueError: there is no vote, or the sum is not from 0 to their number.
    """
    if votes < 1 or not 0.0 <= score <= votes:
        raise ValueError(f"a score of {score} cannot come of {votes} votes")
    z2 = NormalDist().inv_cdf(0.5 + level / 2.0) ** 2
    rate = score / votes
    centre = (rate + z2 / (2.0 * votes)) / (1.0 + z2 / votes)
    half = np.sqrt(z2 * (rate * (1.0 - rate) / votes + z2 / (4.0 * votes**2))) / (1.0 + z2 / votes)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


@dataclass(frozen=True)
class Clustered:
    """A mean over votes with an interval that knows what hangs together."""

    rate: float
    """Mean over votes: every vote counts alike, unlike :class:`WinRate`."""
    error: float | None
    """Standard error, and the ends of the interval, on the same scale; None where a cluster has
    all the votes, and nothing can be said of other prompts, or other annotators."""
    lo: float | None
    hi: float | None
    prompts: int
    annotators: int | None
    """None where they were not asked about."""
    reason: str = ""


def clustered(
    scores: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    annotators: Sequence[object] | None = None,
    level: float = 0.95,
) -> Clustered:
    """Mean score over votes, cluster-robust by prompt, or by prompt and annotator at once.

    One way, the variance is ``G/(G−1) · Σ_g (Σ_{i in g} (y_i − ȳ))² / n²``. Two ways it is that by
    prompt, plus that by annotator, less that by both (Cameron, Gelbach and Miller 2011), and never
    less than the larger of the two. Student's t has the smaller number of clusters less one as
    degrees of freedom. As in :func:`interval` two clusters won and two lost are added, each of the
    mean number of votes of a prompt, so that unanimous votes keep a width.

    Args:
        scores: one a vote, 0 to 1.
        prompts, annotators: of each vote; anything that sorts.

    Raises:
        ValueError: as in :func:`win_rate`, or the number of annotators is not that of votes.
    """
    y = _checked(scores, prompts)
    ways = [np.unique(np.asarray(prompts), return_inverse=True)[1]]
    if annotators is not None:
        if len(annotators) != y.size:
            raise ValueError(f"{y.size} scores with {len(annotators)} annotators")
        ways.append(np.unique(np.asarray(annotators), return_inverse=True)[1])
    sizes = [int(way.max()) + 1 for way in ways]
    people = sizes[1] if annotators is not None else None
    rate = float(y.mean())
    if min(sizes) < 2:
        one = "prompt" if sizes[0] < 2 else "annotator"
        why = f"all votes are of one {one}, which tells nothing of others"
        return Clustered(rate, None, None, None, sizes[0], people, why)
    weight = np.concatenate([np.ones(y.size), np.full(_ADDED.size, y.size / sizes[0])])
    sample = np.concatenate([y, _ADDED])
    ways = [
        np.concatenate([way, n + np.arange(_ADDED.size)])
        for way, n in zip(ways, sizes, strict=True)
    ]
    centre = float((weight * sample).sum() / weight.sum())
    residual = weight * (sample - centre) / weight.sum()
    parts = [_of_clusters(residual, way) for way in ways]
    variance = parts[0]
    if len(ways) == 2:
        both = np.unique(ways[0] * (int(ways[1].max()) + 1) + ways[1], return_inverse=True)[1]
        variance = max(sum(parts) - _of_clusters(residual, both), *parts)
    error = float(np.sqrt(variance))
    # the added ones are prompts like others, but no annotators that could be told apart
    df = sizes[0] + _ADDED.size - 1 if people is None else min(sizes[0] + 3, sizes[1] - 1)
    half = t_quantile(df, level) * error
    lo, hi = max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))
    return Clustered(rate, error, lo, hi, sizes[0], people)


def _of_clusters(residual: np.ndarray, cluster: np.ndarray) -> float:
    sums = np.bincount(cluster, weights=residual)
    return float(sums.size / (sums.size - 1) * (sums**2).sum())


@dataclass(frozen=True)
class Difference:
    """Win rate of one model less that of another, against the same third; −1 to 1."""

    difference: float
    lo: float | None
    """Ends of the 95 % interval; None on a single prompt."""
    hi: float | None
    prompts: int
    """Those on which both were judged; no other counts."""


def paired_difference(
    scores: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    other_scores: Sequence[float] | np.ndarray,
    other_prompts: Sequence[object] | np.ndarray,
) -> Difference:
    """Whether one model beats the baseline more often than another does, prompt by prompt.

    On each prompt that both have, the mean score of one less that of the other: what a prompt does
    to both falls out, so that the interval is narrower than one made of two win rates' intervals.
    It is that of :func:`interval` with the differences laid on 0 to 1.

    Raises:
        ValueError: as in :func:`win_rate`, or no prompt is common to both.
    """
    one, two = _means(scores, prompts), _means(other_scores, other_prompts)
    gaps = np.array([mean - two[prompt] for prompt, mean in one.items() if prompt in two])
    if not gaps.size:
        raise ValueError("no prompt has scores of both")
    lo, hi = interval((gaps + 1.0) / 2.0)
    return Difference(
        difference=float(gaps.mean()),
        lo=None if lo is None else 2.0 * lo - 1.0,
        hi=None if hi is None else 2.0 * hi - 1.0,
        prompts=int(gaps.size),
    )


def _means(
    scores: Sequence[float] | np.ndarray, prompts: Sequence[object] | np.ndarray
) -> dict[object, float]:
    y = _checked(scores, prompts)
    names, cluster = np.unique(np.asarray(prompts), return_inverse=True)
    means = np.bincount(cluster, weights=y) / np.bincount(cluster)
    return dict(zip(names.tolist(), means.tolist(), strict=True))
