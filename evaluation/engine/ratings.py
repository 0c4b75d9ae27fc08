"""A leaderboard from votes: Bradley–Terry ratings on the Elo scale with mean 1000, 95 % intervals
clustered by prompt, and rank ranges. Pure NumPy; the same votes in any order give the same board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.engine.bradley_terry import Fit, count, degrees, fit, score_table
from evaluation.engine.connectivity import groups, reason_alone
from evaluation.engine.quantiles import t_quantile
from evaluation.engine.ranks import above

ELO = 400.0 / np.log(10.0)
MEAN = 1000.0


@dataclass(frozen=True)
class LeaderboardRow:
    model: int
    rating: float
    lo: float | None
    """Ends of the 95 % interval; None where all its votes are on one prompt."""
    hi: float | None
    rank_lo: int
    """Best and worst rank that no difference of the board contradicts."""
    rank_hi: int
    win_rate: float
    """Share of this model's votes that it won, ties as half."""
    votes: int


@dataclass(frozen=True)
class Unrated:
    """A model for which no finite rating exists."""

    model: int
    reason: str
    win_rate: float | None
    """None without votes."""
    votes: int


@dataclass(frozen=True)
class Board:
    groups: list[list[LeaderboardRow]]
    """The largest group of models first, in each the best first. Ratings and ranks of two groups
    cannot be compared: no votes, or wins of one over the other only, lie between them."""
    unrated: list[Unrated]


def leaderboard(
    prompt: Sequence[int] | np.ndarray,
    i: Sequence[int] | np.ndarray,
    j: Sequence[int] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    models: int,
    votes: Sequence[int] | np.ndarray | None = None,
) -> Board:
    """Rate models from battles.

    Args:
        prompt: what was asked, one a battle; anything that sorts.
        i, j: the two models, 0 to ``models`` − 1.
        y: 1 where i won, 0 where j won, 0.5 for a tie; where ``votes`` is given, their sum.
        models: how many there are; one without votes is unrated.
        votes: how many votes a row stands for; one each where not given.

    Raises:
        ValueError: a model meets itself, or an index or score is out of bounds.
    """
    cells = count(prompt, i, j, y, models, votes)
    scored = score_table(cells, models)
    together = groups(scored)
    rated = set(np.concatenate(together).tolist()) if together else set()
    return Board(
        [_rows(group, fit(cells.among(group), group.size), scored) for group in together],
        [_unrated(model, scored) for model in range(models) if model not in rated],
    )


def _rows(kept: np.ndarray, fitted: Fit, scored: np.ndarray) -> list[LeaderboardRow]:
    rating = MEAN + ELO * fitted.theta
    better = above(fitted)
    sd = ELO * np.sqrt(fitted.variance())
    votes = (scored + scored.T).sum(axis=1)
    rows = []
    for at in np.lexsort((kept, -rating)):
        model = int(kept[at])
        half = None
        if fitted.effective[at] > 1.0 + 1e-9:
            half = float(sd[at] * t_quantile(degrees(fitted.effective[at])))
        rows.append(
            LeaderboardRow(
                model=model,
                rating=float(rating[at]),
                lo=None if half is None else float(rating[at]) - half,
                hi=None if half is None else float(rating[at]) + half,
                rank_lo=1 + int(better[:, at].sum()),
                rank_hi=kept.size - int(better[at].sum()),
                win_rate=float(scored[model].sum() / votes[model]),
                votes=round(float(votes[model])),
            )
        )
    return rows


def _unrated(model: int, scored: np.ndarray) -> Unrated:
    won, lost = float(scored[model].sum()), float(scored[:, model].sum())
    votes = won + lost
    rate = won / votes if votes else None
    return Unrated(model, reason_alone(won, lost), rate, round(votes))
