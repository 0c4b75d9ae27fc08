"""Who beat whom: what was observed, what the ratings expect, and what lies between the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.db.models import Q, QuerySet

from annotation.models import Judgment, Pair
from evaluation.board_votes import Options, counted, read_votes
from evaluation.engine.ratings import ELO
from evaluation.engine.winrate import WinRate, win_rate
from evaluation.leaderboard import Standings
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet

LEAST = 5
"""Votes under which a cell stays blank."""


@dataclass(frozen=True)
class Cell:
    """One model against another, seen from the row."""

    other: ModelVersion
    votes: int
    wins: int
    ties: int
    losses: int
    observed: float | None
    """Share won, ties as half; None under :data:`LEAST` votes."""
    predicted: float | None
    """What the ratings expect; None where the two are in no group together."""
    is_self: bool

    @property
    def residual(self) -> float | None:
        if self.observed is None or self.predicted is None:
            return None
        return self.observed - self.predicted

    def value(self, show: str) -> float | None:
        """One of the three, by name."""
        return {
            "observed": self.observed,
            "predicted": self.predicted,
            "residual": self.residual,
        }[show]

    def tilt(self, show: str) -> float:
        """−1 to 1, how far from the middle; 0 where there is no value."""
        value = self.value(show)
        if value is None:
            return 0.0
        far = value if show == "residual" else value - 0.5
        return float(np.clip(2.0 * far, -1.0, 1.0))


@dataclass(frozen=True)
class MatrixRow:
    model: ModelVersion
    rating: float | None
    group: int
    """0 where it has no rating."""
    cells: list[Cell]


def matrix(board: Standings, most: int | None = None) -> list[MatrixRow]:
    """The models in the order of the board, each against each.

    Args:
        most: only the first so many.
    """
    places = {model.pk: at for at, model in enumerate(board.tables.models)}
    ordered: list[tuple[ModelVersion, float | None, int]] = [
        (standing.model, standing.row.rating, number)
        for number, group in enumerate(board.groups, 1)
        for standing in group
    ]
    ordered += [(left.model, None, 0) for left in board.unrated]
    chosen = ordered[:most]
    wins, ties = board.tables.wins, board.tables.ties
    rows = []
    for model, rating, group in chosen:
        i = places[model.pk]
        cells = []
        for other, their_rating, their_group in chosen:
            j = places[other.pk]
            won, tied, lost = float(wins[i, j]), float(ties[i, j]), float(wins[j, i])
            votes = won + tied + lost
            predicted = None
            if group and group == their_group and i != j:
                assert rating is not None
                assert their_rating is not None
                predicted = 0.5 * (1.0 + float(np.tanh((rating - their_rating) / ELO / 2.0)))
            cells.append(
                Cell(
                    other=other,
                    votes=int(votes),
                    wins=int(won),
                    ties=int(tied),
                    losses=int(lost),
                    observed=(won + tied / 2.0) / votes if votes >= LEAST else None,
                    predicted=predicted,
                    is_self=i == j,
                )
            )
        rows.append(MatrixRow(model, rating, group, cells))
    return rows


@dataclass(frozen=True)
class Match:
    """All votes between two models by one source, seen from the first."""

    rate: WinRate
    both_bad: int


def match(
    project: Project, options: Options, first: ModelVersion, second: ModelVersion
) -> Match | None:
    """None without a vote."""
    rows = _between(counted(project, options).standing(project), first, second)
    votes, _models = read_votes(project, rows)
    if not votes.prompt.size:
        return None
    score = np.where(votes.a == first.pk, votes.score, 1.0 - votes.score)
    return Match(
        rate=win_rate(score.tolist(), votes.prompt.tolist()),
        both_bad=int((votes.code == 3).sum()),
    )


def _between(
    votes: JudgmentQuerySet, first: ModelVersion, second: ModelVersion
) -> JudgmentQuerySet:
    return votes.filter(
        Q(battle_a=first.pk, battle_b=second.pk) | Q(battle_a=second.pk, battle_b=first.pk)
    )


def examples(
    project: Project, options: Options, first: ModelVersion, second: ModelVersion, outcome: str = ""
) -> QuerySet[Pair]:
    """Pairs of the two models with votes that the options count, the newest first.

    Args:
        outcome: only pairs with such a vote, seen from the first: win, tie or loss.
    """
    rows = _between(counted(project, options), first, second)
    if outcome == "tie":
        rows = rows.filter(outcome__in=["tie", "both_bad"])
    elif outcome in {"win", "loss"}:
        own, others = ("a", "b") if outcome == "win" else ("b", "a")
        rows = rows.filter(Q(battle_a=first.pk, outcome=own) | Q(battle_b=first.pk, outcome=others))
    pairs = Pair.objects.filter(project=project, pk__in=rows.values("pair"))
    return pairs.with_content().order_by("-pk")


def votes_on(project: Project, pairs: list[Pair]) -> None:
    """Give each pair its ``cast``: what people and judges now say of it, skips left out."""
    votes = Judgment.objects.decisive().filter(pair__in=pairs).with_withdrawn(project)
    by_pair: dict[int, list[Judgment]] = {}
    for vote in votes.select_related("annotator").order_by("annotator__kind", "pk"):
        by_pair.setdefault(vote.pair_id, []).append(vote)
    for pair in pairs:
        pair.cast = by_pair.get(pair.pk, [])  # type: ignore[attr-defined]
