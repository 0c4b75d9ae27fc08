"""A project's votes to its leaderboard: what the engine makes of them, by the rule that is asked.
Nothing is stored; a board that has been made is kept in memory until a vote changes
(:mod:`.kept`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import Q
from django.utils.translation import gettext, ngettext

from evaluation.battles import read_battles
from evaluation.board_votes import (
    Options,
    Votes,
    all_of,
    annotators_of,
    counted,
    distinct,
    of_judges,
    positions,
    read_votes,
)
from evaluation.engine import davidson, ratings
from evaluation.engine.bradley_terry import first_of_each
from evaluation.features import NotMeasured, covariates
from evaluation.kept import kept
from evaluation.routing import chances_of, newest_draw
from evaluation.together import APART, NOT_SEEN, TOO_FEW, Together, TooFew, together
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet

FEW_PROMPTS = 30


@dataclass(frozen=True)
class Standing:
    """One row of a leaderboard."""

    model: ModelVersion
    row: ratings.LeaderboardRow
    prompts: int
    """On which its votes are."""
    expected: tuple[float, float, float] | None
    """Win, tie and loss that Davidson's model expects against the mean opponent of its group;
    None where every vote is a tie."""
    judged: int | None = None
    """Where people's votes and judges' are combined: its pairs that judges alone have judged."""


@dataclass(frozen=True)
class NotRated:
    """A model for which no finite rating exists."""

    model: ModelVersion
    row: ratings.Unrated
    prompts: int = 0

    @property
    def why(self) -> str:
        """The engine's reason in the page's language."""
        said, votes = self.row.reason, {"count": self.row.votes}
        if said.startswith("it won"):
            return (
                ngettext(
                    "it won its only vote, so nothing bounds its rating from above; one tie or "
                    "loss would",
                    "it won all of its %(count)s votes, so nothing bounds its rating from above; "
                    "one tie or loss would",
                    self.row.votes,
                )
                % votes
            )
        if said.startswith("it lost"):
            return (
                ngettext(
                    "it lost its only vote, so nothing bounds its rating from below; one tie or "
                    "win would",
                    "it lost all of its %(count)s votes, so nothing bounds its rating from below; "
                    "one tie or win would",
                    self.row.votes,
                )
                % votes
            )
        if said == "no votes":
            return gettext("no votes")
        if said == TOO_FEW:
            return gettext("too few prompts of its group have votes of people")
        if said == NOT_SEEN:
            return gettext(
                "people have not voted on it, so how far AI judges are off about it is unknown"
            )
        if said == APART:
            return gettext(
                "none of its pairs has votes of both people and AI judges, so how far AI judges "
                "are off about it is unknown"
            )
        return gettext(
            "nobody whom it beat has got the better of it, not even by way of others, so nothing "
            "ties its rating to theirs"
        )


@dataclass(frozen=True)
class Control:
    """What one covariate does, on the Elo scale for a usual difference of two outputs."""

    name: str
    effect: ratings.Effect


@dataclass(frozen=True)
class Tables:
    """Who met whom, models in the order of their names."""

    models: list[ModelVersion]
    wins: np.ndarray
    """``[i, j]``: how often i won over j."""
    ties: np.ndarray
    """``[i, j]``: how often the two tied, both bad among it; symmetric."""
    bad: np.ndarray
    """Those of them in which both were bad."""


@dataclass(frozen=True)
class Standings:
    options: Options
    groups: list[list[Standing]]
    """The largest first. Ratings and ranks hold within a group and cannot be compared between
    two."""
    unrated: list[NotRated]
    votes: int
    """Those that the ratings are made of, between two models of one group; so for the prompts and
    the annotators."""
    prompts: int
    annotators: int
    others: int
    """Votes that no rating takes in: with a model that has none, or between two groups."""
    withdrawn: int
    """Votes that would be in here had they not been withdrawn."""
    tables: Tables
    controls: list[list[Control]] = field(default_factory=list)
    """Of each group, what style does; empty where nothing was controlled for."""
    assisted: Together | None = None
    """How people's votes and judges' came together, where they are combined."""
    refused: str = ""
    """Why there are no ratings by this rule, in the page's language."""

    @property
    def few_prompts(self) -> bool:
        """Whether intervals are rough, prompts being the sample."""
        return bool(self.groups) and self.prompts < FEW_PROMPTS

    @property
    def rated(self) -> int:
        return sum(len(group) for group in self.groups)


@dataclass(frozen=True)
class _Made:
    """All that is kept of a board: numbers, no rows of the database."""

    pks: np.ndarray
    """Models in the order of their names, so that equal ratings stand in it."""
    board: ratings.Board
    wins: np.ndarray
    ties: np.ndarray
    bad: np.ndarray
    prompts_of: np.ndarray
    expected: dict[int, tuple[float, float, float]]
    votes: int
    prompts: int
    annotators: int
    others: int
    withdrawn: int
    names: tuple[str, ...] = ()
    assisted: Together | None = None
    refused: str = ""


