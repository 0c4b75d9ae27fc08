"""Handing out pairs: who is given which one, for how long, and how far they are."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from annotation import leasing, sides
from annotation.models import Annotator, Assignment, Judgment, Outcome, Output, Pair
from annotation.querysets import AssignmentQuerySet, PairQuerySet
from annotation.services.caps import cap_reached, is_paused, progress, until, why_none
from annotation.services.finding import Finder, Remaining
from steelyard.accounts.models import User
from steelyard.projects.models import Modality, Project
from steelyard.projects.policy import ANY_ROLE, get_project
from steelyard.web.prepared import Given, Prepared

MAX_HELD = 4
"""Leases that one person may hold at a time: the pair on the screen and those fetched ahead."""

_NAME_LENGTH = 150


def annotator_for(*, user: User, project: Project) -> Annotator:
    """The person's row in a project, made at their first visit.

    It has the person's user name, or where votes were imported or a judge was made under that
    name, one with a number behind it: nobody adds to another's votes.
    """
    annotator = Annotator.objects.filter(project=project, user=user).first()
    if annotator is None:
        annotator = _join(user, project)
    annotator.project = project
    return annotator


def annotator_in(*, user: User, slug: str) -> Annotator:
    """Load and authorise in one call, and for all but the first visit in one query: the person's
    row in a project in which they have a role.

    Raises:
        Http404: there is no such project, or the person has no role in it.
    """
    mine = _OWN if user.is_superuser else _OWN_AS_MEMBER
    if annotator := mine.first(user=user.pk, slug=slug):
        return annotator
    return annotator_for(user=user, project=get_project(user, slug, ANY_ROLE))


def _own() -> QuerySet[Annotator]:
    mine = Annotator.objects.filter(user=Given("user"), project__slug=Given("slug"))
    return mine.select_related("project__prelabelling").order_by()


_OWN = Prepared(_own)

# any role will do, and whoever has none has no membership
_OWN_AS_MEMBER = Prepared(lambda: _own().filter(project__memberships__user=Given("user")))


def _join(user: User, project: Project) -> Annotator:
    """A second request at once finds the row of the first."""
    for number in count(1):
        tail = f" ({number})" if number > 1 else ""
        name = user.username[: _NAME_LENGTH - len(tail)] + tail
        if number > 1 and Annotator.objects.filter(project=project, name=name).exists():
            continue
        try:
            annotator, _ = Annotator.objects.get_or_create(
                project=project,
                user=user,
                defaults={"kind": Annotator.Kind.PERSON, "name": name},
            )
        except IntegrityError:
            continue  # the name is taken
        return annotator
    raise AssertionError("there is always a next number")


@transaction.atomic
def next_pair(*, annotator: Annotator, holding: Collection[int] = ()) -> Assignment | None:
    """Lease a pair to the annotator: the oldest live lease of their own on a pair that is not in
    ``holding`` first, so that a page loaded again shows the same pair; else a new one.

    Pairs of the annotator's own groups come first, then those of no group; by priority, then as
    the project's policy says. Never one that they have judged, skipped, or wrote a side of.

    No pair ever has more judgments and live leases together than it wants judgments: its row is
    locked while a lease is written or renewed, and rows that others have locked are passed over.
    Of one person's requests at a time only one gets on, so that caps and MAX_HELD hold.

    Args:
        annotator: a person of a project; its ``project`` is read too.
        holding: pairs that the page has already.

    Returns:
        the lease with all that is shown of its pair; None where there is none to be had now,
        for which :func:`why_nothing` tells the reason.
    """
    if is_paused(annotator):
        return None
    standing, leases = leasing.locked_standing(annotator.pk, timezone.now())
    if standing.needs_training:
        return None
    live = [pair for pair, is_live in leases.items() if is_live]
    for pair in live:
        if pair not in holding and _renew(annotator, [pair]):
            return _lease(annotator, pair)
    if len(live) >= MAX_HELD or _capped(annotator, len(live)):
        return None
    without = [pair for pair in leases if pair in holding]
    return _finder.first(annotator, standing.groups, without)


def _take(annotator: Annotator, pair: int) -> int | None:
    return leasing.take(_taking(annotator, pair))


def _take_shown(annotator: Annotator, pair: int) -> Assignment | None:
    """:func:`_take` and :func:`_lease` in one."""
    taken, lease = _leases_of(annotator).first_after(
        leasing.TAKE, _taking(annotator, pair), annotator=annotator.pk, pair=pair
    )
    return _of(annotator, lease) if taken else None


def _taking(annotator: Annotator, pair: int) -> dict[str, Any]:
    return {
        "annotator": annotator.pk,
        "project": annotator.project_id,
        "pair": pair,
        "swapped": sides.drawn(annotator.pk, pair),
        "now": timezone.now(),
        "until": until(annotator),
    }


_finder = Finder(leasing.PAIRS, _take_shown)


def _lease(annotator: Annotator, pair: int) -> Assignment:
    """The annotator's lease on a pair, which they hold, with all that is shown of the pair."""
    return _of(annotator, _leases_of(annotator).first(annotator=annotator.pk, pair=pair))


