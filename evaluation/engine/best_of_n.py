"""Best of n: what choosing the answer that a reward model likes best does to what people want.

From N samples of each prompt, every n up to N is estimated at once and without bias: not the first
n are looked at but all subsets of n, in closed form. The price of choosing is told in nats of
Kullback–Leibler divergence from the model that was sampled. Where the proxy goes on rising and gold
falls, the proxy is over-optimised (Gao et al. 2022, arXiv:2210.10760). Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evaluation.engine.quantiles import t_quantile

DRAWS = 1000


def kl(n: int | np.ndarray) -> np.ndarray:
    """KL(best of n ‖ the model) in nats: ``ln n − (n − 1)/n``; an upper bound where scores tie."""
    number = np.asarray(n, dtype=float)
    return np.asarray(np.log(number) - (number - 1.0) / number)


def expected_best(proxy: np.ndarray, value: np.ndarray, ns: Sequence[int]) -> np.ndarray:
    """Mean of ``value`` of the sample that ``proxy`` likes best, over all subsets of n samples.

    ``Σ_{i=n..N} C(i−1, n−1)/C(N, n) · value_(i)`` with samples in rising order of the proxy; where
    several are liked equally, each is as likely as the other, so they share their mean.

    Args:
        proxy, value: of the N samples of one prompt, shape (N,).
        ns: sizes from 1 to N.

    Returns:
        shape (len(ns),).

    Raises:
        ValueError: the lengths differ, there is no sample, a score is not finite, or a size is
            outside 1 to N.
    """
    p, v = np.asarray(proxy, dtype=float), np.asarray(value, dtype=float)
    total = p.size
    if total == 0 or v.size != total:
        raise ValueError(f"{total} and {v.size} scores of one prompt's samples")
    if not np.isfinite(p).all() or not np.isfinite(v).all():
        raise ValueError("a score is not finite")
    if min(ns) < 1 or max(ns) > total:
        raise ValueError(f"sizes must be from 1 to the {total} samples of the prompt")
    _, kind = np.unique(p, return_inverse=True)
    shared = (np.bincount(kind, weights=v) / np.bincount(kind))[kind]
    return _chances(total, tuple(ns)) @ shared[np.argsort(p, kind="stable")]


@lru_cache(maxsize=8)
def _chances(total: int, ns: tuple[int, ...]) -> np.ndarray:
    """Chance that the i-th in rising order is the best of n, shape (len(ns), total)."""
    # log of factorials, for the binomials themselves are far too large
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    place = np.arange(1, total + 1)
    rows = []
    for n in ns:
        among = place[n - 1 :]
        ways = log[among - 1] - log[n - 1] - log[among - n]
        all_ways = log[total] - log[n] - log[total - n]
        rows.append(np.concatenate([np.zeros(n - 1), np.exp(ways - all_ways)]))
    return np.array(rows)


@dataclass(frozen=True)
class Point:
    n: int
    kl: float
    """Nats; charts have √KL across."""
    proxy: float
    gold: float
    """Means over prompts, in each score's own unit; with the ends of 95 % intervals of prompts."""
    proxy_lo: float | None
    proxy_hi: float | None
    gold_lo: float | None
    gold_hi: float | None
    over_optimised: bool
    """Gold is below its best by more than chance (prompt by prompt, 95 % one-sided), with more
    choosing than there and a proxy that is higher."""


@dataclass(frozen=True)
class Curve:
    points: list[Point]
    best: int
    """The n at which gold is highest, the smallest of equals."""
    prompts: int

    @property
    def over_optimised_from(self) -> int | None:
        """The first n at which it is said that more choosing does harm."""
        return next((point.n for point in self.points if point.over_optimised), None)


