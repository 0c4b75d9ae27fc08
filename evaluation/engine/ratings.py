"""A leaderboard from votes: Bradley–Terry ratings on the Elo scale with mean 1000, 95 % intervals
clustered by prompt, and rank ranges. Pure NumPy; the same votes in any order give the same board.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.engine import contextual
from evaluation.engine.bradley_terry import (
    Cells,
    Fit,
    count,
    degrees,
    equal_pairs,
    fit,
    score_table,
)
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
    win_rate: float | None
    """Share of this model's votes that it won, ties as half; None without votes of its own."""
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
class Effect:
    """What one unit of a covariate is worth, on the Elo scale, with its 95 % interval."""

    elo: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Board:
    groups: list[list[LeaderboardRow]]
    """The largest group of models first, in each the best first. Ratings and ranks of two groups
    cannot be compared: no votes, or wins of one over the other only, lie between them."""
    unrated: list[Unrated]
    effects: list[list[Effect]] = field(default_factory=list)
    """Of each group, what each covariate does; empty where nothing was controlled for."""


def leaderboard(
    prompt: Sequence[int] | np.ndarray,
    i: Sequence[int] | np.ndarray,
    j: Sequence[int] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    models: int,
    votes: Sequence[int] | np.ndarray | None = None,
    *,
    equal_opponents: bool = False,
    controls: np.ndarray | None = None,
) -> Board:
    """Rate models from battles.

    Args:
        prompt: what was asked, one a battle; anything that sorts.
        i, j: the two models, 0 to ``models`` − 1.
        y: 1 where i won, 0 where j won, 0.5 for a tie; where ``votes`` is given, their sum.
        models: how many there are; one without votes is unrated.
        votes: how many votes a row stands for; one each where not given.
        equal_opponents: every opponent counts equally, however often it was met
            (:func:`~evaluation.engine.bradley_terry.equal_pairs`).
        controls: covariates to hold equal, shape (rows, covariates), positive where i has more;
            see :mod:`.contextual`.

    Raises:
        ValueError: a model meets itself, an index or score is out of bounds, or the covariates
            cannot be told from the models.
    """
    cells = count(prompt, i, j, y, models, votes)
    if controls is None:
        return of_cells(cells, models, equal_opponents=equal_opponents)
    return _board(
        score_table(cells, models),
        lambda group: _held(group, prompt, i, j, y, controls, votes, equal_opponents),
    )


def of_cells(cells: Cells, models: int, *, equal_opponents: bool = False) -> Board:
    """The same from votes that have been counted already."""
    scored = score_table(cells, models)

    def plain(group: np.ndarray) -> Fit:
        own = cells.among(group)
        weight = equal_pairs(own.i, own.j, own.votes, group.size) if equal_opponents else None
        return fit(own, group.size, weight, scored=scored[np.ix_(group, group)])

    return _board(scored, plain)


def _board(
    scored: np.ndarray, fit_of: Callable[[np.ndarray], Fit | contextual.Contextual]
) -> Board:
    together = groups(scored)
    rated = set(np.concatenate(together).tolist()) if together else set()
    left = [unrated(model, scored) for model in range(len(scored)) if model not in rated]
    rows: list[list[LeaderboardRow]] = []
    effects: list[list[Effect]] = []
    for group in together:
        found = fit_of(group)
        if isinstance(found, contextual.Contextual):
            effects.append(_effects(found))
            found = found.ratings
        rows.append(rows_of(group, found, scored))
    return Board(rows, left, effects)


def _held(
    group: np.ndarray,
    prompt: Sequence[int] | np.ndarray,
    i: Sequence[int] | np.ndarray,
    j: Sequence[int] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    controls: np.ndarray,
    votes: Sequence[int] | np.ndarray | None,
    equal_opponents: bool,
) -> contextual.Contextual:
    """The fit of one group with covariates held equal."""
    kept = np.isin(i, group) & np.isin(j, group)
    first, second = (np.searchsorted(group, np.asarray(side)[kept]) for side in (i, j))
    number = np.ones(kept.sum()) if votes is None else np.asarray(votes, dtype=float)[kept]
    weight = equal_pairs(first, second, number, group.size) if equal_opponents else None
    return contextual.fit(
        np.asarray(prompt)[kept],
        first,
        second,
        np.asarray(y, dtype=float)[kept],
        np.asarray(controls, dtype=float)[kept],
        group.size,
        votes=number,
        weight=weight,
    )


def _effects(held: contextual.Contextual) -> list[Effect]:
    half = held.errors() * t_quantile(max(1, held.ratings.prompts - 1))
    return [
        Effect(ELO * float(b), ELO * float(b - h), ELO * float(b + h))
        for b, h in zip(held.beta, half, strict=True)
    ]


def rows_of(kept: np.ndarray, fitted: Fit, scored: np.ndarray) -> list[LeaderboardRow]:
    """The rows of one group, the best first.

    Args:
        kept: its models, sorted.
        fitted: of these.
        scored: ``S[i, j]`` of all models, what i has scored against j.
    """
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
                win_rate=float(scored[model].sum() / votes[model]) if votes[model] else None,
                votes=round(float(votes[model])),
            )
        )
    return rows


def unrated(model: int, scored: np.ndarray) -> Unrated:
    """A model that no group has, with the reason and its own record."""
    won, lost = float(scored[model].sum()), float(scored[:, model].sum())
    votes = won + lost
    rate = won / votes if votes else None
    return Unrated(model, reason_alone(won, lost), rate, round(votes))
