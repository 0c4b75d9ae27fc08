"""Who is told of what happens in a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steelyard_client.inside import InProject, plain
from steelyard_client.records import Record

EVENTS = ("pair.completed", "version.published", "run.finished")


@dataclass(frozen=True, kw_only=True)
class Webhook(Record):
    id: int
    url: str
    events: list[str]
    enabled: bool
    disabled_because: str
    created_at: datetime
    secret: str = ""
    """What signs; told once, when it is made."""


@dataclass(frozen=True, kw_only=True)
class Delivery(Record):
    """An event on its way to a webhook, or there."""

    id: int
    key: str
    event: str
    body: Any
    state: str
    attempts: int
    last_status: int | None
    last_error: str
    created_at: datetime
    delivered_at: datetime | None = None


class WebhookVerbs(InProject):
    def webhooks(self) -> Iterator[Webhook]:
        return map(Webhook.of, self._pages("webhooks"))

    def add_webhook(self, url: str, events: Iterable[str] = EVENTS) -> Webhook:
        """Tell an address of events. Keep the ``secret`` of the answer: it is not told again."""
        body = {"url": url, "events": list(events)}
        return Webhook.of(self._connection.post(f"{self._path}/webhooks", body))

    def change_webhook(
        self,
        webhook: Webhook | int,
        *,
        url: str | None = None,
        events: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        body = {"url": url, "events": events and list(events), "enabled": enabled}
        said = self._connection.send("PATCH", self._hook(webhook), json=plain(body))
        return Webhook.of(said.json())

    def new_secret(self, webhook: Webhook | int) -> Webhook:
        """Make a new ``secret``; for a day the old one signs as well."""
        return Webhook.of(self._connection.post(f"{self._hook(webhook)}/secret"))

    def test_webhook(self, webhook: Webhook | int) -> Delivery:
        """Send it an event that tells of nothing."""
        return Delivery.of(self._connection.post(f"{self._hook(webhook)}/test"))

    def deliveries(self, webhook: Webhook | int) -> Iterator[Delivery]:
        """What it was sent in the last 30 days, the newest first."""
        number = webhook if isinstance(webhook, int) else webhook.id
        return map(Delivery.of, self._pages(f"webhooks/{number}/deliveries"))

    def redeliver(self, webhook: Webhook | int, delivery: Delivery | int) -> Delivery:
        """Send one again now, under the same number."""
        number = delivery if isinstance(delivery, int) else delivery.id
        path = f"{self._hook(webhook)}/deliveries/{number}/redeliver"
        return Delivery.of(self._connection.post(path))

    def remove_webhook(self, webhook: Webhook | int) -> None:
        self._connection.send("DELETE", self._hook(webhook))

    def _hook(self, webhook: Webhook | int) -> str:
        return f"{self._path}/webhooks/{webhook if isinstance(webhook, int) else webhook.id}"
