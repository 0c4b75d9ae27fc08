"""A project's votes to its leaderboard: which votes, by which rule, and what the engine makes of
them. Nothing is stored; a board that has been made is kept in memory until a vote changes
(:mod:`.kept`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import Case, IntegerField, Max, Min, Value, When
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Judgment, Prompt
from evaluation import arena_votes
from evaluation.engine import davidson, ratings
from evaluation.features import NotMeasured, covariates
from evaluation.kept import kept
from evaluation.numbers import read_packed
from evaluation.together import TOO_FEW, Together, TooFew, together
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet

SOURCES = {
    "people": _("People"),
    "judges": _("AI judges"),
    "combined": _("People with judges"),
    "arena": _("Arena"),
}
CODES = ("a", "b", "tie", "both_bad")
FEW_PROMPTS = 30
SCORE_OF_A = np.array([1.0, 0.0, 0.5, 0.5])


@dataclass(frozen=True)
class Options:
    """Which votes a leaderboard counts, and by which rule."""

    source: str = "people"
    """A key of :data:`SOURCES`."""
    judge: Annotator | None = None
    """The votes of this judge alone, not those of all judges; beside people's where combined."""
    category: str = ""
    until: datetime | None = None
    """Votes before this moment."""
    without: tuple[Annotator, ...] = ()
    """Whose votes are left out."""
    style: bool = False
    """Whether ratings are those at equal style: length and Markdown of texts, size of media."""
    equal: bool = False
    """Whether every pair of models counts equally, however often the two met."""

    @property
    def key(self) -> tuple[object, ...]:
        """All that a board depends on, but for the votes."""
        left_out = tuple(sorted(one.pk for one in self.without))
        judge = self.judge.pk if self.judge else None
        rule = (self.style, self.equal)
        return (self.source, judge, self.category, self.until, left_out, *rule)

    def as_json(self) -> dict[str, Any]:
        """As the API and a published board say it."""
        return {
            "by": self.source,
            "judge": self.judge.name if self.judge else None,
            "category": self.category,
            "until": self.until.isoformat() if self.until else None,
            "without": sorted(one.name for one in self.without),
            "style": self.style,
            "equal": self.equal,
        }

    @classmethod
    def from_json(cls, project: Project, said: dict[str, Any]) -> Options:
        """Back from :meth:`as_json`; an annotator that is gone has no votes either."""
        found = {one.name: one for one in Annotator.objects.filter(project=project)}
        return cls(
            source=said["by"],
            judge=found.get(said["judge"] or ""),
            category=said["category"],
            until=datetime.fromisoformat(said["until"]) if said["until"] else None,
            without=tuple(found[name] for name in said["without"] if name in found),
            style=said["style"],
            equal=said["equal"],
        )


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
class Votes:
    """Votes as arrays of one length; models, prompts and annotators by primary key."""

    prompt: np.ndarray
    a: np.ndarray
    b: np.ndarray
    code: np.ndarray
    """Position in :data:`CODES`."""
    annotator: np.ndarray
    pair: np.ndarray
    """0 for all where it was not asked for."""

    @property
    def score(self) -> np.ndarray:
        return SCORE_OF_A[self.code]


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

    Only votes count. Two identical outputs have none, since an evaluation puts them to nobody:
    what :func:`~evaluation.standings.win_rates` takes for a tie is not in here.

    Args:
        said: fields of :class:`Options`, where they are not given as one.
    """
    options = options or Options(**said)
    make = partial(_make, project, options)
    try:
        made: _Made = kept(project, ("board", *options.key), make)
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


def counted(project: Project, options: Options) -> JudgmentQuerySet:
    """The votes that a leaderboard counts, withdrawn ones among them."""
    votes = Judgment.objects.rated().filter(project=project)
    votes = arena_votes.within(votes, project, arena=options.source == "arena")
    if options.category:
        asked = Prompt.objects.filter(project=project, category=options.category)
        votes = votes.filter(battle_prompt__in=asked.values("pk"))
    if options.until:
        votes = votes.filter(created_at__lt=options.until)
    return _cast_by(votes, project, options)


def _cast_by(votes: JudgmentQuerySet, project: Project, options: Options) -> JudgmentQuerySet:
    """Those of the annotators that the options are about, without a join."""
    everybody = Annotator.objects.filter(project=project).values_list("pk", "kind", "is_jury")
    left_out = {one.pk for one in options.without}
    wanted: list[int] = []
    others: list[int] = []
    for pk, kind, is_jury in everybody:
        own = options.source == "combined" or kind == _KIND_OF[options.source]
        if kind == "judge" and options.judge is not None:
            own = own and pk == options.judge.pk
        elif is_jury:
            own = False  # its members' votes are there already
        (wanted if own and pk not in left_out else others).append(pk)
    if not others:
        return votes
    if len(others) < len(wanted):
        return votes.exclude(annotator__in=others)
    return votes.filter(annotator__in=wanted)


_KIND_OF = {"people": "person", "judges": "judge", "arena": "person"}


def read_votes(
    project: Project, votes: JudgmentQuerySet, *, pairs: bool = False
) -> tuple[Votes, np.ndarray]:
    """Votes as arrays, and the models among them in the order of their names.

    Args:
        pairs: whether their pairs are read too.
    """
    bounds = {
        "prompt": _bounds(Prompt.objects.filter(project=project)),
        "a": _bounds(ModelVersion.objects.filter(project=project)),
        "b": _bounds(ModelVersion.objects.filter(project=project)),
        "code": (0, len(CODES) - 1),
        "annotator": _bounds(Annotator.objects.filter(project=project)),
    }
    # what came after the bounds were looked up waits for the next time
    votes = votes.filter(
        battle_prompt__range=bounds["prompt"],
        battle_a__range=bounds["a"],
        battle_b__range=bounds["b"],
        annotator__gte=bounds["annotator"][0],
        annotator__lte=bounds["annotator"][1],
    )
    code = Case(
        *[When(outcome=outcome, then=Value(at)) for at, outcome in enumerate(CODES)],
        output_field=IntegerField(),
    )
    columns: list[Any] = ["battle_prompt", "battle_a", "battle_b", code, "annotator_id"]
    if pairs:
        bounds["pair"] = _bounds(Judgment.objects.filter(project=project), "pair_id")
        votes = votes.filter(pair__gte=bounds["pair"][0], pair__lte=bounds["pair"][1])
        columns.append("pair_id")
    read = read_packed(votes.order_by().values_list(*columns), **bounds)
    read.setdefault("pair", np.zeros(1, dtype=np.int64))
    met = np.unique(np.concatenate([_distinct(read["a"]), _distinct(read["b"])]))
    names = dict(ModelVersion.objects.filter(pk__in=met.tolist()).values_list("pk", "name"))
    return Votes(**read), np.array(sorted(names, key=lambda pk: names[pk]), dtype=np.int64)


def _bounds(rows: Any, column: str = "pk") -> tuple[int, int]:
    found = rows.order_by().aggregate(lo=Min(column), hi=Max(column))
    return (found["lo"] or 0, found["hi"] or 0)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Without sorting where they lie close together."""
    if values.size == 0:
        return values
    lo = int(values.min())
    if int(values.max()) - lo > 4 * values.size + 1000:
        return np.unique(values)
    seen = np.bincount(values - lo)
    return np.flatnonzero(seen) + lo


