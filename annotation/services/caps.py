"""How much one person may be given: for how long and up to how many, of pairs and of sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from annotation.models import Annotator
from annotation.querysets import JudgmentQuerySet, RankingQuerySet


def until(annotator: Annotator) -> datetime:
    """When a lease of now runs out."""
    return timezone.now() + timedelta(seconds=annotator.project.lease_seconds)


def cap_of(annotator: Annotator) -> int | None:
    return annotator.project.person_cap if annotator.cap is None else annotator.cap


def progress(annotator: Annotator, *, done: int, left: int) -> dict[str, int | None]:
    """``done``, ``left`` of what waits for them and their cap allows, ``total`` and ``quota``."""
    if (cap := cap_of(annotator)) is not None:
        left = max(0, min(left, cap - done))
    return {"done": done, "left": left, "total": done + left, "quota": annotator.quota}


def cap_reached(
    annotator: Annotator, decisive: Callable[[], JudgmentQuerySet | RankingQuerySet], *, held: int
) -> str:
    """``cap`` or ``day_cap`` where the person may be given no more, else empty; what they hold
    counts as done.

    Args:
        decisive: makes the query of everybody's judgments or rankings that count.
    """
    cap, day_cap = cap_of(annotator), annotator.project.day_cap
    if cap is None and day_cap is None:
        return ""
    mine = decisive().filter(annotator=annotator)
    if cap is not None and mine.count() + held >= cap:
        return "cap"
    if day_cap is not None:
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        if mine.filter(created_at__gte=midnight).count() + held >= day_cap:
            return "day_cap"
    return ""


def is_paused(annotator: Annotator) -> bool:
    """Whether the owner has stopped the project, or this person in it."""
    return annotator.project.paused or annotator.paused


def why_none(
    annotator: Annotator,
    *,
    needs_training: Callable[[], bool],
    capped: Callable[[], str],
    is_waiting: Callable[[], bool],
) -> str:
    """Why the queue has nothing for somebody, asked in this order.

    Args:
        capped: what cap is reached, or an empty text.
        is_waiting: whether there is something that others hold at the moment.

    Returns:
        ``paused`` (the project), ``person_paused``, ``training`` (to be passed first), ``cap``,
        ``day_cap``, ``with_others`` (what is left is held, by others or by the person) or ``done``.
    """
    if is_paused(annotator):
        return "paused" if annotator.project.paused else "person_paused"
    if needs_training():
        return "training"
    return capped() or ("with_others" if is_waiting() else "done")
