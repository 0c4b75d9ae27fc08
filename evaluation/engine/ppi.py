"""Few human labels and many of a judge: what people would say of all items (PPI++). Pure NumPy.

The judge is scored everywhere, the people on a part; what the judge gets wrong there corrects the
judge everywhere else. The weight λ of the judge is the one with the least variance, so a bad judge
costs next to nothing (Angelopoulos, Duchi, Zrnic 2023, PPI++). It stands on one condition: the
items that people labelled are a random sample of all. Prompts are the clusters throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from evaluation.engine.bradley_terry import Fit
from evaluation.engine.quantiles import t_quantile

LEAST = 30
"""Prompts with human labels below which nothing is said."""
FEW = 100
"""Prompts with human labels below which intervals may be a little too narrow."""
_GRID = np.linspace(0.0, 1.0, 11)
_ADDED = np.array([0.0, 0.0, 1.0, 1.0])
_BLOCK = 4096
"""Prompts whose scores are held at once."""


class TooFewLabels(ValueError):
    """Fewer prompts with human labels than an interval can stand on."""


@dataclass(frozen=True)
class Assisted:
    """A win rate as people would give it, 0 to 1."""

    rate: float
    se: float
    lo: float
    hi: float
    """95 % interval."""
    weight: float
    """λ, how much the judge counts: 0 not at all, 1 as much as people."""
    labelled: int
    """Prompts with human labels."""
    effective: float
    """How many prompts with human labels alone would know as much."""
    human: float
    """The win rate from the human labels alone."""
    judge: float
    """The judge's own win rate on all the items: not what people say."""
    few: bool
    """Under :data:`FEW` prompts with human labels."""

    @property
    def gain(self) -> float:
        """``effective`` per prompt labelled; 1 where the judge adds nothing."""
        return self.effective / self.labelled


def win_rate(
    human: Sequence[float],
    judged: Sequence[float],
    prompts: Sequence[object],
    others: Sequence[float],
    other_prompts: Sequence[object],
) -> Assisted:
    """The human win rate over all prompts, each prompt counting alike.

    Args:
        human: people's scores, one a labelled item: 1 for a win, 0 for a loss, ½ for a tie.
        judged: the judge's scores of the same items, 0 to 1.
        prompts: the prompt of each; anything that sorts.
        others: the judge's scores of the items without a human label, 0 to 1.
        other_prompts: their prompts. One may be on both sides.

    Raises:
        TooFewLabels: under 30 prompts have human labels.
        ValueError: lengths differ, or a score is outside 0 to 1.
    """
    y, f, apart = (np.asarray(one, dtype=float) for one in (human, judged, others))
    if y.size != f.size or y.size != len(prompts) or apart.size != len(other_prompts):
        raise ValueError("every score needs its prompt, every human label the judge's score")
    for scores in (y, f, apart):
        if not ((scores >= 0.0) & (scores <= 1.0)).all():
            raise ValueError("a score must be from 0 to 1")
    names, at = np.unique(np.asarray(prompts), return_inverse=True)
    other_names, other_at = np.unique(np.asarray(other_prompts), return_inverse=True)
    if names.size < LEAST:
        raise TooFewLabels(
            f"{names.size} prompts have human labels; at least {LEAST} are needed for an interval"
        )
    each = np.bincount(at)
    mean_y, mean_f = np.bincount(at, weights=y) / each, np.bincount(at, weights=f) / each
    mean_other = np.bincount(other_at, weights=apart) / np.bincount(other_at)
    _, mine, theirs = np.intersect1d(names, other_names, return_indices=True)
    rate, variance, weight = estimate(mean_y, mean_f, mean_other, (mine, theirs))
    n = names.size
    alone = float(mean_y.var(ddof=1)) / n
    lo, hi = _interval(mean_y, mean_f, mean_other, (mine, theirs), weight)
    every = np.concatenate([f, apart])
    return Assisted(
        rate=rate,
        se=sqrt(variance),
        lo=max(0.0, min(rate, lo)),
        hi=min(1.0, max(rate, hi)),
        weight=weight,
        labelled=int(n),
        effective=n * alone / variance if variance > 0.0 else float(n),
        human=float(mean_y.mean()),
        judge=float(every.mean()),
        few=n < FEW,
    )


