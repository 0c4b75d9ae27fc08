"""What is asked about webhooks: telling of an event, and who is told."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.webhooks.delivering import note_events
from steelyard.webhooks.models import TEST_EVENT, Delivery, Endpoint, Event
from steelyard.webhooks.sending import SendError, is_public, parts_of
from steelyard.webhooks.signing import new_secret
from steelyard.webhooks.tasks import deliver

MOST = 20
"""endpoints of one project"""
BOTH_SIGN = timedelta(hours=24)


def emit(*, project: Project, event: str, **data: Any) -> None:
    """Tell the project's endpoints of something, in the transaction in which it happens: it is
    told if that is committed, and not otherwise. Costs nothing where nobody wants to know.

    Args:
        data: what is told, as JSON has it; the project's slug is added.
    """
    if event not in project.webhook_events:
        return
    with transaction.atomic():
        for endpoint in Endpoint.objects.filter(
            project=project, enabled=True, events__contains=[event]
        ):
            _write(endpoint, event, {"project": project.slug, **data})


def send_test(*, endpoint: Endpoint) -> Delivery:
    """An event that tells of nothing, to see whether it arrives.

    Raises:
        UserError: the endpoint is turned off.
    """
    if not endpoint.enabled:
        raise _turned_off()
    return _write(endpoint, TEST_EVENT, {"project": endpoint.project.slug})


@transaction.atomic
def add_endpoint(*, project: Project, by: User, url: str, events: Collection[str]) -> Endpoint:
    """A new endpoint; its ``secret`` is shown this once.

    Raises:
        UserError: the address or an event is wrong, or the project has as many as it may.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if Endpoint.objects.filter(project=project).count() >= MOST:
        raise UserError(
            _("A project has at most %(n)s webhooks; delete one first.") % {"n": MOST},
            code="too_many",
            status=409,
        )
    endpoint = Endpoint.objects.create(
        project=project,
        url=checked_url(url),
        events=_checked_events(events),
        secret=new_secret(),
        created_by=by,
    )
    _noted(endpoint, by, "webhook-added")
    return endpoint


@transaction.atomic
def update_endpoint(
    *,
    endpoint: Endpoint,
    by: User,
    url: str | None = None,
    events: Collection[str] | None = None,
    enabled: bool | None = None,
) -> Endpoint:
    """Another address, other events, off or on; what is None stays. Turned on again, it begins
    with what happens from then on and what still waits.

    Raises:
        UserError: as in :func:`add_endpoint`.
    """
    if url is not None:
        endpoint.url = checked_url(url)
    if events is not None:
        endpoint.events = _checked_events(events)
    if enabled is not None:
        endpoint.enabled = enabled
        endpoint.disabled_because = ""
        endpoint.failing_since = None
    endpoint.save()
    _noted(endpoint, by, "webhook-changed")
    return endpoint


@transaction.atomic
def rotate_secret(*, endpoint: Endpoint, by: User) -> Endpoint:
    """A new ``secret``, shown this once; for a day the old one signs as well."""
    endpoint.old_secret, endpoint.secret = endpoint.secret, new_secret()
    endpoint.old_secret_until = timezone.now() + BOTH_SIGN
    endpoint.save(update_fields=["secret", "old_secret", "old_secret_until"])
    record(by=by, action="webhook-secret-changed", target=_named(endpoint))
    return endpoint


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint, by: User) -> None:
    """The endpoint and its deliveries are gone."""
    project = endpoint.project_id
    record(by=by, action="webhook-deleted", target=_named(endpoint))
    endpoint.delete()
    note_events(project)


@transaction.atomic
def redeliver(*, delivery: Delivery) -> Delivery:
    """Send it again now, under the same number, whether or not it arrived before.

    Raises:
        UserError: its endpoint is turned off.
    """
    if not delivery.endpoint.enabled:
        raise _turned_off()
    delivery.state = Delivery.State.PENDING
    delivery.attempts = 0
    delivery.due_at = timezone.now()
    delivery.save(update_fields=["state", "attempts", "due_at"])
    transaction.on_commit(partial(deliver.delay, delivery.pk), robust=True)
    return delivery


def checked_url(url: str) -> str:
    """
    Raises:
        UserError: it is no address, or one in a private network.
    """
    url = url.strip()
    try:
        host = parts_of(url).hostname or ""
    except SendError as error:
        raise UserError(str(error), field="url") from None
    if len(url) > 1000:
        raise UserError(_("An address has at most 1000 characters."), field="url")
    if not settings.WEBHOOKS_PRIVATE and _is_private(host):
        raise UserError(
            _("%(host)s is in a private network; nothing is sent there.") % {"host": host},
            code="private_address",
            field="url",
        )
    return url


def _is_private(host: str) -> bool:
    """Of a host that needs no look-up; of all others it is seen when something is sent."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(OSError, UnicodeError):
        # an address in any notation that a look-up understands: 127.1, 2130706433, 0x7f000001
        host = socket.inet_ntoa(socket.inet_aton(host))
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


def _checked_events(events: Collection[str]) -> list[str]:
    wrong = [one for one in events if one not in Event.values]
    if wrong or not events:
        raise UserError(
            _("Choose one or more of the events %(known)s.") % {"known": ", ".join(Event.values)},
            field="events",
        )
    return [one for one in Event.values if one in events]


def _write(endpoint: Endpoint, event: str, data: dict[str, Any]) -> Delivery:
    body = {"type": event, "timestamp": timezone.now().isoformat(), "data": data}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    delivery = Delivery.objects.create(endpoint=endpoint, event=event, body=text)
    # without a broker it only goes later: beat looks for what waits
    transaction.on_commit(partial(deliver.delay, delivery.pk), robust=True)
    return delivery


def _noted(endpoint: Endpoint, by: User, action: str) -> None:
    note_events(endpoint.project_id)
    record(
        by=by,
        action=action,
        target=_named(endpoint),
        events=endpoint.events,
        enabled=endpoint.enabled,
    )


def _named(endpoint: Endpoint) -> str:
    return f"{endpoint.project.slug}: {endpoint.url}"


def _turned_off() -> UserError:
    return UserError(
        _("This webhook is turned off; turn it on first."), code="turned_off", status=409
    )
