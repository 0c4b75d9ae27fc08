from __future__ import annotations

from celery import shared_task

from training.sweeps import runner


@shared_task(name="training.sweeps.tasks.advance_sweeps")
def advance_sweeps() -> None:
    """Bring every active sweep a little further; beat asks every five seconds."""
    runner.advance()