def standings(project: Project, options: Options | None = None, **said: Any) -> Standings:
    """Ratings of a project's models from its current decisive votes between different models,
    less those that have been withdrawn.

    Only votes count. An evaluation puts two identical outputs to nobody: what
    :func:`~evaluation.standings.win_rates` takes for a tie is not in here, unless votes on it came
    another way, by import say.

    Args:
        said: fields of :class:`Options`, where they are not given as one.
    """
    options = options or Options(**said)
    make = partial(_make, project, options)
    drawn = newest_draw(project) if options.source == "combined" else 0
    try:
        made: _Made = kept(project, ("board", *options.key, drawn), make)
    except NotMeasured as why:
        # not kept: in a moment it will be different
        made = _nothing(_still_measuring(why.left))
    models = ModelVersion.objects.select_related("project").in_bulk(made.pks.tolist())
    order = [models[pk] for pk in made.pks.tolist()]

    def standing(row: ratings.LeaderboardRow) -> Standing:
        at = row.model
        judged = int(made.assisted.judged_of[at]) if made.assisted else None
        prompts = int(made.prompts_of[at])
        return Standing(order[at], row, prompts, made.expected.get(at), judged)

    return Standings(
        options=options,
        groups=[[standing(row) for row in group] for group in made.board.groups],
        unrated=[
            NotRated(order[row.model], row, int(made.prompts_of[row.model]))
            for row in made.board.unrated
        ],
        votes=made.votes,
        prompts=made.prompts,
        annotators=made.annotators,
        others=made.others,
        withdrawn=made.withdrawn,
        tables=Tables(order, made.wins, made.ties, made.bad),
        controls=[
            [Control(name, one) for name, one in zip(made.names, effects, strict=True)]
            for effects in made.board.effects
        ],
        assisted=made.assisted,
        refused=made.refused,
    )


def _make(project: Project, options: Options) -> _Made:
    rows = counted(project, options)
    withdrawn = rows.withdrawn(project).count()
    standing = rows.standing(project)
    if not options.style and options.source != "combined":
        return _counted(project, options, standing, withdrawn)
    votes, pks = read_votes(project, standing, pairs=True)
    i, j = positions(pks, votes.a), positions(pks, votes.b)
    # beside ratings of both, all that is counted is people's
    own = ~of_judges(project, votes) if options.source == "combined" else slice(None)
    tables = _tables(i[own], j[own], votes.code[own], pks.size)
    how = _combined if options.source == "combined" else _at_equal_style
    board, extra = how(project, options, votes, (i, j), pks.size)
    group = _group_of(board, pks.size)
    used = (group[i] == group[j]) & (group[i] >= 0) if pks.size else np.zeros(0, dtype=bool)
    whole = bool(used.all())
    return _Made(
        pks=pks,
        board=board,
        wins=tables[0],
        ties=tables[1],
        bad=tables[2],
        prompts_of=_prompts_of(votes.prompt[own], i[own], j[own], pks.size),
        expected=_expected(board, tables),
        votes=int(used.sum()),
        prompts=distinct(votes.prompt if whole else votes.prompt[used]).size,
        annotators=distinct(votes.annotator if whole else votes.annotator[used]).size,
        others=int(used.size - used.sum()),
        withdrawn=withdrawn,
        **extra,
    )


def _counted(project: Project, options: Options, rows: JudgmentQuerySet, withdrawn: int) -> _Made:
    """By a rule that needs no vote by itself, only how many of each kind there are."""
    battles = read_battles(project, rows, all_of(project, options))
    cells, models = battles.cells, battles.pks.size
    board = ratings.Board([], [])
    if models:
        board = ratings.of_cells(cells, models, equal_opponents=options.equal)
    group = _group_of(board, models)
    used = (group[cells.i] == group[cells.j]) & (group[cells.i] >= 0)
    votes, whole = int(cells.votes[used].sum()), bool(used.all())
    annotators = battles.annotators if whole else None
    if not whole:
        rows = _among(rows, [battles.pks[group == at].tolist() for at in range(len(board.groups))])
    tables = battles.tables()
    return _Made(
        pks=battles.pks,
        board=board,
        wins=tables[0],
        ties=tables[1],
        bad=tables[2],
        prompts_of=_prompts_of(cells.prompt, cells.i, cells.j, models),
        expected=_expected(board, tables),
        votes=votes,
        prompts=int(first_of_each(cells.prompt[used]).sum()),
        annotators=annotators_of(project, rows, votes) if annotators is None else annotators,
        others=int(cells.votes.sum()) - votes,
        withdrawn=withdrawn,
    )


