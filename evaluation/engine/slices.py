"""Win rates by slice: each with its interval, drawn together as far as chance explains them, and
marked only where it stands out among all. Pure NumPy.

A dozen slices always have a best and a worst. The shrunk rates say how much of the spread is more
than chance (empirical Bayes with the between-slice variance of DerSimonian and Laird);
``stands_out`` holds with 95 % for all slices together (Holm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from evaluation.engine.quantiles import t_quantile
from evaluation.engine.ratings import Board, leaderboard
from evaluation.engine.winrate import WinRate, clustered, win_rate

_Z = 1.959963984540054


@dataclass(frozen=True)
class Slice:
    name: object
    rate: WinRate
    shrunk: float
    """What the slice's win rate most likely is, seeing the others."""
    lo: float
    hi: float
    """95 % interval of ``shrunk``."""
    stands_out: bool
    """Whether it differs from all the other slices taken together."""


def win_rates(
    scores: Sequence[float],
    prompts: Sequence[object],
    slices: Sequence[object],
    *,
    every_vote: bool = False,
) -> list[Slice]:
    """One model's win rate against another in each slice, in the order of their names.

    Args:
        scores, prompts: as :func:`~evaluation.engine.winrate.win_rate` takes them.
        slices: the slice of each vote; anything that sorts. A vote in two slices stands twice.
        every_vote: whether every vote counts alike, as in a leaderboard, not every prompt.

    Raises:
        ValueError: as ``win_rate`` does.
    """
    y, prompt, of = np.asarray(scores, dtype=float), np.asarray(prompts), np.asarray(slices)
    if of.size != y.size:
        raise ValueError(f"{y.size} scores with {of.size} slices: give one a vote")
    names = np.unique(of)
    how = _by_votes if every_vote else win_rate
    rates = [how(y[of == name], prompt[of == name]) for name in names]
    mean = np.array([_centre(rate) for rate in rates])
    variance = np.array([_variance(rate) for rate in rates])
    shrunk, spread = _shrink(mean, variance)
    out = _stand_out(mean, variance, np.array([rate.prompts for rate in rates]))
    return [
        Slice(
            name=name.item(),
            rate=rate,
            shrunk=float(middle),
            lo=max(0.0, float(middle - _Z * sqrt(v))),
            hi=min(1.0, float(middle + _Z * sqrt(v))),
            stands_out=bool(flag),
        )
        for name, rate, middle, v, flag in zip(names, rates, shrunk, spread, out, strict=True)
    ]


def boards(
    prompt: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    y: np.ndarray,
    models: int,
    slices: Sequence[object] | np.ndarray,
    *,
    equal_opponents: bool = False,
) -> dict[object, Board]:
    """A leaderboard of each slice; arguments as for :func:`~evaluation.engine.ratings.leaderboard`.

    A model may be rated on one and not on another. Each board's claims hold with 95 % by
    themselves, not for all boards together.
    """
    of = np.asarray(slices)
    prompt, i, j, y = (np.asarray(column) for column in (prompt, i, j, y))
    found: dict[object, Board] = {}
    for name in np.unique(of):
        mine = of == name
        found[name.item()] = leaderboard(
            prompt[mine], i[mine], j[mine], y[mine], models, equal_opponents=equal_opponents
        )
    return found


def _by_votes(y: np.ndarray, prompt: np.ndarray) -> WinRate:
    """The mean over votes, its interval clustered by prompt."""
    mean = clustered(y, prompt)
    return replace(win_rate(y, prompt), rate=mean.rate, lo=mean.lo, hi=mean.hi)


def _centre(rate: WinRate) -> float:
    """Two prompts won and two lost beside the rest, as the interval has it."""
    return (rate.rate * rate.prompts + 2.0) / (rate.prompts + 4.0)


def _variance(rate: WinRate) -> float:
    """Of that centre; a single prompt knows no better than a fair coin."""
    if rate.lo is None or rate.hi is None:
        return 0.25 / (rate.prompts + 4.0)
    # the cut at 0 and 1 takes away half of the width at most
    half = max(rate.hi - _centre(rate), _centre(rate) - rate.lo)
    return (half / t_quantile(rate.prompts + 3)) ** 2


def _shrink(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means and variances of the slices around their common mean."""
    weight = 1.0 / variance
    common = float((weight * mean).sum() / weight.sum())
    q = float((weight * (mean - common) ** 2).sum())
    room = float(weight.sum() - (weight**2).sum() / weight.sum())
    between = max(0.0, (q - (mean.size - 1)) / room) if room > 0.0 else 0.0
    precise = 1.0 / (variance + between)
    common = float((precise * mean).sum() / precise.sum())
    if mean.size == 1:
        return mean, variance
    keep = between / (between + variance)
    # the common mean is not known either
    own = keep * variance + (1.0 - keep) ** 2 / precise.sum()
    return common + keep * (mean - common), own


def _stand_out(mean: np.ndarray, variance: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Holm over slices, each against the rest of them."""
    out = np.zeros(mean.size, dtype=bool)
    if mean.size < 2:
        return out
    weight = 1.0 / variance
    rest = weight.sum() - weight
    others = ((weight * mean).sum() - weight * mean) / rest
    t = np.abs(mean - others) / np.sqrt(variance + 1.0 / rest)
    for rank, at in enumerate(np.argsort(-t)):
        if t[at] <= t_quantile(int(prompts[at]) + 3, 1.0 - 0.05 / (mean.size - rank)):
            break
        out[at] = True
    return out