def _of(annotator: Annotator, lease: Assignment | None) -> Assignment:
    assert lease is not None
    lease.project, lease.annotator = annotator.project, annotator
    return lease


def _leases_of(annotator: Annotator) -> Prepared[Assignment]:
    # in a project of texts no answer is a file, so the many fields of two files are not asked for
    return _LEASE_ON_TEXT if annotator.project.modality == Modality.TEXT else _LEASE


def _leases() -> AssignmentQuerySet:
    return Assignment.objects.filter(annotator=Given("annotator"), pair=Given("pair"))


_LEASE = Prepared(lambda: _leases().with_content())
_LEASE_ON_TEXT = Prepared(
    lambda: _leases().select_related("pair__prompt", "pair__output_a", "pair__output_b")
)


def _capped(annotator: Annotator, held: int) -> str:
    return cap_reached(annotator, Judgment.objects.decisive, held=held)


@transaction.atomic
def renew(
    *,
    annotator: Annotator,
    pairs: Collection[int],
    draft: dict[str, Any] | None = None,
    draft_of: int | None = None,
) -> list[int]:
    """Keep leases for as long again, and what is written so far in one of them.

    A lease that ran out is taken up again if its place is still free and the person holds fewer
    than MAX_HELD. The draft is kept even where the place is lost.

    Args:
        pairs: those that the page shows or has ready.
        draft: the fields of the card; None leaves what is there.
        draft_of: the pair of the draft.

    Returns:
        those of the pairs that the annotator holds now.
    """
    # the pairs' locks before the lease's, as whoever takes a verdict in has them
    held = _renew(annotator, pairs)
    Assignment.objects.keep_draft(annotator, draft_of, draft)
    return held


def _renew(annotator: Annotator, pairs: Collection[int]) -> list[int]:
    """The pairs' rows are locked, so that a lease about to run out is not renewed for one and
    given to another at once."""
    rows = Pair.objects.filter(pk__in=pairs, assignments__annotator=annotator).order_by("pk")
    locked = list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
    leases = leasing.held_by(annotator.pk, timezone.now())
    held = [pair for pair in locked if leases.get(pair)]
    live = sum(leases.values())
    Assignment.objects.filter(annotator=annotator, pair__in=held).update(
        expires_at=until(annotator)
    )
    if is_paused(annotator):
        return held
    for pair in locked:
        if leases.get(pair) or live >= MAX_HELD or _capped(annotator, live):
            continue
        if _take(annotator, pair):
            held.append(pair)
            live += 1
    return held


def release(*, annotator: Annotator, pair: Pair) -> None:
    """Give a pair back unjudged, so that it is free for others at once."""
    Assignment.objects.filter(annotator=annotator, pair=pair).delete()


def let_go(*, annotator: Annotator, pairs: Collection[int]) -> None:
    """Leave pairs to others from now on, but take a verdict on them while a place is free: a page
    that is being closed cannot know which of its requests comes first."""
    mine = Assignment.objects.live().filter(annotator=annotator, pair__in=pairs)
    mine.update(expires_at=timezone.now())


def why_nothing(annotator: Annotator) -> str:
    """Why :func:`next_pair` has nothing, as :func:`annotation.services.caps.why_none` says it."""
    standing = leasing.standing_of(annotator.pk)
    return why_none(
        annotator,
        needs_training=lambda: standing.needs_training,
        capped=lambda: _capped(
            annotator, Assignment.objects.live().useful().filter(annotator=annotator).count()
        ),
        is_waiting=Pair.objects.waiting_for(annotator).in_groups(standing.groups).exists,
    )


def progress_of(annotator: Annotator) -> dict[str, int | None]:
    """How far the annotator is.

    Returns:
        ``done``: verdicts; ``left``: pairs that may still be theirs, at most what their cap leaves
        (those that others hold at this moment count, for they may come back; see
        :class:`annotation.services.finding.Remaining`); ``total``: both together; ``quota``: how
        many verdicts are expected of them, None where nobody said.
    """
    mine = Judgment.objects.current().filter(annotator=annotator)
    counts = mine.aggregate(done=Count("pk", filter=~Q(outcome=Outcome.SKIP)), seen=Count("pk"))
    return progress(annotator, done=counts["done"], left=_remaining.left(annotator, counts["seen"]))


def _taken(rest: PairQuerySet, annotator: Annotator) -> int:
    theirs = rest.filter(judgments__annotator=annotator, judgments__is_current=True).count()
    written = Output.objects.filter(author=annotator).values("pk")
    ours = rest.filter(output_a__in=written).count() + rest.filter(output_b__in=written).count()
    return theirs + ours


_remaining = Remaining(Pair.objects, _taken)