def positions(pks: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The place among ``pks`` of each of ``found``."""
    if pks.size == 0:
        return found
    lo = int(pks.min())
    table = np.zeros(int(pks.max()) - lo + 1, dtype=np.int64)
    table[pks - lo] = np.arange(pks.size)
    return table[found - lo]


def _make(project: Project, options: Options) -> _Made:
    rows = counted(project, options)
    withdrawn = rows.withdrawn(project).count()
    standing = rows.standing(project)
    deep = options.style or options.source == "combined"
    votes, pks = read_votes(project, standing, pairs=deep)
    i, j = positions(pks, votes.a), positions(pks, votes.b)
    # beside ratings of both, all that is counted is people's
    own = ~_of_judges(project, votes) if options.source == "combined" else slice(None)
    tables = _tables(i[own], j[own], votes.code[own], pks.size)
    how = _combined if options.source == "combined" else _rated
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
        prompts=_distinct(votes.prompt if whole else votes.prompt[used]).size,
        annotators=_distinct(votes.annotator if whole else votes.annotator[used]).size,
        others=int(used.size - used.sum()),
        withdrawn=withdrawn,
        **extra,
    )


def _rated(
    project: Project,
    options: Options,
    votes: Votes,
    sides: tuple[np.ndarray, np.ndarray],
    models: int,
) -> tuple[ratings.Board, dict[str, Any]]:
    """People's votes, or judges'."""
    if not models:
        return ratings.Board([], []), {}
    plain = partial(
        ratings.leaderboard,
        prompt=votes.prompt,
        i=sides[0],
        j=sides[1],
        y=votes.score,
        models=models,
        equal_opponents=options.equal,
    )
    if not options.style:
        return plain(), {}
    names, x = covariates(project, votes.pair)
    try:
        return plain(controls=x), {"names": names}
    except ValueError as why:
        return ratings.Board([], []), {"refused": _why_no_control(str(why))}


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
    of_judge = _of_judges(project, votes)
    try:
        found = together(votes.pair, votes.prompt, *sides, votes.score, of_judge, models)
    except TooFew as why:
        return ratings.Board([], []), {"refused": why.words}
    return found.board, {"assisted": found}


def _of_judges(project: Project, votes: Votes) -> np.ndarray:
    """Which votes are judges'."""
    judges = Annotator.objects.filter(project=project, kind="judge").values_list("pk", flat=True)
    return np.isin(votes.annotator, np.fromiter(judges, dtype=np.int64))


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
