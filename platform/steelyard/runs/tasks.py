from __future__ import annotations

from celery import shared_task
from django.db import transaction

from steelyard.runs import supervisor


@shared_task(name="steelyard.runs.tasks.reconcile_runs")
def reconcile_runs() -> None:
    """Bring every active run's row and process together; beat asks every two seconds."""
    supervisor.reconcile()


def wake_reconciler() -> None:
    """Ask for a pass after commit. Without a broker it only comes later: beat asks as well."""
    transaction.on_commit(reconcile_runs.delay, robust=True)
