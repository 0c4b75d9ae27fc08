"""How far people follow a verdict that they are shown: their agreement with it where it was shown,
less that where it was held back by a draw. Pure NumPy.

The difference is of two means over votes; what is shown is drawn by pair and person, so that one
prompt may have votes of either kind. Its variance is that of sums by prompt over both kinds at
once, ``G/(G−1) · Σ_g (Σ_{i in g} ±(y_i − ȳ)/n)²``. As Agresti and Caffo do for two shares, an
agreeing and a disagreeing prompt is added to each kind before the interval is made, so that
unanimous votes keep a width; the tests simulate its coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.engine.quantiles import t_quantile
from evaluation.engine.winrate import Clustered, clustered


@dataclass(frozen=True)
class Anchoring:
    """Shares of votes that say what the judge says."""

    shown: Clustered | None
    """None where no vote is of that kind; as ``hidden``."""
    hidden: Clustered | None
    n_shown: int
    n_hidden: int
    difference: float | None = None
    """Shown less hidden, −1 to 1; None where one of the two is missing."""
    lo: float | None = None
    """Ends of the 95 % interval; None where one kind has votes on fewer than two prompts."""
    hi: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the interval leaves nought out."""
        return self.lo is not None and self.hi is not None and (self.lo > 0.0 or self.hi < 0.0)


def anchoring(
    agrees: Sequence[bool] | np.ndarray,
    shown: Sequence[bool] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
) -> Anchoring:
    """
    Args:
        agrees: of each vote, whether it says what the judge's verdict said.
        shown: of each vote, whether the verdict was shown, or held back.
        prompts: of each vote; anything that sorts.

    Raises:
        ValueError: the three differ in length.
    """
    y, was_shown = np.asarray(agrees, dtype=float), np.asarray(shown, dtype=bool)
    of = np.asarray(prompts)
    if not y.size == was_shown.size == of.size:
        raise ValueError("one prompt and one word on what was shown for each vote")
    kinds = [was_shown, ~was_shown]
    rates = [clustered(y[kind], of[kind]) if kind.any() else None for kind in kinds]
    n_shown, n_hidden = (int(kind.sum()) for kind in kinds)
    one, other = rates
    if one is None or other is None:
        return Anchoring(one, other, n_shown, n_hidden)
    difference = one.rate - other.rate
    fewest = min(one.prompts, other.prompts)
    if fewest < 2:
        return Anchoring(one, other, n_shown, n_hidden, difference)
    centre, half = _interval(y, kinds, of, fewest)
    lo, hi = max(-1.0, min(difference, centre - half)), min(1.0, max(difference, centre + half))
    return Anchoring(one, other, n_shown, n_hidden, difference, lo, hi)


def _interval(
    y: np.ndarray, kinds: list[np.ndarray], of: np.ndarray, fewest: int
) -> tuple[float, float]:
    _, prompt = np.unique(of, return_inverse=True)
    centre, sums = 0.0, np.zeros(int(prompt.max()) + 1 + 4)
    for place, kind in enumerate(kinds):
        sign = 1.0 if place == 0 else -1.0
        each = kind.sum() / np.unique(prompt[kind]).size
        weights = np.concatenate([np.ones(int(kind.sum())), [each, each]])
        values = np.concatenate([y[kind], [0.0, 1.0]])
        added = sums.size - 4 + 2 * place + np.arange(2)
        mean = float((weights * values).sum() / weights.sum())
        centre += sign * mean
        np.add.at(
            sums,
            np.concatenate([prompt[kind], added]),
            sign * weights * (values - mean) / weights.sum(),
        )
    error = float(np.sqrt(sums.size / (sums.size - 1) * (sums**2).sum()))
    return centre, t_quantile(fewest + 1) * error
