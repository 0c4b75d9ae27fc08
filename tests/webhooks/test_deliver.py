"""Events reach a real receiver, signed, once they are committed, and again where they did not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from annotation.services.queue import annotator_for, next_pair
from annotation.services.verdicts import Verdict, amend_judgment, record_judgment
from steelyard.runs import supervisor
from steelyard.runs.models import Run, RunState
from steelyard.webhooks import delivering, services
from steelyard.webhooks.models import Delivery, Endpoint
from steelyard.webhooks.sending import SendError, is_public, look_up, parts_of, send
from steelyard.webhooks.signing import signature
from tests import factories

pytestmark = pytest.mark.django_db


class Receiver:
    """Somebody's server: keeps what it is sent and answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("Location", receiver.url)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/told?from=steelyard"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_PRIVATE = True
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def endpoint(project: Any, owner: Any, receiver: Receiver) -> Endpoint:
    events = ["pair.completed", "run.finished", "version.published"]
    made = services.add_endpoint(project=project, by=owner, url=receiver.url, events=events)
    project.refresh_from_db()
    return made


def deliver_all() -> None:
    for pk in delivering.due():
        delivering.attempt(pk)


def test_a_completed_pair_is_told_once_and_signed(
    project: Any, member: Any, endpoint: Endpoint, receiver: Receiver
) -> None:
    pair = factories.make_pair(project)
    annotator = annotator_for(user=member, project=project)
    assert next_pair(annotator=annotator)
    verdict = Verdict(uuid=uuid4(), outcome="a", strength=-1)
    judgment, _ = record_judgment(annotator=annotator, pair=pair, verdict=verdict)
    record_judgment(annotator=annotator, pair=pair, verdict=verdict)
    other = Verdict(uuid=uuid4(), outcome="b", strength=1)
    amend_judgment(annotator=annotator, judgment=judgment, verdict=other)

    deliver_all()
    deliver_all()

    ((headers, body),) = receiver.got
    told = json.loads(body)
    assert told["type"] == "pair.completed"
    expected = {"project": project.slug, "pair": pair.pk, "judged": 1, "wanted": 1}
    assert told["data"] == expected
    signed = signature(
        endpoint.secret,
        key=headers["webhook-id"],
        timestamp=int(headers["webhook-timestamp"]),
        body=body,
    )
    assert headers["webhook-signature"] == signed
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.last_status, delivery.attempts) == ("delivered", 204, 1)


def test_what_is_rolled_back_is_not_told(project: Any, endpoint: Endpoint) -> None:
    with transaction.atomic():
        services.emit(project=project, event="pair.completed", pair=1)
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


def test_telling_nobody_asks_the_database_nothing(
    project: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        services.emit(project=project, event="pair.completed", pair=1)


def test_a_finished_run_is_told(project: Any, endpoint: Endpoint) -> None:
    run = Run.objects.create(project=project, kind="demo", title="x", state="running")
    supervisor._end(run, RunState.CANCELLED)
    supervisor._end(run, RunState.CANCELLED)
    told = json.loads(Delivery.objects.get().body)
    assert told["type"] == "run.finished"
    assert told["data"]["run"] == run.pk
    assert told["data"]["state"] == "cancelled"


def test_a_published_version_is_told(project: Any, owner: Any, endpoint: Endpoint) -> None:
    from annotation.recipe import Recipe
    from annotation.services.versions import publish_version

    factories.make_judgment(factories.make_pair(project))
    version = publish_version(
        project=project, dataset_name="first", recipe=Recipe(), note="", by=owner
    )
    told = json.loads(Delivery.objects.get().body)
    assert told["type"] == "version.published"
    assert told["data"]["version"] == version.pk
    assert told["data"]["digest"] == version.digest


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_is_refused_is_tried_again_later(
    endpoint: Endpoint, receiver: Receiver, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "RETRIES", [300] * len(delivering.RETRIES))
    receiver.status = status
    delivery = services.send_test(endpoint=endpoint)
    deliver_all()
    deliver_all()
    assert len(receiver.got) == 1  # no redirect is followed, and nothing is tried at once again
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("pending", 1, status)
    assert delivery.due_at > timezone.now()
    endpoint.refresh_from_db()
    assert endpoint.failing_since

    receiver.status = 200
    Delivery.objects.update(due_at=timezone.now())
    deliver_all()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    first, second = (headers["webhook-id"] for headers, _ in receiver.got)
    assert first == second
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_the_last_attempt_fails_and_can_be_asked_for_again(
    endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status = 500
    delivery = services.send_test(endpoint=endpoint)
    Delivery.objects.update(attempts=len(delivering.RETRIES))
    deliver_all()
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    receiver.status = 200
    services.redeliver(delivery=delivery)
    deliver_all()
    delivery.refresh_from_db()
    assert delivery.state == "delivered"


def test_an_endpoint_where_nothing_arrives_for_days_is_turned_off(
    project: Any, endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.status = 500
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=6))
    services.send_test(endpoint=endpoint)
    deliver_all()
    endpoint.refresh_from_db()
    project.refresh_from_db()
    assert not endpoint.enabled
    assert "5 days" in endpoint.disabled_because
    assert project.webhook_events == []


def test_one_that_is_gone_is_told_no_more(endpoint: Endpoint, receiver: Receiver) -> None:
    receiver.status = 410
    services.send_test(endpoint=endpoint)
    deliver_all()
    endpoint.refresh_from_db()
    assert not endpoint.enabled


def test_both_secrets_sign_for_a_day(owner: Any, endpoint: Endpoint, receiver: Receiver) -> None:
    old = endpoint.secret
    services.rotate_secret(endpoint=endpoint, by=owner)
    services.send_test(endpoint=endpoint)
    deliver_all()
    headers, body = receiver.got[0]
    said = {"key": headers["webhook-id"], "timestamp": int(headers["webhook-timestamp"])}
    signed = {signature(one, body=body, **said) for one in (old, endpoint.secret)}
    assert set(headers["webhook-signature"].split()) == signed
    Endpoint.objects.update(old_secret_until=timezone.now())
    endpoint.refresh_from_db()
    assert endpoint.secrets == [endpoint.secret]


def test_nothing_is_sent_into_a_private_network(
    settings: Any, endpoint: Endpoint, receiver: Receiver
) -> None:
    settings.WEBHOOKS_PRIVATE = False
    services.send_test(endpoint=endpoint)
    deliver_all()
    assert not receiver.got
    assert "private network" in Delivery.objects.get().last_error


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1"),
        *("2002:7f00:1::", "64:ff9b::7f00:1", "::"),
    ],
)
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "localhost"])
def test_other_spellings_of_this_machine_are_seen_through(host: str) -> None:
    with pytest.raises(SendError):
        look_up(host, 80, private=False)


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://x.org", "https://", "http://a:b@x.org/", "http://x.org:0/", "http://[::1"),
        *("http://x.org:99999/", "http://x.org/a b", "http://x.org/\n", "http://ü.org"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SendError):
        parts_of(url)


def test_nobody_listening_is_an_error_with_a_reason(receiver: Receiver) -> None:
    receiver.server.shutdown()
    receiver.server.server_close()
    with pytest.raises(SendError, match="refused"):
        send(receiver.url, b"{}", {}, private=True)
