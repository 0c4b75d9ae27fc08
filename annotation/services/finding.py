"""Finding what somebody is given next, and counting what is left for them: of pairs and of sets to
rank alike, and in a project of a million as in one of a thousand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db.models import Count
from django.utils import timezone

from annotation import leasing
from annotation.models import Annotator
from annotation.recent import Recent

COUNTED_EXACTLY = 2_000
"""Up to so many open pairs of a project are counted whenever somebody asks; of more, what is left
was counted within the last minute, and goes down with the asker's own work between."""

SLOW_SEARCH_SECONDS = 0.004
"""A search that took longer leaves a mark where it ended."""

Lease = TypeVar("Lease")


class Finder(Generic[Lease]):
    """Looks for what somebody may be given, in the order of the queue."""

    def __init__(self, kind: leasing.Kind, take: Callable[[Annotator, int], Lease | None]) -> None:
        """
        Args:
            take: leases what was found, by its number and with its row locked; None where others
                were quicker.
        """
        self.kind, self.take = kind, take
        # Where a long search of an annotator in a group ended, by the policy of that time: all
        # before was seen by them or held by others.
        self._marks: Recent[leasing.Place] = Recent(seconds=10)

    def first(self, annotator: Annotator, groups: list[int], without: list[int]) -> Lease | None:
        """Lease the first that is to be had of the person's own groups, then of no group.

        Args:
            without: what is not to be found.
        """
        for group in [*self._by_urgency(annotator, groups, without), None]:
            if lease := self._in_group(annotator, group, without):
                return lease
        return None

    def _in_group(
        self, annotator: Annotator, group: int | None, without: list[int]
    ) -> Lease | None:
        """The next of a group, looked for behind the mark first, then everywhere.

        Somebody who has judged thousands of pairs that still wait for others has all of these
        before them each time. A mark lets them begin behind those. What has come in front of it
        since is seen when the mark is forgotten, seconds later, or when nothing is found behind
        it: a pair may come a little late and is never missed.
        """
        queue = (annotator.pk, group, annotator.project.queue_policy)
        mark = self._marks.get(queue)
        if mark and (found := self._lease_first(annotator, group, without, behind=mark)):
            return found[1]
        started = time.monotonic()
        if not (found := self._lease_first(annotator, group, without)):
            return None
        place, lease = found
        if time.monotonic() - started > SLOW_SEARCH_SECONDS:
            self._marks.put(queue, place)
        return lease

    def _lease_first(
        self,
        annotator: Annotator,
        group: int | None,
        without: list[int],
        behind: leasing.Place | None = None,
    ) -> tuple[leasing.Place, Lease] | None:
        """Lease the first that is to be had; where it stood, and the lease."""
        while place := self._search(annotator, group=group, without=without, behind=behind):
            # others may have leased it between the search's look and its lock: then search again
            if lease := self.take(annotator, place.id):
                return place, lease
        return None

    def _by_urgency(self, annotator: Annotator, groups: list[int], without: list[int]) -> list[int]:
        """The groups in the order of their first."""
        if len(groups) < 2:
            return groups
        policy = annotator.project.queue_policy
        heads = [
            (head.rank(policy), group)
            for group in groups
            if (head := self._search(annotator, group=group, without=without, lock=False))
        ]
        return [group for _, group in sorted(heads)]

    def _search(self, annotator: Annotator, **where: Any) -> leasing.Place | None:
        return leasing.search(
            of=self.kind,
            annotator=annotator.pk,
            project=annotator.project_id,
            policy=annotator.project.queue_policy,
            now=timezone.now(),
            **where,
        )


class Remaining:
    """How many wait for somebody, without counting a large project for each of them each time."""

    def __init__(self, rows: Any, taken: Callable[[Any, Annotator], int]) -> None:
        """
        Args:
            rows: the manager of what is counted.
            taken: how many of a queryset of open ones are not for the annotator: those that they
                have seen, and those with something of their own.
        """
        self.rows, self.taken = rows, taken
        self._opens: Recent[dict[int | None, int]] = Recent(seconds=60)
        """Open ones of a large project, by group."""
        self._lefts: Recent[tuple[int, int]] = Recent(seconds=60)
        """Of an annotator in a large project: how many were left, and how many they had seen."""

    def left(self, annotator: Annotator, seen: int) -> int:
        """How many wait for the annotator, who has judged or skipped ``seen``."""
        if known := self._lefts.get(annotator.pk):
            left, seen_then = known
            return max(0, left - (seen - seen_then))
        groups = leasing.standing_of(annotator.pk).groups
        opened = self.rows.open().filter(project=annotator.project_id)
        if opened[: COUNTED_EXACTLY + 1].count() <= COUNTED_EXACTLY:
            return int(self.rows.waiting_for(annotator).in_groups(groups).count())
        # As a difference, so that an index alone answers, whose count one process makes for all.
        counts = self._opens.get(annotator.project_id) or self._opens.put(
            annotator.project_id,
            dict(opened.order_by().values_list("group").annotate(n=Count("pk"))),
        )
        there = sum(counts.get(group, 0) for group in (None, *groups))
        left = max(0, there - self.taken(opened.in_groups(groups), annotator))
        self._lefts.put(annotator.pk, (left, seen))
        return left
