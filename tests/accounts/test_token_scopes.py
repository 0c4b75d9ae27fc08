"""A token does what its scopes say, in the project that it is for, until it expires."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from steelyard.accounts import services
from steelyard.accounts.models import ApiToken, AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db
SAFE = {"get", "head", "options"}
# GETs that lease something or make a row for who asks: no business of a token that reads
LABELLING = {"next", "progress", "training/next", "rankings/next", "sets/next"}


def client_of(user: Any, **said: Any) -> Client:
    _, key = services.create_token(user=user, name="t", **said)
    return Client(headers={"Authorization": f"Bearer {key}"})


def routes() -> Iterator[tuple[str, Any]]:
    """Every route of the API as a path with examples filled in, and its view class."""

    def walk(patterns: list[Any], before: str) -> Iterator[tuple[str, Any]]:
        for one in patterns:
            path = before + str(one.pattern)
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns, path)
            elif isinstance(one, URLPattern) and hasattr(one.callback, "cls"):
                yield path, one.callback.cls

    examples = {"slug": "a" * 64, "int": "1", "uuid": "0" * 8 + "-0000-4000-8000-" + "0" * 12}
    for path, view in walk(get_resolver().url_patterns, "/"):
        if path.startswith("/api/v1/") and not path.endswith("schema/"):
            filled = path.replace("<slug:project>", "PROJECT").replace("<str:form>", "jsonl")
            yield re.sub(r"<(\w+):\w+>", lambda m: examples.get(m[1], "x"), filled), view


ROUTES = list(routes())


def test_there_are_routes_to_look_at() -> None:
    assert len(ROUTES) > 50


def test_a_token_that_reads_changes_nothing_anywhere(project: Any, owner: Any) -> None:
    owner.is_superuser = True
    owner.save()
    client = client_of(owner, scopes=["read"])
    passed = []
    for path, view in ROUTES:
        path = path.replace("PROJECT", project.slug)
        for method in set(view().allowed_methods) - {"OPTIONS", "HEAD", "GET"}:
            answer = client.generic(method, path, b"{}", content_type="application/json")
            if (answer.status_code, answer.json().get("code")) != (403, "scope_missing"):
                passed.append(f"{method} {path}: {answer.status_code}")
    assert not passed
    assert AuditEvent.objects.exclude(action="token-created").count() == 0


def test_a_token_that_reads_leases_nothing(project: Any, owner: Any) -> None:
    factories.make_pair(project)
    client = client_of(owner, scopes=["read"])
    before = [model.objects.count() for model in _written_by_labelling()]
    for path, view in ROUTES:
        if "GET" in view().allowed_methods:
            client.get(path.replace("PROJECT", project.slug))
    assert [model.objects.count() for model in _written_by_labelling()] == before
    assert client.get(f"/api/v1/projects/{project.slug}/next").json()["code"] == "scope_missing"


def _written_by_labelling() -> list[Any]:
    from annotation import models

    return [models.Annotator, models.Assignment, models.Judgment, models.RankingLease]


def test_a_token_that_labels_does_nothing_else(project: Any, owner: Any) -> None:
    pair = factories.make_pair(project)
    client = client_of(owner, scopes=["label"])
    root = f"/api/v1/projects/{project.slug}"
    lease = client.get(f"{root}/next")
    assert lease.json()["pair"] == pair.pk
    said = {"uuid": "6f0c0000-0000-4000-8000-000000000000", "pair": pair.pk, "outcome": "tie"}
    answer = client.post(f"{root}/judgments", said, content_type="application/json")
    assert answer.status_code == 201
    assert client.get(f"{root}/judgments").status_code == 403
    assert client.get("/api/v1/me").status_code == 200
    answer = client.post(f"{root}/pairs", {}, content_type="application/json")
    assert answer.status_code == 403
    assert "scope write" in answer.json()["detail"]


def test_admin_is_all_of_the_others(project: Any, owner: Any) -> None:
    client = client_of(owner, scopes=["admin"])
    root = f"/api/v1/projects/{project.slug}"
    assert client.get(root).status_code == 200
    answer = client.patch(root, {"name": "New"}, content_type="application/json")
    assert answer.status_code == 200
    assert client.get(f"{root}/next").status_code == 204


def test_a_token_of_one_project_opens_no_other(project: Any, owner: Any) -> None:
    other = factories.make_project()
    factories.Membership.objects.create(project=other, user=owner, role="admin")
    client = client_of(owner, project=project)
    assert client.get(f"/api/v1/projects/{project.slug}/pairs").status_code == 200
    assert client.get(f"/api/v1/projects/{other.slug}/pairs").status_code == 404
    listed = client.get("/api/v1/projects").json()["results"]
    assert [one["slug"] for one in listed] == [project.slug]
    mine = client.get("/api/v1/me").json()["memberships"]
    assert [one["project"] for one in mine] == [project.slug]
    assert client.get("/api/v1/recipes").status_code == 200
    for answer in (
        client.get("/api/v1/tokens"),
        client.post("/api/v1/tokens", {"name": "x"}, content_type="application/json"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "project_token")


def test_a_token_of_one_project_makes_none(project: Any, owner: Any) -> None:
    owner.is_superuser = True
    owner.save()
    said = {"name": "New", "modality": "text"}
    client = client_of(owner, project=project)
    answer = client.post("/api/v1/projects", said, content_type="application/json")
    assert answer.status_code == 403


def test_an_expired_token_says_so(owner: Any) -> None:
    client = client_of(owner, expires_at=timezone.now() + timedelta(hours=1))
    assert client.get("/api/v1/me").status_code == 200
    ApiToken.objects.update(expires_at=timezone.now())
    answer = client.get("/api/v1/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


def test_a_token_made_with_a_token_outlives_it_by_nothing(owner: Any) -> None:
    until = timezone.now() + timedelta(days=1)
    client = client_of(owner, scopes=["admin"], expires_at=until)

    def make(**said: Any) -> Any:
        body = {"name": "child", **said}
        return client.post("/api/v1/tokens", body, content_type="application/json")

    assert make().json()["code"] == "token_too_wide"
    assert make(expires_at=(until + timedelta(days=1)).isoformat()).status_code == 403
    made = make(expires_at=until.isoformat(), scopes=["read", "read"])
    assert made.status_code == 201
    assert made.json()["scopes"] == ["read"]
    assert make(scopes=[]).status_code == 400
    assert make(scopes=["root"]).status_code == 400
    assert make(project="nowhere").json()["code"] == "unknown_project"
    assert make(expires_at="2001-01-01T00:00:00Z").status_code == 400


def test_what_became_of_a_token_is_written_down(project: Any, owner: Any, as_user: Any) -> None:
    token, _ = services.create_token(user=owner, name="t", scopes=["read"], project=project)
    services.revoke_token(user=owner, pk=token.pk)
    made = AuditEvent.objects.get(action="token-created")
    assert made.data == {"scopes": ["read"], "project": project.slug, "expires_at": None}
    page = as_user(owner).get("/account/").content.decode()
    assert "was revoked" in page


def test_the_page_makes_one_with_scopes(as_user: Any, owner: Any, project: Any) -> None:
    said = {"name": "t", "scopes": ["read", "label"], "project": project.slug, "days": "30"}
    page = as_user(owner).post("/account/tokens/", said, follow=True).content.decode()
    token = ApiToken.objects.get()
    assert token.scopes == ["read", "label"]
    assert token.project == project
    assert token.expires_at is not None
    assert (token.expires_at - timezone.now()).days in (29, 30)
    assert "read, label" in page


def test_the_page_offers_no_project_of_others(as_user: Any, stranger: Any, project: Any) -> None:
    said = {"name": "t", "scopes": ["read"], "project": project.slug}
    assert as_user(stranger).post("/account/tokens/", said).status_code == 400
    assert not ApiToken.objects.exists()


def test_every_view_keeps_the_common_rules() -> None:
    """No view may leave out the looks at sign-in, scopes, parameters and limits."""
    from rest_framework.settings import api_settings

    for path, view in ROUTES:
        assert view.permission_classes == api_settings.DEFAULT_PERMISSION_CLASSES, path
        assert view.throttle_classes == api_settings.DEFAULT_THROTTLE_CLASSES, path
