"""What a judge's probability is worth: fitted on people's votes, never on those it is shown for.

A judge that says 90 % and is right in 70 % of cases is useful once that is known. Platt's curve has
two numbers and serves few votes; the isotonic one has as many steps as the votes ask for. Both are
cross-fitted by prompt: what is shown of a prompt comes of a curve fitted without that prompt.
Pure NumPy.

Sources: Platt (1999), with his smoothed targets; Ayer et al. (1955) for the isotonic fit; Naeini et
al. (2015) for the expected calibration error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.engine.logistic import newton, sigmoid
from evaluation.engine.winrate import win_rate

BINS = 10
FEW = 1000
"""Votes below which Platt's curve is chosen."""
_EDGE = 1e-6

Curve = Callable[[np.ndarray], np.ndarray]


def platt(said: np.ndarray, truth: np.ndarray) -> Curve:
    """``σ(α + β·logit p)`` by maximum likelihood on targets drawn in as Platt's are.

    A vote for counts as (n₊ + 1)/(n₊ + 2) and one against as 1/(n₋ + 2), so that the maximum exists
    where the judge is never wrong. β may be negative: a judge that is worse than chance is turned.
    Where the judge always says the same, only α is fitted.

    Args:
        said: the judge's probabilities, shape (votes,).
        truth: what people said, 0 to 1, shape (votes,).
    """
    z = _logit(said)
    for_it = float(truth.sum())
    against = truth.size - for_it
    target = truth * (for_it + 1.0) / (for_it + 2.0) + (1.0 - truth) / (against + 2.0)
    centre = float(z.mean())
    flat = float(np.ptp(z)) < 1e-9
    columns = [np.ones(z.size)] if flat else [np.ones(z.size), z - centre]
    beta = newton(np.column_stack(columns), target)[0]
    slope = 0.0 if flat else float(beta[1])
    return lambda p: sigmoid(beta[0] + slope * (_logit(p) - centre))


def isotonic(said: np.ndarray, truth: np.ndarray) -> Curve:
    """The rising steps nearest to the votes, by pooling neighbours that fall; straight lines lead
    from step to step, and beyond the ends it is level. Arguments as :func:`platt` takes them."""
    levels, at = np.unique(said, return_inverse=True)
    weight = np.bincount(at).astype(float)
    heights = pooled(np.bincount(at, weights=truth) / weight, weight)
    return lambda p: np.asarray(np.interp(p, levels, heights))


