from __future__ import annotations

from celery import shared_task

from steelyard.webhooks import delivering


@shared_task(name="steelyard.webhooks.tasks.deliver")
def deliver(pk: int) -> None:
    delivering.attempt(pk)


@shared_task(name="steelyard.webhooks.tasks.deliver_due")
def deliver_due() -> None:
    """Queue what is to be tried again and what was lost; beat asks every ten seconds."""
    for pk in delivering.due():
        deliver.delay(pk)


@shared_task(name="steelyard.webhooks.tasks.forget_old_deliveries")
def forget_old_deliveries() -> None:
    delivering.forget_old()
