"""Voters who do not vote as others do: by e-values that may be looked at after every vote.

Of votes with a winner between two models on which others have enough, the chance of a voter's votes
is foretold from the others': a beta-binomial, which knows how unsure their share is. The e-value is
how much better four ways of voting that heed no answer foretell them: a coin, mostly the first
side, mostly the second, or the opposite of the others. It is the mean of four likelihood ratios, so
for a voter who is as the others it exceeds 1/α with probability α at most, whenever one looks
(Ville), the models' true share being anything alike beforehand; e-BH over all voters keeps the
share of those flagged wrongly at α.

Chatbot Arena combines p-values by Fisher's method at five random times instead (Chiang et al. 2024,
§5.3): with two outcomes such p-values have next to no power against a coin. A voter may differ for
good reasons, such as other prompts: a flag is for an admin to look at, not a proof. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

from evaluation.engine.sequential import e_bh

ALPHA = 0.05
LEAST_OTHERS = 5
"""Votes of others with a winner on the same two models, below which a vote is not looked at."""
_HABIT = 0.9
"""How often a voter with a habit follows it."""


@dataclass(frozen=True)
class Voter:
    voter: int
    votes: int
    """With a winner."""
    looked_at: int
    """Of these, on two models of which others have voted often enough."""
    agree: float
    """Of those looked at, for the model that most others name; half where they are even."""
    expected: float
    """How many would agree if the voter followed the others' shares."""
    log_e: float
    flagged: bool


def voters(
    voter: Sequence[int] | np.ndarray,
    i: Sequence[int] | np.ndarray,
    j: Sequence[int] | np.ndarray,
    first_won: Sequence[bool] | np.ndarray,
    first_was_i: Sequence[bool] | np.ndarray,
    *,
    alpha: float = ALPHA,
) -> list[Voter]:
    """One row a voter, the most suspicious first.

    Args:
        voter: who cast each vote; votes with a winner alone.
        i, j: the two models, i < j.
        first_won: whether i won.
        first_was_i: whether i stood on the first side.
    """
    who, i, j = (np.asarray(x, dtype=np.int64) for x in (voter, i, j))
    won, left = np.asarray(first_won, dtype=bool), np.asarray(first_was_i, dtype=bool)
    if not who.size:
        return []
    names, person = np.unique(who, return_inverse=True)
    _, pair = np.unique(np.stack([i, j]), axis=1, return_inverse=True)
    pair = pair.reshape(-1)
    cells, cell = np.unique(np.stack([person, pair]), axis=1, return_inverse=True)
    cell = cell.reshape(-1)
    n, wins = np.bincount(cell), np.bincount(cell, weights=won)
    others = np.bincount(pair)[cells[1]] - n
    theirs = np.bincount(pair, weights=won)[cells[1]] - wins
    seen = others >= LEAST_OTHERS
    firsts = np.bincount(cell, weights=won == left)
    nul = _foretold(wins, n, theirs, others)
    ways = [
        n * log(0.5),
        firsts * log(_HABIT) + (n - firsts) * log(1.0 - _HABIT),
        firsts * log(1.0 - _HABIT) + (n - firsts) * log(_HABIT),
        _foretold(n - wins, n, theirs, others),
    ]

    def of_voters(weights: np.ndarray) -> np.ndarray:
        return np.bincount(cells[0], weights=weights, minlength=len(names))

    sums = np.stack([of_voters((way - nul) * seen) for way in ways])
    log_e = np.logaddexp.reduce(sums, axis=0) - log(len(ways))
    share = (theirs + 1.0) / (others + 2.0)
    agree = np.where(share == 0.5, n / 2, np.where(share > 0.5, wins, n - wins))
    votes, looked, agreed, hoped = (
        of_voters(weights)
        for weights in (n, n * seen, agree * seen, n * np.maximum(share, 1.0 - share) * seen)
    )
    flagged = e_bh(log_e, alpha)
    order = sorted(range(len(names)), key=lambda k: (-log_e[k], int(names[k])))
    return [
        Voter(
            voter=int(names[k]),
            votes=int(votes[k]),
            looked_at=int(looked[k]),
            agree=float(agreed[k]),
            expected=float(hoped[k]),
            log_e=float(log_e[k]),
            flagged=bool(flagged[k]),
        )
        for k in order
    ]


def _foretold(
    wins: np.ndarray, n: np.ndarray, theirs: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Log-probability of votes in their order, given the others': beta-binomial from even odds."""
    return _log_beta(theirs + wins + 1.0, others - theirs + n - wins + 1.0) - _log_beta(
        theirs + 1.0, others - theirs + 1.0
    )


def _log_beta(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(_lgamma(a) + _lgamma(b) - _lgamma(a + b), dtype=float)


_lgamma = np.frompyfunc(lgamma, 1, 1)
