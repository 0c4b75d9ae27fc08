from __future__ import annotations

from celery import shared_task

from steelyard.runs import supervisor


@shared_task(name="steelyard.runs.tasks.reconcile_runs")
def reconcile_runs() -> None:
    """Bring every active run's row and process together; beat asks every two seconds."""
    supervisor.reconcile()
