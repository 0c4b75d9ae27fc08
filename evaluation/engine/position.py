"""Whether the side that is shown first wins for being first, for each annotator and judge.

Two figures say different things. The preference for the first side needs sides that were drawn at
random, or every pair in both orders; otherwise it has the outputs' quality in it. Consistency needs
pairs judged in both orders; a judge may be inconsistent without preferring a side, by chance alone.
The same as log-odds among ratings is the side covariate of :mod:`.contextual`. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.engine.winrate import WinRate, win_rate


@dataclass(frozen=True)
class Position:
    """One annotator's habits; all intervals are clustered by prompt."""

    annotator: Any
    first: WinRate
    """How often what is shown first wins, ties as half; 0.5 is no preference."""
    preference: float
    """``first.rate`` − ½."""
    consistency: WinRate | None
    """Share of pairs judged in both orders with the same outcome in either; None without any."""
    to_first: float | None
    """Share of those pairs on which the first side wins in both orders: what a preference for it
    would bring about; and for the second side."""
    to_second: float | None
    pairs: int
    """Judged in both orders."""

    @property
    def biased(self) -> bool:
        """The interval of ``first`` leaves one half out."""
        ends = self.first.lo, self.first.hi
        return ends[0] is not None and ends[1] is not None and not ends[0] <= 0.5 <= ends[1]


def position_bias(
    annotators: Sequence[Any] | np.ndarray,
    prompts: Sequence[object] | np.ndarray,
    pairs: Sequence[object] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    swapped: Sequence[bool] | np.ndarray,
) -> list[Position]:
    """Position bias of each annotator, in the order of their names.

    Where an annotator has judged a pair several times in one order, each of those is held against
    each in the other order.

    Args:
        annotators, prompts, pairs: of each vote; anything that sorts.
        scores: of output a in each vote: 1 it wins, 0 b wins, 0.5 a tie. A grade between counts
            with its worth for the first side, and as a win or loss in consistency.
        swapped: whether b was shown first.

    Raises:
        ValueError: the lengths differ, there is no vote, or a score is outside 0 to 1.
    """
    lengths = {len(annotators), len(prompts), len(pairs), len(scores), len(swapped)}
    if len(lengths) > 1 or not len(scores):
        raise ValueError(f"lengths {sorted(lengths)}: give all five of every vote")
    y = np.asarray(scores, dtype=float)
    if not ((y >= 0.0) & (y <= 1.0)).all():
        raise ValueError("a score must be from 0 to 1")
    turned = np.asarray(swapped, dtype=bool)
    _, prompt = np.unique(np.asarray(prompts), return_inverse=True)
    _, pair = np.unique(np.asarray(pairs), return_inverse=True)
    names, who = np.unique(np.asarray(annotators), return_inverse=True)
    return [
        _habits(name, prompt[who == at], pair[who == at], y[who == at], turned[who == at])
        for at, name in enumerate(names.tolist())
    ]


def _habits(
    name: Any, prompt: np.ndarray, pair: np.ndarray, y: np.ndarray, swapped: np.ndarray
) -> Position:
    of_first = np.where(swapped, 1.0 - y, y)
    first = win_rate(of_first.tolist(), prompt.tolist())
    # outcome of a in each order of each pair, as shares of b wins, tie, a wins
    outcome = np.where(y > 0.5, 2, np.where(y < 0.5, 0, 1))
    _, at = np.unique(pair, return_inverse=True)
    table = np.zeros((int(at.max()) + 1, 2, 3))
    np.add.at(table, (at, swapped.astype(int), outcome), 1.0)
    number = table.sum(axis=2)
    both = (number > 0.0).all(axis=1)
    if not both.any():
        return Position(name, first, first.rate - 0.5, None, None, None, 0)
    share = table[both] / number[both][:, :, None]
    equal = (share[:, 0] * share[:, 1]).sum(axis=1)
    of_prompt = np.zeros(both.size, dtype=np.int64)
    of_prompt[at] = prompt
    return Position(
        annotator=name,
        first=first,
        preference=first.rate - 0.5,
        consistency=win_rate(np.clip(equal, 0.0, 1.0).tolist(), of_prompt[both].tolist()),
        to_first=float((share[:, 0, 2] * share[:, 1, 0]).mean()),
        to_second=float((share[:, 0, 0] * share[:, 1, 2]).mean()),
        pairs=int(both.sum()),
    )
