from __future__ import annotations

from celery import shared_task

from evaluation.services_following import begin_rounds


@shared_task(name="evaluation.tasks_following.begin_wanted_rounds")
def begin_wanted_rounds() -> None:
    """Begin the rounds that were wished for after trainings; beat asks every ten seconds."""
    begin_rounds()
