"""Intervals and evidence that stay true however often they are looked at. Pure NumPy.

An ordinary interval is right once, at a number of labels fixed beforehand; looked at after each
label it crowns a winner of two equal models in 57 % of runs. What is here may be looked at after
each, and voting may stop whenever one likes, with at most α chance of ever being wrong.

An *e-value* is the wealth of a gambler against "the two are equal": it reaches 1/α with a chance of
at most α, ever. Three kinds: on decided votes (:func:`coin`), on any score from 0 to 1
(:func:`betting`), and, for large numbers, on anything with a variance (:func:`running`). All need
*one score a prompt*, prompts in random order: fed several votes a prompt as if they were several
prompts, false alarms rise to a third. Average them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log, sqrt

import numpy as np

ALPHA = 0.05
CLOSE = 10.0
"""Prior strength of :func:`coin` that is quickest for win rates of 52 to 65 %; ½ for above 70 %."""
TIGHTEST = 200
"""Scores after which :func:`running` is at its tightest."""
EARLY = 20
"""Scores before which :func:`running`, which holds for large numbers only, claims nothing."""
STEPS = 400
"""Means that are held against the scores, from 0 to 1."""
_BETWEEN = 43
"""More of them between two that are next to each other; the middle is one."""
_CELLS = 1 << 20
"""Numbers that are worked on at once."""


def by_prompt(scores: Sequence[float], prompts: Sequence[object]) -> np.ndarray:
    """One score a prompt: the mean of its votes, prompts in the order of their first vote.

    Give it only prompts whose votes are all in: a mean that changes later was not known before.
    """
    _, first, at = np.unique(np.asarray(prompts), return_index=True, return_inverse=True)
    means = np.bincount(at, weights=np.asarray(scores, dtype=float)) / np.bincount(at)
    return means[np.argsort(first, kind="stable")]


# --- Decided votes ---------------------------------------------------------------------------


def coin(wins: float, losses: float, strength: float = CLOSE) -> float:
    """log e-value against a fair coin, ties left out: mixture over Beta(a, a).

    ``E = B(a + w, a + l)/B(a, a) · 2^(w + l)``. The p-value that is valid at all times is the
    smallest 1/E so far.
    """
    return _mixed(wins, losses, strength) + (wins + losses) * log(2.0)


def coin_interval(
    wins: float, losses: float, alpha: float = ALPHA, strength: float = CLOSE
) -> tuple[float, float]:
    """The shares of wins among decided votes that the votes have not refuted, at any time.

    All p with ``B(a + w, a + l)/(B(a, a)·p^w·(1 − p)^l) < 1/α``.
    """
    total = wins + losses
    if total == 0:
        return 0.0, 1.0
    limit = _mixed(wins, losses, strength) + log(alpha)
    best = wins / total

    def likely(p: float) -> bool:
        inside = (wins * log(p) if wins else 0.0) + (losses * log(1.0 - p) if losses else 0.0)
        return inside > limit

    ends = []
    for outside in (0.0, 1.0):
        far, near = outside, best
        for _ in range(60):
            middle = (far + near) / 2.0
            if 0.0 < middle < 1.0 and likely(middle):
                near = middle
            else:
                far = middle
        ends.append(outside if best == outside else far)
    return ends[0], ends[1]


def _mixed(wins: float, losses: float, a: float) -> float:
    """log of B(a + w, a + l)/B(a, a)."""
    top = lgamma(a + wins) + lgamma(a + losses) - lgamma(2.0 * a + wins + losses)
    return top - (2.0 * lgamma(a) - lgamma(2.0 * a))


# --- Any score from 0 to 1 -------------------------------------------------------------------


def betting(scores: Sequence[float] | np.ndarray, mean: float = 0.5) -> np.ndarray:
    """Running log e-value against a mean of ``mean``, of scores from 0 to 1.

    Each score is bet on with a stake that only the scores before it decide (aGRAPA of
    Waudby-Smith and Ramdas 2024), ``K = Π(1 + λ_i(x_i − m))``; no bet risks more than half.

    Args:
        scores: shape (scores,), or (runs, scores) for several series at once.

    Raises:
        ValueError: a score is outside 0 to 1, or ``mean`` is not between them.
    """
    x = np.asarray(scores, dtype=float)
    if not ((x >= 0.0) & (x <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    if not 0.0 < mean < 1.0:
        raise ValueError(f"a mean of {mean} is not between 0 and 1")
    before, spread = _before(x)
    gap = before - mean
    stake = np.clip(gap / (spread + gap**2), -0.5 / (1.0 - mean), 0.5 / mean)
    return np.asarray(np.log1p(stake * (x - mean)).cumsum(axis=-1))


def betting_interval(
    scores: Sequence[float] | np.ndarray, alpha: float = ALPHA, steps: int = STEPS
) -> tuple[float, float]:
    """The means that betting has never refuted, to within one of so many steps; valid at any time.

    The interval spans every mean that some bet has left standing so far, ends rounded outwards.
    """
    x = np.asarray(scores, dtype=float)
    if not x.size:
        return 0.0, 1.0
    lo, hi, empty = betting_path(x, alpha, steps)
    if empty[-1]:
        middle = float(x.mean())
        return middle, middle
    return float(lo[-1]), float(hi[-1])


def betting_path(
    x: np.ndarray, alpha: float = ALPHA, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ends of :func:`betting_interval` after each score, and whether no mean was left then.

    Args:
        x: shape (scores,), from 0 to 1.
    """
    found = [_fell(x, part, log(1.0 / alpha)) for part in _some_at_once(steps, x.size)]
    fell, low = (np.concatenate(one) for one in zip(*found, strict=True))
    now = np.arange(x.size)
    # the first mean from below, and from above, that fell after now
    below = np.searchsorted(np.maximum.accumulate(fell), now, side="right")
    above = np.searchsorted(np.maximum.accumulate(fell[::-1]), now, side="right")
    none = below == steps
    lo, hi = below / steps, 1.0 - above / steps
    if not none.any():
        return lo, hi, none
    # there may be room for more between the greatest that was too low and the least too high
    means = (np.arange(steps) + 0.5) / steps
    floor, ceiling = means[low].max(initial=0.0), means[~low].min(initial=1.0)
    if floor > ceiling:
        return lo, hi, none
    lasted = _fell(x, np.linspace(floor, ceiling, _BETWEEN), log(1.0 / alpha))[0].max()
    return np.where(none, floor, lo), np.where(none, ceiling, hi), none & (now >= lasted)


