from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from annotation.held import gather_where_due
from annotation.models import Assignment


@shared_task(name="annotation.tasks.free_abandoned_leases")
def free_abandoned_leases() -> None:
    """Forget leases that ran out a day ago; an expired one blocks nobody even before that, and
    until then its holder may still send the verdict."""
    Assignment.objects.filter(expires_at__lt=timezone.now() - timedelta(days=1)).delete()


@shared_task(name="annotation.tasks.gather_battles")
def gather_battles() -> None:
    """Hold the votes of projects together in which many have changed."""
    gather_where_due()
