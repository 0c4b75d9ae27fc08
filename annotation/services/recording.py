"""What taking in a verdict on a pair and an order of a set have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, transaction

from annotation.models import Judgment, OutputSet, Pair, Ranking
from annotation.querysets import AssignmentQuerySet, RankingLeaseQuerySet
from steelyard.lib.errors import UserError

Said = TypeVar("Said")
Stored = TypeVar("Stored", Judgment, Ranking)


def once(
    *,
    check: Callable[[], Said],
    write: Callable[[Said], Stored | None],
    replayed: Callable[[], Stored | None],
) -> tuple[Stored, bool] | None:
    """What ``write`` makes of what ``check`` lets through, all or nothing; or what its UUID stands
    for already.

    Whether it is there already is asked last: it seldom is, and then it does not matter whether
    the label scheme would still allow it or who was quicker.

    Returns:
        what is stored, and whether it is new; None where ``write`` had nothing to write on.
    """
    refused: Exception | None = None
    try:
        said = check()
        with transaction.atomic():
            if stored := write(said):
                return stored, True
    except (UserError, IntegrityError) as error:
        # an IntegrityError: a second copy of the request, or another with its UUID, was quicker
        refused = error
    if known := replayed():
        return known, False
    if isinstance(refused, UserError):
        raise refused
    return None


def free_place(
    of: Pair | OutputSet,
    others: AssignmentQuerySet | RankingLeaseQuerySet,
    *,
    taken: Callable[[], UserError],
    held: Callable[[], UserError],
) -> None:
    """See that a place is free for a skip that becomes a verdict. The caller holds the row's lock.

    Raises:
        UserError: ``taken``, it wants no more; ``held``, others are at work on all that it wants.
    """
    free = of.wanted - of.judged
    if of.closed or free <= 0:
        raise taken()
    if others.count() >= free:
        raise held()
