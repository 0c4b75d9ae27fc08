"""What is asked of arenas by those who run them: open one, change it, read how it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from annotation.models import Annotator, Judgment
from evaluation.engine import outliers
from evaluation.models_arena import Arena, Battle, Turn, new_token
from evaluation.sampling import checked_sampling
from evaluation.services import check_model
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import RunState
from steelyard.runs.services import cancel_run

LONGEST_PROMPT = 20_000
MOST_TURNS = 20


@transaction.atomic
def open_arena(
    *,
    project: Project,
    name: str,
    contestants: Sequence[ModelVersion],
    access: str = Arena.Access.LINK,
    sampling: dict[str, Any] | None = None,
    longest_prompt: int = 4000,
    most_turns: int = 5,
    seed: int = 0,
    by: User,
) -> Arena:
    """An arena that takes questions from now on; its engine starts when somebody visits it.

    Args:
        contestants: two at least, each of which can answer.
        access: ``link`` or ``members``.
        sampling: as of evaluations; it goes before a model's own.
        seed: decides who meets whom, and which side each has.

    Raises:
        UserError: it is no text project, or a value is out of bounds.
    """
    if project.modality != Modality.TEXT:
        raise UserError(
            _("An arena compares texts; this project compares something else."), code="not_text"
        )
    if access not in Arena.Access.values:
        raise UserError(_("access is link or members."), field="access")
    for field, value, most in (
        ("longest_prompt", longest_prompt, LONGEST_PROMPT),
        ("most_turns", most_turns, MOST_TURNS),
    ):
        if not 1 <= value <= most:
            raise UserError(
                _("It must be from 1 to %(most)s.") % {"most": f"{most:,}"}, field=field
            )
    _check_contestants(project, contestants)
    arena = Arena.objects.create(
        project=project,
        name=name.strip()[:200] or _("Arena"),
        access=access,
        sampling=checked_sampling(project, sampling or {}),
        longest_prompt=longest_prompt,
        most_turns=most_turns,
        seed=seed,
        created_by=by,
    )
    arena.contestants.set(contestants)
    record(by=by, action="arena.open", target=project.slug, arena=arena.name)
    return arena


def _check_contestants(project: Project, contestants: Sequence[ModelVersion]) -> None:
    if len(set(contestants)) < 2:
        raise UserError(_("Choose two contestants at least, different ones."), field="contestants")
    for model in contestants:
        check_model(project, model, field="contestants")
        if model.modality != Modality.TEXT:
            raise UserError(
                _("%(model)s writes no text.") % {"model": model.name}, field="contestants"
            )


@transaction.atomic
def change_arena(
    *,
    arena: Arena,
    is_open: bool | None = None,
    contestants: Sequence[ModelVersion] | None = None,
    new_link: bool = False,
    by: User,
) -> Arena:
    """Close or open it again, choose other contestants, or give it a new address: the old one
    leads nowhere then.

    Raises:
        UserError: the contestants are no two that can answer.
    """
    arena = Arena.objects.select_for_update(of=("self",)).select_related("project").get(pk=arena.pk)
    stop = False
    if contestants is not None and set(contestants) != set(arena.contestants.all()):
        _check_contestants(arena.project, contestants)
        arena.contestants.set(contestants)
        stop = True  # its engine knows the old ones; the next question starts another
    if is_open is not None and is_open != arena.is_open:
        arena.is_open = is_open
        stop = stop or not is_open
    if new_link:
        arena.token = new_token()
    if stop and arena.run is not None and arena.run.is_active:
        if arena.run.state != RunState.CANCELLING:
            cancel_run(run=arena.run, by=by)
        arena.run = None
    arena.save()
    said = {"is_open": arena.is_open, "new_link": new_link}
    record(by=by, action="arena.change", target=arena.project.slug, arena=arena.name, **said)
    return arena


@dataclass(frozen=True)
class Contestant:
    model: ModelVersion
    battles: int
    votes: int
    failed: int
    """Questions that it did not answer."""


@dataclass(frozen=True)
class Voting:
    """How one person votes in an arena."""

    annotator: Annotator
    is_guest: bool
    votes: int
    row: outliers.Voter | None
    """None where no vote of theirs had a winner."""
    withdrawn: int


@dataclass(frozen=True)
class Standing:
    contestants: list[Contestant]
    voters: list[Voting]
    """The most suspicious first."""
    battles: int
    votes: int
    rated: int
    """Votes that leaderboards count: blind ones that are not withdrawn."""
    not_blind: int
    """Votes left out because an answer gave away who wrote it."""
    withdrawn: int

    @property
    def flagged(self) -> int:
        return sum(v.row is not None and v.row.flagged for v in self.voters)


def standing_of(arena: Arena) -> Standing:
    """How an arena stands, from its votes; nothing of it is kept."""
    battles = Battle.objects.filter(arena=arena)
    voted = battles.exclude(judgment=None)
    votes = Judgment.objects.current().filter(arena_battle__arena=arena)
    gone = set(votes.withdrawn(arena.project).order_by().values_list("pk", flat=True))
    blind = voted.filter(is_blind=True).values_list("judgment", flat=True)
    return Standing(
        contestants=_contestants(arena, battles),
        voters=_voters(arena, voted, gone),
        battles=battles.count(),
        votes=voted.count(),
        rated=sum(pk not in gone for pk in blind),
        not_blind=voted.filter(is_blind=False).count(),
        withdrawn=len(gone),
    )


def _contestants(arena: Arena, battles: QuerySet[Battle]) -> list[Contestant]:
    met: Counter[int] = Counter()
    voted: Counter[int] = Counter()
    counts = battles.order_by().values_list("left", "right")
    for left, right, n, votes in counts.annotate(n=Count("pk"), votes=Count("judgment")):
        met.update({left: n, right: n})
        voted.update({left: votes, right: votes})
    failed: Counter[int] = Counter()
    for side in ("left", "right"):
        rows = Turn.objects.filter(**{"battle__arena": arena, f"{side}_state": Turn.State.FAILED})
        failed.update(rows.order_by().values_list(f"battle__{side}", flat=True))
    return [
        Contestant(model, met[model.pk], voted[model.pk], failed[model.pk])
        for model in arena.contestants.select_related("project").order_by("name")
    ]


def _voters(arena: Arena, voted: QuerySet[Battle], gone: set[int]) -> list[Voting]:
    columns = ("judgment", "judgment__annotator", "left", "right")
    rows = list(
        voted.order_by("pk").values_list(*columns, "judgment__outcome", "judgment__swapped")
    )
    counts: Counter[int] = Counter(row[1] for row in rows)
    withdrawn: Counter[int] = Counter(row[1] for row in rows if row[0] in gone)
    decided = [row for row in rows if row[4] in ("a", "b")]
    found = {row.voter: row for row in _suspicions(decided)}
    people = Annotator.objects.filter(pk__in=counts).select_related("user")
    voters = [
        Voting(a, a.user_id is None, counts[a.pk], found.get(a.pk), withdrawn[a.pk]) for a in people
    ]
    return sorted(
        voters, key=lambda v: (-(v.row.log_e if v.row else 0.0), -v.votes, v.annotator.pk)
    )


def _suspicions(rows: list[Any]) -> list[outliers.Voter]:
    if not rows:
        return []
    _judgment, who, left, right, outcome, swapped = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    left_won = (outcome == "a") != swapped.astype(bool)
    left_is_i = left < right
    return outliers.voters(
        who, np.minimum(left, right), np.maximum(left, right), left_won == left_is_i, left_is_i
    )
