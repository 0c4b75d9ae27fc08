"""Handing out pairs: who is given which one, and how far they are."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from annotation import sides
from annotation.models import Annotator, Assignment, Judgment, Outcome, Pair
from steelyard.accounts.models import User
from steelyard.projects.models import Project

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
def next_pair(*, annotator: Annotator) -> Assignment | None:
    """Lease the next pair to the annotator; their own live lease first, so that a page loaded
    again shows the same pair in the same order.

    Two annotators never hold more leases on a pair than it wants judgments: the pair's row is
    locked while its lease is written, and rows that others have locked are passed over.

    Returns:
        the assignment, or None where nothing is left for this annotator.
    """
    until = timezone.now() + timedelta(seconds=annotator.project.lease_seconds)
    if held := _held(annotator):
        Assignment.objects.filter(pk=held.pk).update(expires_at=until)
        held.expires_at = until
        return held
    while True:
        pair = (
            Pair.objects.next_for(annotator)
            .select_for_update(skip_locked=True, of=("self",))
            .first()
        )
        if pair is None:
            return None
        # The subquery ran before the lock was ours: look again, now that nobody else can lease.
        if not Pair.objects.next_for(annotator).filter(pk=pair.pk).exists():
            continue
        # A lease of their own that ran out is taken up again.
        Assignment.objects.bulk_create(
            [
                Assignment(
                    project=annotator.project,
                    pair=pair,
                    annotator=annotator,
                    swapped=sides.drawn(annotator.pk, pair.pk),
                    expires_at=until,
                )
            ],
            update_conflicts=True,
            unique_fields=["pair", "annotator"],
            update_fields=["expires_at"],
        )
        return _held(annotator)


def _held(annotator: Annotator) -> Assignment | None:
    """Their live lease; one on a pair that an import has completed meanwhile is no use."""
    lease = (
        Assignment.objects.live()
        .filter(annotator=annotator, pair__judged__lt=F("pair__wanted"))
        .with_content()
        .order_by("-leased_at")
        .first()
    )
    if lease:
        lease.project = annotator.project
    return lease


def progress_of(annotator: Annotator) -> dict[str, int]:
    """How many the annotator has judged, how many are left for them, and how many there are.

    Those that others hold at this moment count as left: they may come back.
    """
    mine = Judgment.objects.current().filter(annotator=annotator)
    done = mine.exclude(outcome=Outcome.SKIP).count()
    # counted as a difference, so that an index alone answers however many pairs there are
    seen = mine.filter(pair__judged__lt=F("pair__wanted")).count()
    left = Pair.objects.filter(project=annotator.project_id).open().count() - seen
    return {"done": done, "left": left, "total": done + left}
