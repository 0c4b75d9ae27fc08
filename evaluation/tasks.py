from __future__ import annotations

from typing import Any

from celery import shared_task
from django.db import transaction

from annotation.models import Pair
from annotation.recent import Recent
from evaluation import asking
from evaluation.features import measure
from evaluation.models import Evaluation
from steelyard.projects.models import Project

WAIT_SECONDS = 1
"""Votes within it are looked at together."""
_asked: Recent[bool] = Recent(seconds=WAIT_SECONDS)
"""Projects for which this process has asked for a look that has not begun."""


@shared_task(name="evaluation.tasks.advance_evaluations")
def advance_evaluations(project: int | None = None) -> None:
    """Open the next batches and stop what is decided; beat asks for all projects."""
    for pk in Evaluation.objects.to_advance(project).values_list("pk", flat=True):
        asking.advance(pk)


def wake(*, pair: Pair, **_: Any) -> None:
    """After a verdict on an evaluation's pair: ask for a look once it is committed. Without a
    broker the look only comes later: beat asks as well."""
    if pair.origin != Pair.Origin.EVALUATION or _asked.get(pair.project_id):
        return
    _asked.put(pair.project_id, True)

    def send() -> None:
        advance_evaluations.apply_async([pair.project_id], countdown=WAIT_SECONDS)

    transaction.on_commit(send, robust=True)


@shared_task(name="evaluation.tasks.measure_outputs")
def measure_outputs(project: int) -> None:
    """Measure the style of outputs of which there are too many for a page to wait for."""
    measure(Project.objects.get(pk=project))