def estimate(
    y: np.ndarray,
    f: np.ndarray,
    others: np.ndarray,
    shared: tuple[np.ndarray, np.ndarray] | None = None,
    weight: float | None = None,
) -> tuple[float, float, float]:
    """``λ·mean(F) + mean(Y − λf)``, its variance, and λ.

    Args:
        y, f: the people's and the judge's scores of the labelled prompts, shape (n,).
        others: the judge's scores of the others, shape (N,); none make λ = 0.
        shared: positions in ``y`` and in ``others`` of prompts that are in both.
        weight: λ, where it is not to be tuned.
    """
    n, number = y.size, others.size
    if number < 2:
        return float(y.mean()), float(y.var(ddof=1)) / n, 0.0
    mine, theirs = shared if shared is not None else (np.zeros(0, int), np.zeros(0, int))
    off = (others - others.mean())[theirs] / number
    with_y, with_f = (float(off @ (one - one.mean())[mine]) / n for one in (y, f))
    if weight is None:
        spread = float(np.concatenate([f, others]).var(ddof=1))
        slope = float(np.cov(y, f, ddof=1)[0, 1]) / n - with_y
        scale = spread * (1.0 / n + 1.0 / number) - 2.0 * with_f
        weight = min(1.0, max(0.0, slope / scale)) if scale > 0.0 else 0.0
    rest = y - weight * f
    variance = weight**2 * float(others.var(ddof=1)) / number + float(rest.var(ddof=1)) / n
    variance += 2.0 * weight * (with_y - weight * with_f)
    return weight * float(others.mean()) + float(rest.mean()), max(variance, 0.0), weight


def _interval(
    y: np.ndarray,
    f: np.ndarray,
    others: np.ndarray,
    shared: tuple[np.ndarray, np.ndarray],
    weight: float,
) -> tuple[float, float]:
    """Agresti and Coull's, as :mod:`.winrate` has it: two prompts won and two lost are added, on
    which the judge knows nothing. So labels that all agree have a width too."""
    y, f = np.concatenate([y, _ADDED]), np.concatenate([f, np.full(4, f.mean())])
    centre, variance, _ = estimate(y, f, others, shared, weight)
    # λ was fitted to these labels, which costs them one more degree of freedom
    half = t_quantile(y.size - 2) * sqrt(variance)
    return centre - half, centre + half


