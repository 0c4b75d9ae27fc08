"""Sending what waits: at least once, later and later where it does not arrive."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from steelyard.projects.models import Project
from steelyard.webhooks.models import Delivery, Endpoint
from steelyard.webhooks.sending import Answer, SendError, send
from steelyard.webhooks.signing import headers

RETRIES = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
"""seconds until the next attempt, after the first, the second …"""
GIVE_UP = timedelta(days=5)
"""An endpoint at which nothing arrives for so long is turned off."""
KEPT = timedelta(days=30)
_CLAIM = timedelta(minutes=2)
"""For so long nobody else tries: longer than one attempt takes."""
_AT_ONCE = 50


def due() -> list[int]:
    """Deliveries to be tried now: those whose first task was lost, and those to be tried again."""
    rows = Delivery.objects.filter(
        state=Delivery.State.PENDING, due_at__lte=timezone.now(), endpoint__enabled=True
    )
    return list(rows.order_by("due_at").values_list("pk", flat=True)[:_AT_ONCE])


def forget_old() -> None:
    """Deliveries are kept for looking at, not for ever."""
    before = timezone.now() - KEPT
    Delivery.objects.filter(created_at__lt=before).exclude(state=Delivery.State.PENDING).delete()


def attempt(pk: int) -> None:
    """Send one delivery, if it is due and nobody else is at it."""
    now = timezone.now()
    waiting = Delivery.objects.filter(pk=pk, state=Delivery.State.PENDING, due_at__lte=now)
    if not waiting.update(due_at=now + _CLAIM, attempts=F("attempts") + 1):
        return
    delivery = Delivery.objects.select_related("endpoint").get(pk=pk)
    try:
        answer = _send(delivery)
    except SendError as error:
        _missed(delivery, None, str(error))
        return
    if 200 <= answer.status < 300:
        _arrived(delivery, answer)
    else:
        _missed(delivery, answer.status, answer.text)


def _send(delivery: Delivery) -> Answer:
    endpoint = delivery.endpoint
    body = delivery.body.encode()
    signed = headers(endpoint.secrets, key=delivery.key, timestamp=int(time.time()), body=body)
    said = {"Content-Type": "application/json", "User-Agent": "Steelyard-Webhooks/1", **signed}
    return send(endpoint.url, body, said, private=settings.WEBHOOKS_PRIVATE)


def _arrived(delivery: Delivery, answer: Answer) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.DELIVERED,
        delivered_at=timezone.now(),
        last_status=answer.status,
        last_error="",
    )
    Endpoint.objects.filter(pk=delivery.endpoint_id).exclude(failing_since=None).update(
        failing_since=None
    )


def _missed(delivery: Delivery, status: int | None, why: str) -> None:
    """Note it, and when to try again."""
    now = timezone.now()
    again = delivery.attempts <= len(RETRIES)
    wait = RETRIES[min(delivery.attempts, len(RETRIES)) - 1]
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.PENDING if again else Delivery.State.FAILED,
        due_at=now + timedelta(seconds=wait),
        last_status=status,
        last_error=why.replace("\x00", "")[:500],
    )
    rows = Endpoint.objects.filter(pk=delivery.endpoint_id)
    rows.filter(failing_since=None).update(failing_since=now)
    if status == 410:
        _turn_off(delivery.endpoint, "It answered 410 Gone: it wants no more.")
    elif rows.filter(failing_since__lt=now - GIVE_UP).exists():
        _turn_off(delivery.endpoint, f"Nothing has arrived there for {GIVE_UP.days} days.")


def _turn_off(endpoint: Endpoint, why: str) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(enabled=False, disabled_because=why)
    note_events(endpoint.project_id)


def note_events(project: int) -> None:
    """Write down with the project what its endpoints want to know, so that nobody has to ask the
    database whether there are any."""
    rows = Endpoint.objects.filter(project=project, enabled=True).values_list("events", flat=True)
    wanted = sorted({event for events in rows for event in events})
    Project.objects.filter(pk=project).update(webhook_events=wanted)
