"""What a client has is not sent again; what somebody else has changed is not overwritten."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.projects.models import Project

pytestmark = pytest.mark.django_db


def test_an_answer_that_is_there_is_not_sent_again(as_user: Any, owner: Any, project: Any) -> None:
    client, url = as_user(owner), f"/api/v1/projects/{project.slug}"
    first = client.get(url)
    again = client.get(url, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    weak = client.get(url, headers={"If-None-Match": f'"x", W/{first["ETag"]}'})
    assert weak.status_code == 304
    Project.objects.update(name="Another")
    assert client.get(url, headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_a_lost_update_is_refused(as_user: Any, owner: Any, project: Any) -> None:
    client, url = as_user(owner), f"/api/v1/projects/{project.slug}"
    seen = client.get(url, headers={"Accept-Encoding": "gzip"})["ETag"]
    said = {"content_type": "application/json", "headers": {"If-Match": seen}}
    assert client.patch(url, {"name": "Mine"}, **said).status_code == 200
    late = client.patch(url, {"name": "Theirs"}, **said)
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert Project.objects.get().name == "Mine"
    whatever = {"content_type": "application/json", "headers": {"If-Match": "*"}}
    assert client.patch(url, {"name": "Any"}, **whatever).status_code == 200
    assert client.patch(url, {"name": "x"}, content_type="application/json").status_code == 200


def test_groups_too(as_user: Any, owner: Any, project: Any) -> None:
    client, url = as_user(owner), f"/api/v1/projects/{project.slug}/groups"
    made = client.post(url, {"name": "one"}, content_type="application/json").json()
    url += f"/{made['id']}"
    seen = client.get(url)["ETag"]
    client.patch(url, {"name": "two"}, content_type="application/json")
    assert client.delete(url, headers={"If-Match": seen}).status_code == 412
    assert client.delete(url, headers={"If-Match": client.get(url)["ETag"]}).status_code == 204


def test_errors_and_changes_have_no_etag(as_user: Any, owner: Any, project: Any) -> None:
    client = as_user(owner)
    assert not client.get("/api/v1/projects/none").has_header("ETag")
    made = client.post("/api/v1/tokens", {"name": "x"}, content_type="application/json")
    assert not made.has_header("ETag")


@pytest.mark.parametrize(
    ("method", "path", "kind", "status", "code"),
    [
        ("get", "/api/v1/projects/none", "", 404, "not_found"),
        ("delete", "/api/v1/me", "", 405, "method_not_allowed"),
        ("post", "/api/v1/tokens", "text/xml", 415, "unsupported_media_type"),
        ("post", "/api/v1/tokens", "application/json", 400, "parse_error"),
        ("get", "/api/v1/me?who=x", "", 400, "invalid"),
    ],
)
def test_every_error_is_a_problem(
    as_user: Any, owner: Any, method: str, path: str, kind: str, status: int, code: str
) -> None:
    answer = as_user(owner).generic(method.upper(), path, b"<", content_type=kind or "text/plain")
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert (said["status"], said["code"]) == (status, code)
    assert said["type"] == f"urn:steelyard:problem:{code}"
    assert said["detail"] == said["message"]
    assert said["title"]


def test_an_answer_in_no_form_that_is_wanted_is_a_problem(as_user: Any, owner: Any) -> None:
    answer = as_user(owner).get("/api/v1/me", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_our_own_fault_is_a_problem_too(as_user: Any, owner: Any, monkeypatch: Any) -> None:
    from steelyard.projects import api

    def broken(_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(api, "user_of", broken)
    client = as_user(owner)
    client.raise_request_exception = False
    answer = client.get("/api/v1/me")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer["Content-Type"] == "application/problem+json"
    assert "ZeroDivisionError" not in answer.content.decode()
