"""Handing out sets to be ranked, as annotation.services.queue hands out pairs: exactly as many
people a set as it wants, with any number of web processes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from annotation import leasing
from annotation.leasing import standing_of
from annotation.models import Annotator, Output, OutputSet, Ranking, RankingLease
from annotation.querysets import OutputSetQuerySet, RankingLeaseQuerySet
from annotation.services.caps import cap_reached, is_paused, progress, until, why_none
from annotation.services.finding import Finder, Remaining
from annotation.services.queue import MAX_HELD
from annotation.services.rounds import is_needed
from annotation.tiers import shuffled


@transaction.atomic
def next_set(*, annotator: Annotator, holding: Collection[int] = ()) -> RankingLease | None:
    """Lease a set to the annotator: the oldest live lease of their own on a set that is not in
    ``holding`` first, else a new one: sets of the annotator's own groups before those of no group;
    by priority, then as the project's policy says.

    Never one that they have ranked, skipped, or wrote an output of. A set's row is locked while a
    lease on it is written, and rows that others have locked are passed over. Of one person's
    requests at a time only one gets on, so that caps and MAX_HELD hold.

    Args:
        annotator: a person of a project; its ``project`` is read too.
        holding: sets that the page has already.

    Returns:
        the lease with its set and the set's prompt; None where there is none to be had now.
    """
    if is_paused(annotator):
        return None
    groups = standing_of(annotator.pk, lock=True).groups
    if is_needed(annotator):
        return None
    live = list(_live(annotator).order_by("leased_at", "pk").values_list("output_set", flat=True))
    for pk in live:
        if pk not in holding and _renew(annotator, [pk]):
            return _lease(annotator, pk)
    if len(live) >= MAX_HELD or _capped(annotator, len(live)):
        return None
    return _finder.first(annotator, groups, sorted(set(holding)))


def _take_shown(annotator: Annotator, pk: int) -> RankingLease | None:
    return _lease(annotator, pk) if _take(annotator, pk) else None


_finder = Finder(leasing.SETS, _take_shown)


def _take(annotator: Annotator, pk: int) -> bool:
    """Lease the set whose row the caller has locked, or take up a lease that ran out with its
    draft; False where no place is free any more."""
    waiting = OutputSet.objects.waiting_for(annotator).filter(pk=pk)
    if not waiting.with_place_for(annotator).exists():
        return False
    outputs = Output.objects.filter(output_sets=pk).values_list("pk", flat=True)
    RankingLease.objects.update_or_create(
        output_set_id=pk,
        annotator=annotator,
        defaults={"expires_at": until(annotator)},
        create_defaults={
            "project_id": annotator.project_id,
            "shown": shuffled(annotator.pk, pk, list(outputs)),
            "expires_at": until(annotator),
        },
    )
    return True


def _lease(annotator: Annotator, pk: int) -> RankingLease:
    rows = RankingLease.objects.select_related("output_set__prompt")
    lease = rows.get(annotator=annotator, output_set=pk)
    lease.project, lease.annotator = annotator.project, annotator
    return lease


@transaction.atomic
def renew_sets(
    *,
    annotator: Annotator,
    sets: Collection[int],
    draft: dict[str, Any] | None = None,
    draft_of: int | None = None,
) -> list[int]:
    """Keep leases for as long again, and what is put in order so far in one of them. A lease that
    ran out is taken up again if its place is still free.

    Returns:
        those of the sets that the annotator holds now.
    """
    standing_of(annotator.pk, lock=True)
    # the sets' locks before the lease's, as whoever takes a ranking in has them
    held = _renew(annotator, sets)
    RankingLease.objects.keep_draft(annotator, draft_of, draft)
    return held


def _renew(annotator: Annotator, sets: Collection[int]) -> list[int]:
    """The sets' rows are locked, so that a lease about to run out is not renewed for one and given
    to another at once. The caller holds the annotator's."""
    rows = OutputSet.objects.filter(pk__in=sets, leases__annotator=annotator).order_by("pk")
    locked = rows.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True)
    live = set(_live(annotator).values_list("output_set", flat=True))
    held = []
    for pk in list(locked):
        if pk not in live and (len(live) >= MAX_HELD or _capped(annotator, len(live))):
            continue
        if _take(annotator, pk):
            live.add(pk)
            held.append(pk)
    return held


def why_no_set(annotator: Annotator) -> str:
    """Why :func:`next_set` has nothing, as :func:`annotation.services.caps.why_none` says it."""
    groups = standing_of(annotator.pk).groups
    return why_none(
        annotator,
        needs_training=lambda: is_needed(annotator),
        capped=lambda: _capped(annotator, _live(annotator).count()),
        is_waiting=OutputSet.objects.waiting_for(annotator).in_groups(groups).exists,
    )


def progress_in_sets(annotator: Annotator) -> dict[str, int | None]:
    """How far the annotator is: ``done``, ``left``, ``total`` and ``quota``, as
    annotation.services.queue.progress_of counts pairs; a ranking is one verdict."""
    mine = Ranking.objects.current().filter(annotator=annotator)
    counts = mine.aggregate(done=Count("pk", filter=Q(skipped=False)), seen=Count("pk"))
    return progress(annotator, done=counts["done"], left=_remaining.left(annotator, counts["seen"]))


def _taken(rest: OutputSetQuerySet, annotator: Annotator) -> int:
    theirs = rest.filter(rankings__annotator=annotator, rankings__is_current=True).count()
    written = Output.objects.filter(author=annotator)
    ours = rest.filter(outputs__in=written).distinct().count() if written.exists() else 0
    return theirs + ours


_remaining = Remaining(OutputSet.objects, _taken)


def _capped(annotator: Annotator, held: int) -> str:
    return cap_reached(annotator, Ranking.objects.decisive, held=held)


def _live(annotator: Annotator) -> RankingLeaseQuerySet:
    return RankingLease.objects.live().useful().filter(annotator=annotator)
