"""A leaderboard for each category of prompts, and how one model does from category to category."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from annotation.models import Prompt
from evaluation.board_votes import Options, counted, positions, read_votes
from evaluation.engine import ratings, slices
from evaluation.kept import kept
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

MOST = 40
"""Categories that are shown, those with most votes."""


@dataclass(frozen=True)
class OneCategory:
    """A category's own leaderboard."""

    name: str
    votes: int
    prompts: int
    rows: dict[int, ratings.LeaderboardRow]
    """By the model's primary key, those of its largest group."""
    apart: int
    """Models with votes that this group does not hold."""


@dataclass(frozen=True)
class ByCategory:
    categories: list[OneCategory]
    """Those with most votes first."""
    models: list[ModelVersion]
    """Those that have a rating anywhere, the one with the highest mean of them first."""
    hidden: int
    """Categories that are not shown."""


@dataclass(frozen=True)
class _Read:
    names: list[str]
    """The categories, in the order of their numbers."""
    category: np.ndarray
    prompt: np.ndarray
    i: np.ndarray
    j: np.ndarray
    score: np.ndarray
    pks: np.ndarray
    boards: dict[int, ratings.Board]


def by_category(project: Project, options: Options) -> ByCategory:
    """Leaderboards of a project's categories by the same votes and rule."""
    read = _kept(project, options)
    number = np.bincount(read.category, minlength=len(read.names))
    order = [int(at) for at in np.argsort(-number, kind="stable") if number[at]]
    categories = [_one(read, at) for at in order[:MOST]]
    ratings_of: dict[int, list[float]] = {}
    for one in categories:
        for pk, row in one.rows.items():
            ratings_of.setdefault(pk, []).append(row.rating)
    found = ModelVersion.objects.select_related("project").in_bulk(list(ratings_of))
    models = sorted(found.values(), key=lambda m: (-float(np.mean(ratings_of[m.pk])), m.name))
    return ByCategory(categories, models, max(0, len(order) - MOST))


def of_model(project: Project, options: Options, model: ModelVersion) -> list[slices.Slice]:
    """Win rates of a model against all that it met, by category; its ``name`` is the category.
    Every vote counts alike, as in the leaderboard itself."""
    read = _kept(project, options)
    at = int(np.flatnonzero(read.pks == model.pk)[0])
    first, second = read.i == at, read.j == at
    own = first | second
    score = np.where(first, read.score, 1.0 - read.score)[own]
    names = np.array(read.names, dtype=object)[read.category[own]]
    prompts = read.prompt[own].tolist()
    return slices.win_rates(score.tolist(), prompts, names.tolist(), every_vote=True)


def _one(read: _Read, at: int) -> OneCategory:
    board, mine = read.boards[at], read.category == at
    rows = board.groups[0] if board.groups else []
    others = sum(len(group) for group in board.groups[1:])
    apart = others + sum(1 for one in board.unrated if one.votes)
    return OneCategory(
        name=read.names[at],
        votes=int(mine.sum()),
        prompts=np.unique(read.prompt[mine]).size,
        rows={int(read.pks[row.model]): row for row in rows},
        apart=apart,
    )


def _kept(project: Project, options: Options) -> _Read:
    return kept(project, ("categories", *options.key), partial(_read, project, options))


def _read(project: Project, options: Options) -> _Read:
    votes, pks = read_votes(project, counted(project, options).standing(project))
    i, j = positions(pks, votes.a), positions(pks, votes.b)
    of = dict(Prompt.objects.filter(project=project).order_by().values_list("pk", "category"))
    names = sorted({of.get(pk, "") for pk in np.unique(votes.prompt).tolist()})
    place = {name: at for at, name in enumerate(names)}
    known, at = np.unique(votes.prompt, return_inverse=True)
    numbers = np.array([place[of.get(pk, "")] for pk in known.tolist()], dtype=np.int64)
    category = numbers[at] if known.size else np.zeros(0, dtype=np.int64)
    found = slices.boards(
        votes.prompt,
        i,
        j,
        votes.score,
        pks.size,
        category,
        equal_opponents=options.equal,
    )
    boards = {int(str(name)): board for name, board in found.items()}
    return _Read(names, category, votes.prompt, i, j, votes.score, pks, boards)
