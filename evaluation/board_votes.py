"""Which of a project's votes a leaderboard counts, and these as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import Max, Min, OuterRef, Subquery
from django.db.models.functions import Length, Ord
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Judgment, Pair, Prompt, Withdrawal
from evaluation import arena_votes
from evaluation.models_arena import Arena
from evaluation.numbers import read_packed, within
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
_TOLD = [ord(code[0]) + len(code) for code in CODES]
"""What the database says for each of them: a sum that tells them apart costs it a third of
comparing words."""
_CODE_OF = np.zeros(max(_TOLD) + 1, dtype=np.int64)
_CODE_OF[_TOLD] = np.arange(len(CODES))
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


def all_of(project: Project, options: Options) -> list[int] | None:
    """The annotators of whom each vote is counted and nobody else's is, by primary key; None where
    it takes a look at the vote."""
    if options.category or options.until or options.source == "arena":
        return None
    if Arena.objects.filter(project=project).exists():
        return None
    if Withdrawal.objects.filter(project=project, lifted_at=None).exists():
        return None
    return _wanted(project, options)[0]


def _cast_by(votes: JudgmentQuerySet, project: Project, options: Options) -> JudgmentQuerySet:
    """Those of the annotators that the options are about, without a join."""
    wanted, others = _wanted(project, options)
    if not others:
        return votes
    if len(others) < len(wanted):
        return votes.exclude(annotator__in=others)
    return votes.filter(annotator__in=wanted)


def _wanted(project: Project, options: Options) -> tuple[list[int], list[int]]:
    """The annotators that the options are about, and all others."""
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
    return wanted, others


_KIND_OF = {"people": "person", "judges": "judge", "arena": "person"}


def read_votes(
    project: Project, votes: JudgmentQuerySet, *, pairs: bool = False
) -> tuple[Votes, np.ndarray]:
    """Votes as arrays, and the models among them in the order of their names.

    Args:
        pairs: whether their pairs are read too.
    """
    columns: list[Any] = ["battle_prompt", "battle_a", "battle_b", _TOLD_OF, "annotator_id"]
    rows = votes.order_by().values_list(*columns, *(["pair_id"] if pairs else []))
    while True:
        bounds = _bounds_of(project, pairs=pairs)
        read = read_packed(rows, **bounds)
        # what a vote is about was there before it
        if within(_bounds_of(project, pairs=pairs), bounds):
            break
    read["code"] = _CODE_OF[read["code"]]
    read.setdefault("pair", np.zeros(1, dtype=np.int64))
    met = np.unique(np.concatenate([distinct(read["a"]), distinct(read["b"])]))
    return Votes(**read), in_order_of_names(met)


def in_order_of_names(met: np.ndarray) -> np.ndarray:
    """Models by primary key."""
    names = dict(ModelVersion.objects.filter(pk__in=met.tolist()).values_list("pk", "name"))
    return np.array(sorted(names, key=lambda pk: names[pk]), dtype=np.int64)


_TOLD_OF = Ord("outcome") + Length("outcome")


def _bounds_of(project: Project, *, pairs: bool) -> dict[str, tuple[int, int]]:
    """Least and greatest of what a project's votes can be about now, in the order of columns."""
    model = _bounds(ModelVersion.objects.filter(project=project))
    found = {
        "prompt": _bounds(Prompt.objects.filter(project=project)),
        "a": model,
        "b": model,
        "code": (min(_TOLD), max(_TOLD)),
        "annotator": _bounds(Annotator.objects.filter(project=project)),
    }
    return {**found, "pair": _bounds(Pair.objects.filter(project=project))} if pairs else found


def _bounds(rows: Any) -> tuple[int, int]:
    found = rows.order_by().aggregate(lo=Min("pk"), hi=Max("pk"))
    return (found["lo"] or 0, found["hi"] or 0)


def annotators_of(project: Project, rows: JudgmentQuerySet, votes: int) -> int:
    """How many people and judges so many votes are of."""
    everybody = Annotator.objects.filter(project=project)
    if everybody.count() * _LOOK_UP > votes:
        return rows.order_by().values("annotator").distinct().count()
    # the order is that of the index by annotators: another would be read to its end for those
    # without a vote
    own = rows.filter(annotator=OuterRef("pk")).order_by("created_at")
    first = Subquery(own.values("pk")[:1])
    return everybody.alias(first=first).filter(first__isnull=False).count()


_LOOK_UP = 100
"""Votes that are read while one annotator's are looked up by an index."""


def distinct(values: np.ndarray) -> np.ndarray:
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


def of_judges(project: Project, votes: Votes) -> np.ndarray:
    """Which votes are judges'."""
    judges = Annotator.objects.filter(project=project, kind="judge").values_list("pk", flat=True)
    return np.isin(votes.annotator, np.fromiter(judges, dtype=np.int64))
