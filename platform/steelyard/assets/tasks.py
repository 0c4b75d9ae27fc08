from __future__ import annotations

from celery import shared_task

from steelyard.assets import runner


@shared_task(name="steelyard.assets.tasks.make_renditions")
def make_renditions() -> None:
    """Make what is pending; asked after each upload and, for what was lost, by beat."""
    if runner.make_pending():
        make_renditions.delay()
