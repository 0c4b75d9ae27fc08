from __future__ import annotations

from celery import shared_task

from training import caching


@shared_task(name="training.tasks.trim_cache")
def trim_cache() -> None:
    """Keep what runs share within its limit; beat asks every quarter of an hour."""
    caching.trim()