def curve(
    proxy: Sequence[np.ndarray] | np.ndarray,
    gold: Sequence[np.ndarray] | np.ndarray,
    ns: Sequence[int] | None = None,
    seed: int = 0,
) -> Curve:
    """Best-of-n curve over prompts.

    The best n is chosen by its gold, so its gold is a little too high. The test of
    over-optimisation knows that: it holds the largest fall from any smaller n against the largest
    that chance makes.

    Args:
        proxy, gold: of each prompt, the scores of its samples; a row may be longer than another.
        ns: sizes, each at least 1; powers of two up to the shortest row where not given.
        seed: of the bootstrap by prompt.

    Raises:
        ValueError: there is no prompt, or as in :func:`expected_best`.
    """
    if not len(proxy) or len(proxy) != len(gold):
        raise ValueError(f"{len(proxy)} and {len(gold)} prompts")
    shortest = min(len(row) for row in proxy)
    sizes = sorted(set(ns)) if ns else [2**k for k in range(max(1, shortest).bit_length())]
    by_prompt = np.array(
        [
            [
                expected_best(np.asarray(p), np.asarray(p), sizes),
                expected_best(np.asarray(p), np.asarray(g), sizes),
            ]
            for p, g in zip(proxy, gold, strict=True)
        ]
    )
    prompts = len(by_prompt)
    mean = by_prompt.mean(axis=0)
    best = int(np.argmax(mean[1]))
    ends: np.ndarray | None = None
    worse = np.zeros(len(sizes), dtype=bool)
    if prompts > 1:
        half = t_quantile(prompts - 1) * by_prompt.std(axis=0, ddof=1) / np.sqrt(prompts)
        ends = np.array([mean - half, mean + half])
        worse = _worse(by_prompt[:, 1], best, seed)
    points = []
    for at, n in enumerate(sizes):
        beyond = at > best and mean[0, at] > mean[0, best]
        points.append(
            Point(
                n=n,
                kl=float(kl(n)),
                proxy=float(mean[0, at]),
                gold=float(mean[1, at]),
                proxy_lo=None if ends is None else float(ends[0, 0, at]),
                proxy_hi=None if ends is None else float(ends[1, 0, at]),
                gold_lo=None if ends is None else float(ends[0, 1, at]),
                gold_hi=None if ends is None else float(ends[1, 1, at]),
                over_optimised=bool(beyond and worse[at]),
            )
        )
    return Curve(points, sizes[best], prompts)


def _worse(gold: np.ndarray, best: int, seed: int) -> np.ndarray:
    """Whether gold at each size is below its best at a smaller one, shape (sizes,).

    The fall from the best is a maximum of differences, so chance alone gives some: it is held
    against the 95 % quantile of the same maximum among differences drawn by prompt and centred.
    """
    prompts = len(gold)
    drawn = np.random.default_rng(seed).multinomial(
        prompts, np.full(prompts, 1.0 / prompts), size=DRAWS
    )
    mean = gold.mean(axis=0)
    noise = (drawn @ gold / prompts - mean) * np.sqrt(prompts / (prompts - 1))
    found = np.zeros(gold.shape[1], dtype=bool)
    for at in range(best + 1, gold.shape[1]):
        gaps = gold[:, :at] - gold[:, at, None]
        sd = gaps.std(axis=0, ddof=1) / np.sqrt(prompts)
        scale = np.where(sd > 0.0, 1.0 / np.where(sd > 0.0, sd, 1.0), 0.0)
        falls = ((noise[:, :at] - noise[:, at, None]) * scale).max(axis=1)
        found[at] = ((mean[:at] - mean[at]) * scale).max() > np.quantile(falls, 0.95)
    return found


@dataclass(frozen=True)
class Guide:
    """``gold(d) = start + d(α − βd)`` with d = √KL: a dashed line and no estimate of anything; it
    fits heavy-tailed errors badly and then has its peak too early."""

    start: float
    alpha: float
    beta: float
    peak: float | None
    """√KL at which it is highest; None where it never falls."""
    rms: float
    """Root mean square distance of the points from it, in the score's unit."""


def guide(points: Sequence[Point]) -> Guide | None:
    """Least squares through the gold of a curve's points; None with fewer than four."""
    if len(points) < 4:
        return None
    d = np.sqrt([point.kl for point in points])
    gold = np.array([point.gold for point in points])
    design = np.column_stack([np.ones(d.size), d, -(d**2)])
    start, alpha, beta = np.linalg.lstsq(design, gold, rcond=None)[0]
    rms = float(np.sqrt(((design @ [start, alpha, beta] - gold) ** 2).mean()))
    peak = float(alpha / (2.0 * beta)) if alpha > 0.0 and beta > 0.0 else None
    return Guide(float(start), float(alpha), float(beta), peak, rms)


def ensemble(rewards: np.ndarray, how: str = "mean", penalty: float = 0.5) -> np.ndarray:
    """One proxy of several reward models' scores (Coste et al. 2023, arXiv:2310.02743).

    Args:
        rewards: shape (models, samples), each model's on one scale: standardise them on reference
            answers first.
        how: ``mean``; ``worst``, the least of them; or ``uncertain``, the mean less ``penalty``
            times their variance.

    Returns:
        shape (samples,).

    Raises:
        ValueError: no such way.
    """
    r = np.asarray(rewards, dtype=float)
    if how == "mean":
        return np.asarray(r.mean(axis=0))
    if how == "worst":
        return np.asarray(r.min(axis=0))
    if how == "uncertain":
        return np.asarray(r.mean(axis=0) - penalty * r.var(axis=0))
    raise ValueError(f"an ensemble is mean, worst or uncertain, not {how!r}")