def drawn_win_rate(
    judged: Sequence[float],
    human: Sequence[float],
    probability: Sequence[float],
    prompts: Sequence[object],
) -> Assisted:
    """The human win rate where items came to people with known, different probabilities, such as
    more often where a judge was unsure: each prompt counts alike.

    An item's score is ``λf + c + (ξ/π)(Y − λf − c)``, ξ whether people labelled it: its mean over
    any draw is Y, whatever λ and c are. These have the least variance (a regression on what has
    mean zero), so a judge that is of no use costs next to nothing.

    Args:
        judged: the judge's scores of all items, 0 to 1.
        human: people's; ``nan`` where the draw passed the item by.
        probability: with which each was drawn, above 0; 1 for what people had labelled before.
        prompts: the prompt of each; anything that sorts.

    Raises:
        TooFewLabels: under 30 prompts have human labels.
        ValueError: lengths differ, or a score or probability is out of bounds.
    """
    f, y, p = (np.asarray(one, dtype=float) for one in (judged, human, probability))
    if not f.size == y.size == p.size == len(prompts):
        raise ValueError("every item needs its scores, its probability and its prompt")
    seen = ~np.isnan(y)
    if not ((f >= 0.0) & (f <= 1.0)).all() or not ((y[seen] >= 0.0) & (y[seen] <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    if not ((p > 0.0) & (p <= 1.0)).all():
        raise ValueError("a probability must be above 0 and at most 1")
    names, at = np.unique(np.asarray(prompts), return_inverse=True)
    each = np.bincount(at).astype(float)
    labelled = int(np.unique(at[seen]).size)
    if labelled < LEAST:
        raise TooFewLabels(
            f"{labelled} prompts have human labels; at least {LEAST} are needed for an interval"
        )
    inverse = np.where(seen, 1.0 / p, 0.0)

    def by_prompt(values: np.ndarray) -> np.ndarray:
        return np.bincount(at, weights=values) / each

    weighted = by_prompt(inverse * np.where(seen, y, 0.0))
    of_judge, of_all = by_prompt(f - inverse * f), by_prompt(1.0 - inverse)
    slope, centre = _least(weighted, of_judge, of_all)
    _, alone_centre = _least(weighted, None, of_all)
    score = weighted + slope * of_judge + centre * of_all
    alone = weighted + alone_centre * of_all
    # the two constants were fitted to the labels
    spent = (names.size - 1) / max(1, names.size - 3)
    variance = float(score.var(ddof=1)) / names.size * spent
    variance_alone = float(alone.var(ddof=1)) / names.size * spent
    rate = float(score.mean())
    # as many as would count if all had been drawn alike
    kish = inverse.sum() ** 2 / (inverse**2).sum()
    floor = 1.0 / (4.0 * (labelled + 4.0) ** 2)  # labels that all agree have a width too
    half = t_quantile(max(2.0, min(float(labelled), kish) - 2.0)) * sqrt(variance + floor)
    return Assisted(
        rate=min(1.0, max(0.0, rate)),
        se=sqrt(variance),
        lo=max(0.0, rate - half),
        hi=min(1.0, rate + half),
        weight=slope,
        labelled=labelled,
        effective=labelled * variance_alone / variance if variance > 0.0 else float(labelled),
        human=float(alone.mean()),
        judge=float(by_prompt(f).mean()),
        few=labelled < FEW,
    )


def _least(
    weighted: np.ndarray, of_judge: np.ndarray | None, of_all: np.ndarray
) -> tuple[float, float]:
    """λ, 0 to 1, and c for which ``weighted + λ·of_judge + c·of_all`` varies least."""

    def on_rest(left: np.ndarray) -> float:
        off = of_all - of_all.mean()
        spread = float(off @ off)
        return -float(off @ left) / spread if spread > 1e-12 else 0.0

    if of_judge is None:
        return 0.0, on_rest(weighted)
    columns = np.column_stack([of_judge, of_all])
    columns = columns - columns.mean(axis=0)
    found = np.linalg.lstsq(columns, -(weighted - weighted.mean()), rcond=1e-9)[0]
    slope = min(1.0, max(0.0, float(found[0])))
    return slope, on_rest(weighted + slope * of_judge)


@dataclass(frozen=True)
class AssistedRatings:
    """Bradley–Terry ratings as people would give them."""

    ratings: Fit
    """As :mod:`.ranks` takes it."""
    weight: float
    """λ, as in :class:`Assisted`."""
    gain: float
    """Variance of the differences from human labels alone over that with the judge; 1 where the
    judge adds nothing, ``nan`` where people alone give no finite ratings."""
    labelled: int
    """Prompts with human labels."""


@dataclass(frozen=True)
class Battles:
    """Battles as arrays of one length; a score is i's."""

    prompt: np.ndarray
    i: np.ndarray
    j: np.ndarray
    judged: np.ndarray
    """The judge's score, 0 to 1."""
    human: np.ndarray | None = None
    """People's, where they labelled them."""
    stands_for: np.ndarray | None = None
    """How many battles each labelled one stands for: one over the probability with which it came
    to people, where that is known of each."""


def ratings(
    labelled: Battles, others: Battles, models: int, weight: float | None = None
) -> AssistedRatings:
    """Ratings from few human and many judged battles.

    The gradient is linear in the outcome, so it can be corrected like a mean:
    ``λ Σ_others x(F − p) + r Σ_labelled x[(Y − p) − λ(f − p)]``, r the ratio of their numbers.
    Where the labelled were drawn with probabilities π of their own, the first sum is over all and r
    is 1/π: the mean over draws is then what people say of all, whatever λ is.

    Args:
        labelled: battles with ``human`` scores, a random sample of all, or with ``stands_for``.
        others: battles that only the judge has scored; where the labelled have ``stands_for``, all
            battles, the labelled once more among them.
        models: how many; indices are 0 to ``models`` − 1.
        weight: λ; where not given, that of 0, 0.1, … 1 with the least variance of the differences.

    Raises:
        TooFewLabels: under 30 prompts have human labels.
        ValueError: no finite ratings exist for any weight.
    """
    if labelled.human is None:
        raise ValueError("the labelled battles have no human scores")
    prompts = np.unique(labelled.prompt).size
    if prompts < LEAST:
        raise TooFewLabels(
            f"{prompts} prompts have human labels; at least {LEAST} are needed for an interval"
        )
    work = _Work(labelled, others, models)
    tried = {}
    for lam in _GRID if weight is None else np.array([0.0, weight]):
        found = work.fit(float(lam))
        if found is not None:
            tried[float(lam)] = found
    allowed = [lam for lam in tried if weight is None or lam == weight]
    if not allowed:
        raise ValueError("the models have no finite ratings together: too few met, or one won all")
    best = min(allowed, key=lambda lam: _mean_gap(tried[lam].covariance))
    gain = float("nan")
    if 0.0 in tried:
        gain = _mean_gap(tried[0.0].covariance) / _mean_gap(tried[best].covariance)
    return AssistedRatings(tried[best], best, gain, prompts)


def _mean_gap(covariance: np.ndarray) -> float:
    """Mean variance of the differences of two models."""
    models = len(covariance)
    total = models * float(np.trace(covariance)) - float(covariance.sum())
    return total / (models * (models - 1) / 2)


class _Work:
    """Battles counted by prompt and model once, for every weight that is tried."""

    def __init__(self, labelled: Battles, others: Battles, models: int) -> None:
        assert labelled.human is not None
        self.models = models
        self.sides = (labelled, others)
        self.human = np.asarray(labelled.human, dtype=float)
        self.drawn = labelled.stands_for is not None
        self.ratio: float | np.ndarray = 1.0
        if labelled.stands_for is not None:
            self.ratio = np.asarray(labelled.stands_for, dtype=float)
        elif others.i.size:
            self.ratio = others.i.size / labelled.i.size
        names = np.concatenate([labelled.prompt, others.prompt])
        kept, at = np.unique(names, return_inverse=True)
        self.clusters = int(kept.size)
        self.at = (at[: labelled.i.size], at[labelled.i.size :])
        self.order = tuple(np.argsort(one, kind="stable") for one in self.at)
        # prompts on which models met often tell of them; two models know no more than the poorer
        told = np.zeros((self.clusters, models))
        for one in (labelled.i, labelled.j):
            if self.drawn:
                np.add.at(told, (self.at[0], one), self.ratio)
            else:
                told[self.at[0], one] = 1.0
        # as many as would tell as much if all had been drawn alike
        squares = np.maximum((told**2).sum(axis=0), 1e-300)
        self.effective = np.maximum(told.sum(axis=0) ** 2 / squares, 1.0)

    def fit(self, lam: float) -> Fit | None:
        """The ratings at one weight; None where they are not finite."""
        labelled, others = self.sides
        theta = np.zeros(self.models)
        own = self.human - lam * labelled.judged
        for _ in range(60):
            p, q = (_logistic(theta[one.i] - theta[one.j]) for one in self.sides)
            score = self.ratio * (own - (1.0 - lam) * p), lam * (others.judged - q)
            gradient = self._by_model(labelled, score[0]) + self._by_model(others, score[1])
            weight = self.ratio * (1.0 - lam) * p * (1.0 - p), lam * q * (1.0 - q)
            information = self._information(weight)
            scale = float(np.trace(information)) / self.models
            if scale <= 0.0:
                return None
            regular = information + scale / self.models
            try:
                step = np.linalg.solve(regular, gradient)
            except np.linalg.LinAlgError:
                return None
            largest = float(np.abs(step).max())
            if not np.isfinite(largest) or float(np.abs(theta).max()) > 20.0:
                return None
            theta = theta + step * min(1.0, 2.0 / largest if largest else 1.0)
            theta -= theta.mean()
            if largest < 1e-10:
                break
        else:
            return None
        inverse = np.linalg.inv(regular) - 1.0 / (scale * self.models)
        covariance = inverse @ self._middle(score) @ inverse
        return Fit(theta, covariance, covariance, self.effective, int(self.effective.max()))

    def _by_model(self, battles: Battles, score: np.ndarray) -> np.ndarray:
        total = np.bincount(battles.i, weights=score, minlength=self.models)
        return total - np.bincount(battles.j, weights=score, minlength=self.models)

    def _information(self, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        models = self.models
        flat = np.zeros(models**2)
        for battles, weight in zip(self.sides, weights, strict=True):
            flat += np.bincount(battles.i * models + battles.j, weight, minlength=models**2)
        between = flat.reshape(models, models)
        between = between + between.T
        return np.diag(between.sum(axis=1)) - between

    def _middle(self, scores: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Centred sums of outer products of the prompts' scores; a prompt on both sides adds up."""
        models = self.models
        total = np.zeros((models, models))
        numbers = [int(np.unique(at).size) for at in self.at]
        if self.drawn:
            # one sample of prompts, whose sums have mean zero at the solution
            means, factors = [np.zeros(models)] * 2, [sqrt(numbers[1] / max(1, numbers[1] - 1))] * 2
        else:
            means = [
                self._by_model(battles, score) / max(1, number)
                for battles, score, number in zip(self.sides, scores, numbers, strict=True)
            ]
            factors = [sqrt(number / max(1, number - 1)) for number in numbers]
        for start in range(0, self.clusters, _BLOCK):
            held = min(_BLOCK, self.clusters - start)
            sums = np.zeros((held, models))
            for side in (0, 1):
                battles, order, score = self.sides[side], self.order[side], scores[side]
                ends = np.searchsorted(self.at[side][order], [start, start + held])
                rows = order[slice(*ends)]
                at = (self.at[side][rows] - start) * models
                one = np.bincount(at + battles.i[rows], score[rows], minlength=held * models)
                one = one - np.bincount(at + battles.j[rows], score[rows], minlength=held * models)
                here = np.bincount(at // models, minlength=held) > 0
                sums[here] += (one.reshape(held, models)[here] - means[side]) * factors[side]
            total += sums.T @ sums
        return total


def _logistic(difference: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * difference))