def _among(rows: JudgmentQuerySet, groups: list[list[int]]) -> JudgmentQuerySet:
    """Votes between two models of one group."""
    between = [Q(battle_a__in=group, battle_b__in=group) for group in groups]
    return rows.filter(reduce(or_, between)) if between else rows.none()


def _at_equal_style(
    project: Project,
    options: Options,
    votes: Votes,
    sides: tuple[np.ndarray, np.ndarray],
    models: int,
) -> tuple[ratings.Board, dict[str, Any]]:
    """People's votes, or judges'."""
    if not models:
        return ratings.Board([], []), {}
    names, x = covariates(project, votes.pair)
    try:
        board = ratings.leaderboard(
            votes.prompt,
            *sides,
            votes.score,
            models,
            equal_opponents=options.equal,
            controls=x,
        )
    except ValueError as why:
        return ratings.Board([], []), {"refused": _why_no_control(str(why))}
    return board, {"names": names}


def _why_no_control(said: str) -> str:
    """The engine's reason in the page's language."""
    if "cannot be told" in said:
        return gettext(
            "Style cannot be told from the models here: more than one output of each model is "
            "needed, and style must differ from output to output."
        )
    return gettext(
        "Style tells who won without fail here, so nothing is left to rate the models by."
    )


def _combined(
    project: Project,
    options: Options,
    votes: Votes,
    sides: tuple[np.ndarray, np.ndarray],
    models: int,
) -> tuple[ratings.Board, dict[str, Any]]:
    """Few votes of people, corrected judges for the rest."""
    of_judge = of_judges(project, votes)
    try:
        found = together(
            votes.pair,
            votes.prompt,
            *sides,
            votes.score,
            of_judge,
            models,
            chances_of(project),
        )
    except TooFew as why:
        return ratings.Board([], []), {"refused": why.words}
    return found.board, {"assisted": found}


def _tables(
    i: np.ndarray, j: np.ndarray, code: np.ndarray, models: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wins, ties and both bad by pair of models."""
    size = models**2
    counts = np.bincount((i * models + j) * 4 + code, minlength=4 * size).reshape(models, models, 4)
    first, second, tied, bad = (counts[:, :, at].astype(float) for at in range(4))
    tie = tied + bad
    return first + second.T, tie + tie.T, bad + bad.T


def _group_of(board: ratings.Board, models: int) -> np.ndarray:
    """The number of each model's group; -1 where it has none."""
    found = np.full(models, -1)
    for number, group in enumerate(board.groups):
        found[[row.model for row in group]] = number
    return found


def _prompts_of(prompt: np.ndarray, i: np.ndarray, j: np.ndarray, models: int) -> np.ndarray:
    """On how many prompts each model has votes."""
    if prompt.size == 0:
        return np.zeros(models, dtype=np.int64)
    lo = int(prompt.min())
    span = int(prompt.max()) - lo + 1
    if span * models <= 16 * prompt.size + 100_000:
        seen = np.zeros((models, span), dtype=bool)
        seen[i, prompt - lo] = True
        seen[j, prompt - lo] = True
        return seen.sum(axis=1)
    key = np.unique(np.concatenate([prompt * models + i, prompt * models + j]))
    return np.bincount(key % models, minlength=models)


def _expected(
    board: ratings.Board, tables: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> dict[int, tuple[float, float, float]]:
    """By model, what Davidson's model expects against the mean of the others of its group."""
    found: dict[int, tuple[float, float, float]] = {}
    for group in board.groups:
        own = np.array([row.model for row in group])
        among = np.ix_(own, own)
        try:
            theta, nu, _inverse = davidson.of_counts(tables[0][among], tables[1][among])
        except ValueError:
            continue
        shares = davidson.probabilities(theta[:, None] - theta, nu)
        off = ~np.eye(own.size, dtype=bool)
        for at, model in enumerate(own.tolist()):
            win, tie, loss = (float(share[at][off[at]].mean()) for share in shares)
            found[model] = (win, tie, loss)
    return found


def _nothing(refused: str) -> _Made:
    """A board without models."""
    none = np.zeros((0, 0))
    return _Made(
        pks=np.zeros(0, dtype=np.int64),
        board=ratings.Board([], []),
        wins=none,
        ties=none,
        bad=none,
        prompts_of=np.zeros(0, dtype=np.int64),
        expected={},
        votes=0,
        prompts=0,
        annotators=0,
        others=0,
        withdrawn=0,
        refused=refused,
    )


def _still_measuring(left: int) -> str:
    return ngettext(
        "The style of %(count)s output is still being measured. Come back in a minute.",
        "The style of %(count)s outputs is still being measured. Come back in a minute.",
        left,
    ) % {"count": left}
