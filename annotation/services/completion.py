"""Telling others of pairs that have all the verdicts that they want."""

from __future__ import annotations

from collections.abc import Iterable

from annotation.models import Judgment, Pair
from steelyard.projects.models import Project
from steelyard.webhooks.models import Event
from steelyard.webhooks.services import emit


def tell_completed(*, project: Project, judgments: Iterable[Judgment]) -> None:
    """Of the pairs of these judgments, the last of which have completed them, those that want no
    more; in the transaction that wrote them. Costs nothing where nobody wants to know."""
    if not is_told(project):
        return
    pairs = Pair.objects.complete().filter(pk__in=[judgment.pair_id for judgment in judgments])
    for pk, judged, wanted in pairs.order_by("pk").values_list("pk", "judged", "wanted"):
        told = {"pair": pk, "judged": judged, "wanted": wanted}
        emit(project=project, event=Event.PAIR_COMPLETED.value, **told)


def is_told(project: Project) -> bool:
    """Whether anybody wants to know."""
    return Event.PAIR_COMPLETED.value in project.webhook_events
