"""Who gets a place on a pair or a set of answers once somebody's lease has run out: work that is
done comes before work that nobody has begun.

Whoever calls holds the lock of the pair or the set, so that no lease is added meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from annotation.querysets import AssignmentQuerySet, RankingLeaseQuerySet


def claim(others: AssignmentQuerySet | RankingLeaseQuerySet, *, free: int) -> list[int] | None:
    """Take one of the ``free`` places that are wanted still, past others' live leases in which
    nothing is written yet; those stay locked.

    A lease whose row its holder has locked is being written in: it counts as begun, and nobody
    waits for it.

    Returns:
        primary keys of the leases in which nothing is written, the newest first; None where the
        others keep all places.
    """
    rows = others.filter(draft={}).order_by("-leased_at", "-pk")
    idle = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
    begun = others.exclude(pk__in=idle).count()
    return idle if begun < free else None


def make_room(
    others: AssignmentQuerySet | RankingLeaseQuerySet, idle: Sequence[int], *, free: int
) -> None:
    """Delete the newest of the ``idle`` leases, until all leases fit into the ``free`` places."""
    surplus = max(0, others.count() - free)
    others.filter(pk__in=idle[:surplus]).delete()
