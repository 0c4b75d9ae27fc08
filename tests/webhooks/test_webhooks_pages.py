"""Webhooks by page and by API: for a project's admins alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from steelyard.accounts.models import AuditEvent
from steelyard.webhooks import services
from steelyard.webhooks.models import Delivery, Endpoint
from tests import factories
from tests.api_client import Api

pytestmark = pytest.mark.django_db
URL = "https://example.org/hook"


@pytest.fixture
def endpoint(project: Any, owner: Any) -> Endpoint:
    return services.add_endpoint(project=project, by=owner, url=URL, events=["run.finished"])


def test_an_admin_adds_one_and_sees_its_secret_once(as_user: Any, project: Any, owner: Any) -> None:
    client = as_user(owner)
    path = reverse("webhooks:endpoint-list", args=[project.slug])
    said = {"url": URL, "events": ["pair.completed"]}
    page = client.post(path, said, follow=True).content.decode()
    endpoint = Endpoint.objects.get()
    assert endpoint.secret in page
    here = reverse("webhooks:endpoint-detail", args=[project.slug, endpoint.pk])
    assert endpoint.secret not in client.get(here).content.decode()
    assert URL in client.get(path).content.decode()
    project.refresh_from_db()
    assert project.webhook_events == ["pair.completed"]
    assert AuditEvent.objects.get(action="webhook-added").actor == owner


def test_an_admin_changes_rotates_tests_and_deletes(
    as_user: Any, project: Any, owner: Any, endpoint: Endpoint
) -> None:
    client = as_user(owner)

    def url(name: str, *more: int) -> str:
        return reverse(f"webhooks:{name}", args=[project.slug, endpoint.pk, *more])

    client.post(url("endpoint-detail"), {"url": URL + "2", "events": ["run.finished"]})
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.enabled) == (URL + "2", False)
    project.refresh_from_db()
    assert project.webhook_events == []
    assert client.post(url("endpoint-test")).status_code == 409
    said = {"url": URL, "events": ["run.finished"], "enabled": "on"}
    client.post(url("endpoint-detail"), said)
    client.post(url("endpoint-test"))
    delivery = Delivery.objects.get()
    Delivery.objects.update(state="failed")
    page = client.get(url("endpoint-detail")).content.decode()
    assert delivery.key in page
    client.post(url("delivery-again", delivery.pk))
    delivery.refresh_from_db()
    assert delivery.state == "pending"
    old = endpoint.secret
    page = client.post(url("endpoint-secret"), follow=True).content.decode()
    endpoint.refresh_from_db()
    assert endpoint.secret != old
    assert endpoint.secret in page
    client.post(url("endpoint-delete"))
    assert not Endpoint.objects.exists()


def test_by_api(project: Any, owner: Any) -> None:
    api = Api(owner, project)
    made = api.post("webhooks", {"url": URL, "events": ["run.finished", "pair.completed"]})
    assert made.status_code == 201, made.content
    assert made.json()["secret"].startswith("whsec_")
    one = f"webhooks/{made.json()['id']}"
    shown = api.get(one)
    assert "secret" not in shown.json()
    assert shown.json()["events"] == ["pair.completed", "run.finished"]
    said = {"content_type": "application/json", "headers": {"If-Match": shown["ETag"]}}
    assert api.client.patch(api.root + one, {"enabled": False}, **said).status_code == 200
    again = api.client.patch(api.root + one, {"enabled": True}, **said)
    assert (again.status_code, again.json()["code"]) == (412, "changed_meanwhile")
    assert api.client.delete(api.root + one, headers={"If-Match": shown["ETag"]}).status_code == 412
    assert api.post(f"{one}/test", {}).json()["code"] == "turned_off"
    api.client.patch(api.root + one, {"enabled": True}, content_type="application/json")
    sent = api.post(f"{one}/test", {})
    assert sent.status_code == 202
    assert [row["id"] for row in api.get(f"{one}/deliveries").json()["results"]] == [
        sent.json()["id"]
    ]
    assert api.post(f"{one}/deliveries/{sent.json()['id']}/redeliver", {}).status_code == 202
    assert api.post(f"{one}/secret", {}).json()["secret"] != made.json()["secret"]
    assert api.client.delete(api.root + one).status_code == 204


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://localhost:8000/", "http://[::1]/", "http://10.0.0.1/x"),
        *("http://2130706433/", "http://0x7f000001/", "http://127.1/", "http://0177.0.0.1/"),
    ],
)
def test_private_addresses_are_refused_at_once(project: Any, owner: Any, url: str) -> None:
    answer = Api(owner, project).post("webhooks", {"url": url, "events": ["run.finished"]})
    assert (answer.status_code, answer.json()["code"]) == (400, "private_address")


def test_a_wrong_address_stays_in_the_form(as_user: Any, project: Any, owner: Any) -> None:
    path = reverse("webhooks:endpoint-list", args=[project.slug])
    page = as_user(owner).post(path, {"url": "ftp://x", "events": ["run.finished"]})
    assert "begins with https://" in page.content.decode()


def test_nobody_else_sees_any(
    as_user: Any, project: Any, member: Any, stranger: Any, endpoint: Endpoint
) -> None:
    researcher = factories.make_user("researcher", project=project, role="researcher")
    for user in (member, stranger, researcher):
        client, api = as_user(user), Api(user, project)
        for name, args in (("endpoint-list", []), ("endpoint-detail", [endpoint.pk])):
            path = reverse(f"webhooks:{name}", args=[project.slug, *args])
            assert client.get(path).status_code == 404
        for path in ("webhooks", f"webhooks/{endpoint.pk}", f"webhooks/{endpoint.pk}/deliveries"):
            assert api.get(path).status_code == 404
        assert api.post(f"webhooks/{endpoint.pk}/secret", {}).status_code == 404
        assert api.post(f"webhooks/{endpoint.pk}/test", {}).status_code == 404
        delete = reverse("webhooks:endpoint-delete", args=[project.slug, endpoint.pk])
        assert client.post(delete).status_code == 404
