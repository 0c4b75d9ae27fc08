"""Groups of annotators, and the pairs that are given to them alone; where the project asks for
rankings, its sets stand for pairs in all of this."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from annotation.models import Annotator, Group, OutputSet, Pair
from annotation.querysets import OutputSetQuerySet, PairQuerySet
from annotation.services import overview
from annotation.services.queue import annotator_for
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

EVERYBODY = "everybody"
"""Pairs that no group has."""
ANYBODY = "anybody"
"""Pairs whosever they are."""
MOST_PRIORITY = 1000
MAX_NAME = 100
MOST_AT_ONCE = 200_000
"""Pairs given by one request: so many take seconds, a million would outlast it."""


@dataclass(frozen=True)
class Choice:
    """Which of the pairs that still want a verdict are meant."""

    whose: Group | str = EVERYBODY
    category: str = ""
    model: ModelVersion | None = None
    origin: str = ""
    unlabelled: bool = False
    """Only those that nobody has judged."""
    limit: int = 0
    """At most so many, the first of the queue; 0 for all."""

    def pairs(self, project: Project) -> PairQuerySet | OutputSetQuerySet:
        rows: Any = work_of(project).open()
        if isinstance(self.whose, Group):
            rows = rows.filter(group=self.whose)
        elif self.whose == EVERYBODY:
            rows = rows.filter(group=None)
        if self.category:
            rows = rows.filter(prompt__category=self.category)
        if self.model:
            rows = rows.of_model(self.model)
        if self.origin and rows.model is Pair:  # of sets it is not kept where they come from
            rows = rows.filter(origin=self.origin)
        if self.unlabelled:
            rows = rows.filter(judged=0)
        return rows.order_by("-priority", "pk")[: self.limit] if self.limit else rows


def work_of(project: Project) -> PairQuerySet | OutputSetQuerySet:
    """What the project's annotators are given: pairs, or sets to rank."""
    kind: Any = OutputSet if project.scheme["task"] == "ranking" else Pair
    return kind.objects.filter(project=project)


def groups_of(project: Project) -> list[Group]:
    """A project's groups by name, each with its ``people`` and ``n_open``: the pairs that it has
    yet to judge."""
    rows = Group.objects.filter(project=project).prefetch_related("members__user")
    counts = dict(
        work_of(project)
        .filter(group__isnull=False)
        .open()
        .order_by()
        .values_list("group")
        .annotate(n=Count("pk"))
    )
    groups = list(rows)
    for group in groups:
        group.n_open = counts.get(group.pk, 0)  # type: ignore[attr-defined]
        group.people = sorted(group.members.all(), key=lambda one: one.name)  # type: ignore[attr-defined]
    return groups


def candidates(project: Project) -> list[User]:
    """Who can be in a group: the project's members, and others who have labelled here."""
    mine = Q(memberships__project=project) | Q(annotators__project=project)
    return list(User.objects.filter(mine, is_active=True).distinct().order_by("username"))


@transaction.atomic
def create_group(*, project: Project, by: User, name: str, members: Collection[str] = ()) -> Group:
    """A group of the people of those user names.

    Raises:
        UserError: ``name_taken``, ``unknown_member``, or no name.
    """
    group = Group(project=project, name=_name(name))
    _save(group)
    group.members.set(_annotators(project, members))
    record(by=by, action="group-made", target=_named(group), members=sorted(members))
    return group


@transaction.atomic
def update_group(
    *, group: Group, by: User, name: str | None = None, members: Collection[str] | None = None
) -> Group:
    """Another name, or other people; what is None stays.

    Raises:
        UserError: as in :func:`create_group`; nothing is changed then.
    """
    if name is not None:
        group.name = _name(name)
        _save(group)
    if members is not None:
        group.members.set(_annotators(group.project, members))
    said = {} if members is None else {"members": sorted(members)}
    record(by=by, action="group-changed", target=_named(group), **said)
    return group


@transaction.atomic
def delete_group(*, group: Group, by: User) -> None:
    """The group is gone; its pairs are everybody's again."""
    record(by=by, action="group-deleted", target=_named(group))
    project = group.project
    for kind in (Pair, OutputSet):  # one statement each, without loading them
        kind.objects.filter(group=group).update(group=None)
    group.delete()
    overview.forget(project)


@transaction.atomic
def give_pairs(
    *,
    project: Project,
    by: User,
    choice: Choice,
    group: Group | None,
    priority: int | None = None,
) -> int:
    """Give the chosen pairs to a group, or to everybody where it is None, in one statement; of
    more than :data:`MOST_AT_ONCE` the first so many, so that asking again gives the rest.

    Pairs that somebody holds at this moment are among them: the verdict may still be sent.

    Args:
        priority: what the pairs' priority becomes; None leaves it.

    Returns:
        how many pairs it were.

    Raises:
        UserError: a priority out of range.
    """
    if priority is not None and not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        raise UserError(
            _("The priority %(value)s is out of range; it must be -%(most)s to %(most)s.")
            % {"value": priority, "most": MOST_PRIORITY},
            field="priority",
        )
    # One such change at a time in a project, so that two never wait for each other's rows.
    # Labelling goes on: a new judgment needs no more of the project's row than its key.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    change: dict[str, Any] = {"group": group}
    if priority is not None:
        change["priority"] = priority
    chosen = choice.pairs(project)
    if not choice.limit or choice.limit > MOST_AT_ONCE:
        chosen = replace(choice, limit=MOST_AT_ONCE).pairs(project)
    n = work_of(project).filter(pk__in=chosen.values("pk")).order_by().update(**change)
    record(
        by=by,
        action="pairs-given",
        target=_named(group) if group else f"everybody in {project.slug}",
        pairs=n,
        **({} if priority is None else {"priority": priority}),
    )
    overview.forget(project)
    return n


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME:
        raise UserError(
            _("A group needs a name of at most %(most)s letters.") % {"most": MAX_NAME},
            field="name",
        )
    return name


def _save(group: Group) -> None:
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise UserError(
            _("There is a group “%(name)s” already; choose another name.") % {"name": group.name},
            code="name_taken",
            status=409,
            field="name",
        ) from None


def _annotators(project: Project, usernames: Collection[str]) -> list[Annotator]:
    """Their rows in the project; who has never labelled gets one."""
    known = {user.username: user for user in candidates(project)}
    missing = sorted(set(usernames) - set(known))
    if missing:
        raise UserError(
            _("%(name)s is no member of the project; add them on the page Members first.")
            % {"name": repr(missing[0])},
            code="unknown_member",
            field="members",
        )
    return [annotator_for(user=known[name], project=project) for name in usernames]


def _named(group: Group) -> str:
    return f"{group} in {group.project.slug}"
