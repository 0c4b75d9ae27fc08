"""Win rate of one model against another as it would be, were their answers alike in style.

For a whole board see :mod:`.contextual`, which has the same covariates; this is the head-to-head.
Style is any amount that each output has: length, headers, bold passages and list items for text;
resolution, aspect ratio, duration and file size for pictures and clips; seconds waited. What they
do is estimated by maximum likelihood without any penalty: one against the *mean* log-likelihood, as
a known library has it, shrinks the effects to a fifth and leaves most of the bias where it was.
Pure NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evaluation.engine.contextual import relative, scaled
from evaluation.engine.logistic import NoMaximum, fit_logistic, sigmoid
from evaluation.engine.quantiles import t_quantile

FIRST = "shown first"
"""Name of the effect of the side, where sides are told."""

Amounts = Sequence[float] | np.ndarray

_FENCED = re.compile(r"^ {0,3}(```|~~~).*?(^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_HEADER = re.compile(r"^ {0,3}#{1,6}\s+\S", re.MULTILINE)
_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*(?=\S)[^*\n]+?(?<=\S)\*\*|(?<!\w)__(?=\S)[^_\n]+?(?<=\S)__(?!\w)")


def markdown_amounts(text: str) -> dict[str, int]:
    """Style of a text: ``length`` in characters, and how many ``headers``, ``bold`` passages and
    ``list_items`` of Markdown stand outside fenced code."""
    prose = _FENCED.sub("", text)
    return {
        "length": len(text),
        "headers": len(_HEADER.findall(prose)),
        "bold": len(_BOLD.findall(prose)),
        "list_items": len(_ITEM.findall(prose)),
    }


@dataclass(frozen=True)
class StyleEffect:
    """What a covariate does to the vote: log-odds for a difference of one root mean square."""

    name: str
    effect: float
    """0 where the covariate never differs; then it has no interval."""
    lo: float | None
    """Ends of its 95 % interval, clustered by prompt."""
    hi: float | None
    p: float | None
    """Two-sided p-value of no effect."""


@dataclass(frozen=True)
class StyleControlled:
    """Rates are shares, 0 to 1."""

    raw: float
    controlled: float | None
    """None where the votes do not determine it, and ``reason`` says why."""
    lo: float | None
    """Ends of the 95 % interval, clustered by prompt."""
    hi: float | None
    effects: list[StyleEffect]
    prompts: int
    reason: str = ""


def style_controlled(
    score: Sequence[float] | np.ndarray,
    own: Mapping[str, Amounts],
    other: Mapping[str, Amounts],
    prompts: Sequence[object] | np.ndarray,
    first: Sequence[float] | np.ndarray | None = None,
) -> StyleControlled:
    """``logit P(win) = θ + Σ_k β_k x_k``; the controlled rate is σ(θ), all x being 0.

    x_k is ``(a − b)/(a + b)`` of the two outputs' amounts, over its root mean square in the votes
    and not centred: zero is *no difference*, and swapping the two models gives the mirror image.
    Every prompt has weight 1 in all.

    Args:
        score: of the model in each vote, 0 to 1.
        own, other: by covariate, its amount in the model's output and in the other's, not negative;
            of each vote.
        prompts: of each vote; anything that sorts.
        first: +1 where the model's output was shown first, −1 where the other's was, 0 where
            nobody knows; adds what being first does as an effect of its own.

    Raises:
        ValueError: there is no vote, the two have other covariates, lengths differ, a score is
            outside 0 to 1, or an amount is negative or unknown.
    """
    y = np.asarray(score, dtype=float)
    if y.size == 0 or len(prompts) != y.size:
        raise ValueError(f"{y.size} scores with {len(prompts)} prompts: give one a vote")
    if not ((y >= 0.0) & (y <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    if own.keys() != other.keys():
        raise ValueError("both models need amounts of the same covariates")
    columns = {}
    for name in own:
        a, b = np.asarray(own[name], dtype=float), np.asarray(other[name], dtype=float)
        if not a.size == b.size == y.size:
            raise ValueError(f"{y.size} scores with {a.size} and {b.size} amounts of {name}")
        if not ((a >= 0.0) & (b >= 0.0) & np.isfinite(a + b)).all():
            raise ValueError(f"an amount of {name} is negative or unknown")
        columns[name] = relative(a, b)
    if first is not None:
        columns[FIRST] = np.asarray(first, dtype=float)
    names = list(columns)
    x = scaled(np.column_stack([columns[n] for n in names])) if names else np.zeros((y.size, 0))
    return _controlled(y, x, names, prompts)


def _controlled(
    y: np.ndarray, x: np.ndarray, names: list[str], prompts: Sequence[object] | np.ndarray
) -> StyleControlled:
    _, cluster = np.unique(np.asarray(prompts), return_inverse=True)
    weight = 1.0 / np.bincount(cluster)[cluster]
    groups = int(cluster.max()) + 1
    raw = float((weight * y).sum() / groups)
    moving = np.flatnonzero(x.any(axis=0))
    design = np.column_stack([np.ones(y.size), x[:, moving]])
    df = groups - design.shape[1]
    if df < 1:
        reason = f"{groups} prompts are too few for {moving.size} covariates"
        return StyleControlled(raw, None, None, None, [], groups, reason)
    try:
        fitted = fit_logistic(design, y, cluster, weight)
    except NoMaximum as why:
        return StyleControlled(raw, None, None, None, [], groups, str(why))
    error = np.sqrt(np.diag(fitted.covariance))
    half = t_quantile(df) * error
    theta = float(fitted.coefficients[0])
    effects = [StyleEffect(name, 0.0, None, None, None) for name in names]
    for at, k in enumerate(moving, start=1):
        beta = float(fitted.coefficients[at])
        z = abs(beta) / float(error[at]) if error[at] > 0.0 else np.inf
        p = 2.0 * (1.0 - NormalDist().cdf(float(z)))
        ends = (beta - float(half[at]), beta + float(half[at]))
        effects[int(k)] = StyleEffect(names[int(k)], beta, *ends, p)
    rate, lo, hi = (float(sigmoid(np.array(v))) for v in (theta, theta - half[0], theta + half[0]))
    return StyleControlled(raw, rate, lo, hi, effects, groups)