def _some_at_once(steps: int, scores: int) -> list[np.ndarray]:
    means = (np.arange(steps) + 0.5) / steps
    return np.array_split(means, max(1, min(steps, steps * scores // _CELLS)))


def _fell(x: np.ndarray, means: np.ndarray, mark: float) -> tuple[np.ndarray, np.ndarray]:
    """At which score betting refuted each of the means, the number of scores where it never did;
    and whether it was too low, by the scores before."""
    before, spread = _before(x)
    m = means[:, None]
    gap = before - m
    stake = np.clip(gap / (spread + gap**2), -0.5 / (1.0 - m), 0.5 / m)
    refuted = np.log1p(stake * (x - m)).cumsum(axis=-1) >= mark
    fell = np.where(refuted.any(axis=-1), refuted.argmax(axis=-1), x.size)
    return fell, before[np.minimum(fell, x.size - 1)] > means


def _before(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the scores before each, with one score of ½ and a variance of ¼ added.

    The deviations in the variance are each from the mean that was known at its own time.
    """
    number = np.arange(1, x.shape[-1] + 1)
    mean = (0.5 + x.cumsum(axis=-1)) / (number + 1)
    spread = (0.25 + ((x - mean) ** 2).cumsum(axis=-1)) / (number + 1)
    first = np.ones((*x.shape[:-1], 1))
    return (
        np.concatenate([0.5 * first, mean[..., :-1]], axis=-1),
        np.concatenate([0.25 * first, spread[..., :-1]], axis=-1),
    )


# --- Anything with a variance ----------------------------------------------------------------


def half_width(
    number: np.ndarray | float,
    spread: np.ndarray | float,
    alpha: float = ALPHA,
    tightest: int = TIGHTEST,
) -> np.ndarray:
    """Half width of the asymptotic confidence sequence for a mean (Waudby-Smith et al. 2024).

    ``σ·√(2(tρ² + 1)/(t²ρ²)·log(√(tρ² + 1)/α))`` with ρ² chosen for ``tightest``.

    Args:
        number: how many scores, t.
        spread: their standard deviation, σ.
    """
    t = np.asarray(number, dtype=float)
    deep = -2.0 * log(alpha)
    rho = (deep + log(deep) + 1.0) / tightest
    wide = t * rho + 1.0
    return np.asarray(spread * np.sqrt(2.0 * wide / (t**2 * rho) * np.log(np.sqrt(wide) / alpha)))


def running(
    scores: Sequence[float] | np.ndarray,
    alpha: float = ALPHA,
    tightest: int = TIGHTEST,
    labelled: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Running mean of scores and its half width, infinite before :data:`EARLY` labels.

    Args:
        scores: shape (scores,) or (runs, scores); need not be bounded (see :func:`assisted`).
        labelled: which of them stand on a human label, where not all do.
    """
    x = np.asarray(scores, dtype=float)
    t = np.arange(1, x.shape[-1] + 1, dtype=float)
    mean = x.cumsum(axis=-1) / t
    variance = np.maximum((x**2).cumsum(axis=-1) / t - mean**2, 0.0)
    # a run without any spread has told nothing of it: one score is as if it had gone the other way
    variance = np.maximum(variance, 0.25 / (t + 1.0))
    half = half_width(t, np.sqrt(variance), alpha, tightest)
    labels = t if labelled is None else np.asarray(labelled).cumsum(axis=-1)
    return mean, np.where(labels < EARLY, np.inf, half)


def narrowest(
    x: np.ndarray, alpha: float = ALPHA
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Running mean and the ends of :func:`betting_path`: what was refuted stays so.

    Not those of :func:`running`: where nearly all scores are alike, these are far too narrow after
    the first few that are not, and left out the mean in a quarter of runs of 805 scores with a mean
    of 2 to 10 %.

    Scores in random order hardly ever refute all there is. Where they have, the ends are those of
    :func:`running` at the moment, and the last of the four arrays says so. Nothing is claimed
    before :data:`EARLY` scores.
    """
    mean, half = running(x, alpha)
    if not x.size:
        return mean, mean, mean, np.zeros(0, dtype=bool)
    below, above, empty = betting_path(x, alpha)
    lo = np.where(empty, np.maximum(mean - half, 0.0), below)
    hi = np.where(empty, np.minimum(mean + half, 1.0), above)
    early = np.arange(1, x.size + 1) < EARLY
    return mean, np.where(early, 0.0, lo), np.where(early, 1.0, hi), empty & ~early


def assisted(
    judged: Sequence[float] | np.ndarray,
    human: Sequence[float] | np.ndarray,
    probability: Sequence[float] | np.ndarray | float,
) -> np.ndarray:
    """Scores whose mean is people's, of items that a judge scored and people only now and then.

    ``x_i = λf + c + (ξ/π)(Y − λf − c)``: unbiased whatever the judge is worth, since λ and c come
    from labels before it alone. Feed it to :func:`running`, saying which are labelled, with
    ``tightest`` divided by π. Without the centring c it would cost labels.

    Args:
        judged: the judge's score of each item, in the order they came.
        human: people's, ``nan`` where nobody was asked.
        probability: π, the chance with which a person was to be asked; logged, never estimated.

    Raises:
        ValueError: a probability is not above 0 and up to 1.
    """
    f, y = np.asarray(judged, dtype=float), np.asarray(human, dtype=float)
    chance = np.broadcast_to(np.asarray(probability, dtype=float), f.shape)
    if not ((chance > 0.0) & (chance <= 1.0)).all():
        raise ValueError("a probability must be above 0 and no more than 1")
    asked = ~np.isnan(y)
    worth = np.where(asked, y, 0.0)
    # sums over the labels before each item
    n, a, b, ab, bb = (
        np.concatenate([[0.0], np.where(asked, one, 0.0).cumsum()[:-1]])
        for one in (np.ones(f.size), worth, f, worth * f, f * f)
    )
    some = np.maximum(n, 1.0)
    cross, square = ab / some - a * b / some**2, bb / some - (b / some) ** 2
    slope = np.where((n >= 10) & (square > 1e-9), cross / np.maximum(square, 1e-9), 0.0)
    slope = np.clip(slope, 0.0, 1.0)
    # four labels of a half, for the first few to stand on
    centre = (a - slope * b + 2.0 * (1.0 - slope)) / (n + 4.0)
    guess = slope * f + centre
    # guesses away from 0 to 1 are worse than none
    guess = np.clip(guess, 0.0, 1.0)
    return guess + np.where(asked, (worth - guess) / chance, 0.0)


# --- Many models -----------------------------------------------------------------------------


def e_bh(log_e: Sequence[float] | np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Which hypotheses to reject, at most α of those rejected being true on average.

    The k largest with ``E_(k) ≥ m/(kα)`` (Wang and Ramdas 2022), whatever hangs together with what.

    Returns:
        booleans in the order given.
    """
    values = np.asarray(log_e, dtype=float)
    order = np.argsort(-values, kind="stable")
    k = np.arange(1, values.size + 1)
    enough = np.flatnonzero(values[order] >= np.log(values.size / (k * alpha)))
    rejected = np.zeros(values.size, dtype=bool)
    if enough.size:
        rejected[order[: enough[-1] + 1]] = True
    return rejected


def best_found(log_e: Sequence[float] | np.ndarray, alpha: float = ALPHA) -> bool:
    """Whether one model is the best: its e-values against each of its rivals all reach
    ``(K − 1)/α``; a tuple of e-values that point its way."""
    values = np.asarray(log_e, dtype=float)
    return bool(values.size) and bool((values >= log(values.size / alpha)).all())


# --- When to stop ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    decision: str
    """``better``, ``worse``, ``no difference`` (within δ) or ``keep voting``, the last also where
    the scores have refuted every mean, so that they cannot have come in random order."""
    rate: float
    """Mean score so far, one a prompt."""
    lo: float
    hi: float
    """Where the mean lies, valid however often one looks."""
    log_e: float
    """Largest log e-value so far against "equal"."""
    p: float
    """Smallest 1/E so far: a p-value valid at all times."""
    prompts: int
    left: int | None
    """How many more prompts are likely needed if all goes on as it has; 0 where decided, None where
    nothing can be said yet or no number up to a million would do."""


def decide(
    scores: Sequence[float] | np.ndarray, delta: float = 0.03, alpha: float = ALPHA
) -> Verdict:
    """Whether enough prompts have been voted on, for scores from 0 to 1, ½ for a tie.

    Better or worse as soon as the e-value reaches 1/α: on scores of 0, ½ and 1 the coin's, on any
    others the gambler's. No difference as soon as the interval lies within ½ ± δ. Each with at most
    α chance of ever being said wrongly.

    Args:
        scores: one a prompt, in the order they came, from the first model's side.
        delta: the difference from ½ that would not matter.
        alpha: chance of ever claiming a difference between equals, or none where there is one.
    """
    x = np.asarray(scores, dtype=float)
    if not x.size:
        return Verdict("keep voting", 0.5, 0.0, 1.0, 0.0, 1.0, 0, None)
    plain = bool(np.isin(x, (0.0, 0.5, 1.0)).all())
    path = running_coin(x) if plain else betting(x)
    log_e = max(0.0, float(path.max()))
    mean, low, high, empty = narrowest(x, alpha)
    rate, lo, hi, contradictory = float(mean[-1]), float(low[-1]), float(high[-1]), bool(empty[-1])
    decision = "keep voting"
    at = np.flatnonzero(path >= log(1.0 / alpha))
    if contradictory:
        pass
    elif at.size:
        decision = "better" if mean[at[0]] > 0.5 else "worse"
    elif 0.5 - delta <= lo and hi <= 0.5 + delta:
        decision = "no difference"
    left: int | None = 0
    if decision == "keep voting":
        left = None if contradictory else likely_left(x, delta, alpha)
    return Verdict(decision, rate, lo, hi, log_e, float(np.exp(-log_e)), x.size, left)


def running_coin(x: np.ndarray) -> np.ndarray:
    """log e-value of :func:`coin` after each score of 0, ½ or 1."""
    wins, losses = (x == 1.0).cumsum(), (x == 0.0).cumsum()
    # Γ(a + k)/Γ(a) is the product of a, a + 1, …
    steps = np.arange(x.size, dtype=float)
    one, both = (np.concatenate([[0.0], np.log(a + steps).cumsum()]) for a in (CLOSE, 2.0 * CLOSE))
    return np.asarray(one[wins] + one[losses] - both[wins + losses] + (wins + losses) * log(2.0))


def likely_left(x: np.ndarray, delta: float, alpha: float) -> int | None:
    """Prompts still needed, were the rest to come as the scores so far did; None where nothing can
    be said yet or no number up to a million would do."""
    if x.size < EARLY:
        return None
    n, rate, spread = x.size, float(x.mean()), max(float(x.std()), sqrt(0.25 / (x.size + 1.0)))
    ahead = n + np.unique(np.round(np.geomspace(1, 1_000_000, 400)).astype(int))
    half = half_width(ahead, spread, alpha)
    apart = np.abs(rate - 0.5)
    done = (half < apart) | (apart + half < delta)
    first = np.flatnonzero(done)
    return int(ahead[first[0]] - n) if first.size else None