def pooled(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The rising sequence with the least weighted squared distance to ``values``."""
    blocks: list[list[float]] = []  # height, weight, length
    for value, w in zip(values.tolist(), weight.tolist(), strict=True):
        blocks.append([value, w, 1.0])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            height, mass, length = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + height * mass) / (last[1] + mass)
            last[1], last[2] = last[1] + mass, last[2] + length
    return np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])


@dataclass(frozen=True)
class Bin:
    """One point of the reliability curve."""

    said: float
    """Mean of what was said in the bin, and of what came true."""
    true: float
    lo: float | None
    """Ends of the 95 % interval of ``true``, clustered by prompt; None for a single prompt."""
    hi: float | None
    votes: int


@dataclass(frozen=True)
class Reliability:
    brier: float
    """Mean squared distance between what was said and what came true; less is better."""
    log_loss: float
    """In nats a vote."""
    ece: float
    """Expected calibration error: mean distance of bins from the diagonal, by votes. Never quite 0:
    in a bin of few votes chance keeps some distance."""
    bins: list[Bin]
    """Those with votes in them, of equal width, rising."""
    votes: int


def reliability(
    said: Sequence[float] | np.ndarray,
    truth: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    bins: int = BINS,
) -> Reliability:
    """How well probabilities fit what came true.

    Args:
        said: probabilities, 0 to 1.
        truth: 1 where it came true, 0 where not, a tie half; 0 to 1.
        prompts: of each; anything that sorts.

    Raises:
        ValueError: there is no vote, the lengths differ, or a value is outside 0 to 1.
    """
    p, y = _checked(said, truth, prompts)
    of = np.asarray(prompts)
    at = np.minimum((p * bins).astype(int), bins - 1)
    curve, error = [], 0.0
    for number in np.unique(at):
        here = at == number
        rate = win_rate(y[here].tolist(), of[here].tolist())
        # the point itself has every vote alike, as the error has; the interval is of prompts
        mean, level = float(p[here].mean()), float(y[here].mean())
        lo = None if rate.lo is None else min(rate.lo, level)
        hi = None if rate.hi is None else max(rate.hi, level)
        curve.append(Bin(mean, level, lo, hi, int(here.sum())))
        error += here.sum() * abs(mean - level)
    safe = np.clip(p, _EDGE, 1.0 - _EDGE)
    loss = -(y * np.log(safe) + (1.0 - y) * np.log(1.0 - safe)).mean()
    return Reliability(
        float(((p - y) ** 2).mean()), float(loss), float(error / p.size), curve, int(p.size)
    )


@dataclass(frozen=True)
class Calibrated:
    said: np.ndarray
    """Probabilities of each vote, from a curve that has not seen its prompt; shape (votes,)."""
    before: Reliability
    after: Reliability
    method: str
    """``platt`` or ``isotonic``."""
    curve: Curve
    """Fitted on all votes, for pairs that no person has judged."""


def cross_fitted(
    said: Sequence[float] | np.ndarray,
    truth: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    method: str | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Calibrated:
    """Calibrate a judge on votes of people, by prompt.

    Args:
        said: the judge's probability that a wins, of each vote, 0 to 1.
        truth: what a person said: 1 a wins, 0 b wins, 0.5 a tie.
        prompts: of each vote; which fold a prompt is in hangs on its name and the seed, and not on
            the order of the votes.
        method: ``platt``, ``isotonic``, or by the number of votes (:data:`FEW`) where not given.
        folds: at least 2; as many as there are prompts, where these are fewer.

    Raises:
        ValueError: as in :func:`reliability`, there are fewer than two prompts, or no such method.
    """
    p, y = _checked(said, truth, prompts)
    chosen = method or ("platt" if p.size < FEW else "isotonic")
    if chosen not in ("platt", "isotonic"):
        raise ValueError(f"the method is platt or isotonic, not {method!r}")
    names = sorted({str(prompt) for prompt in prompts}, key=lambda name: _hash(name, seed))
    if len(names) < 2 or folds < 2:
        raise ValueError("calibration on one prompt tells nothing of another: two are needed")
    place = {name: at % min(folds, len(names)) for at, name in enumerate(names)}
    fold = np.array([place[str(prompt)] for prompt in prompts])
    fit = platt if chosen == "platt" else isotonic
    out = np.empty_like(p)
    for held in np.unique(fold):
        here = fold == held
        out[here] = fit(p[~here], y[~here])(p[here])
    return Calibrated(
        said=out,
        before=reliability(p, y, prompts),
        after=reliability(out, y, prompts),
        method=chosen,
        curve=fit(p, y),
    )


def _hash(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode()).digest()


def _logit(p: np.ndarray) -> np.ndarray:
    safe = np.clip(np.asarray(p, dtype=float), _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(safe / (1.0 - safe)))


def _checked(
    said: Sequence[float] | np.ndarray,
    truth: Sequence[float] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.asarray(said, dtype=float), np.asarray(truth, dtype=float)
    if p.size == 0 or not p.size == y.size == len(prompts):
        raise ValueError(f"{p.size} probabilities, {y.size} votes, {len(prompts)} prompts")
    if not ((p >= 0.0) & (p <= 1.0) & (y >= 0.0) & (y <= 1.0)).all():
        raise ValueError("probabilities and votes are from 0 to 1")
    return p, y
