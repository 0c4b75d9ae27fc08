"""What the API says at its edges is JSON, too."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client

from steelyard.accounts.services import create_token

pytestmark = pytest.mark.django_db


def test_an_unknown_route_is_a_json_404(as_user: Any, owner: Any) -> None:
    for client in (Client(enforce_csrf_checks=True), as_user(owner)):
        for path in ("/api/v1/nothing", "/api/v2/projects", "/api/v1/a%0Ab"):
            for answer in (client.get(path), client.post(path, {})):
                assert answer.status_code == 404
                assert answer.json()["code"] == "not_found"
                assert unquote(path) in answer.json()["message"]


@pytest.mark.parametrize("size", ["abc", "0", "-1", "", "1.5"])
def test_a_limit_that_is_no_number_is_refused(as_user: Any, owner: Any, size: str) -> None:
    answer = as_user(owner).get("/api/v1/projects", {"limit": size})
    assert answer.status_code == 400
    assert "from 1 to 500" in answer.json()["fields"]["limit"][0]


def test_a_limit_is_taken(as_user: Any, owner: Any, project: Any) -> None:
    client = as_user(owner)
    for size in (1, 10**6):
        answer = client.get("/api/v1/projects", {"limit": size})
        assert [found["slug"] for found in answer.json()["results"]] == [project.slug]


def test_a_given_password_must_be_changed_before_the_api_is_used(as_user: Any, owner: Any) -> None:
    owner.must_change_password = True
    owner.save()
    answer = as_user(owner).get("/api/v1/projects")
    assert answer.status_code == 403
    assert answer.json()["code"] == "password_change_required"
    assert "/account/" in answer.json()["message"]


@pytest.mark.parametrize("cursor", ["", "x", "%", "PDEwMA==x", "Pjk5OTk5OTk5OTk5OTk5OTk5OTk5", "ü"])
def test_what_is_no_cursor_is_refused(as_user: Any, owner: Any, cursor: str) -> None:
    answer = as_user(owner).get("/api/v1/projects", {"cursor": cursor})
    assert answer.status_code == 400
    assert "no cursor" in answer.json()["fields"]["cursor"][0]


def test_pages_lead_on_and_back_while_rows_are_added(as_user: Any, owner: Any) -> None:
    client = as_user(owner)
    for n in range(5):
        create_token(user=owner, name=f"t{n}")

    def page(url: str) -> tuple[list[str], Any]:
        said = client.get(url).json()
        return [one["name"] for one in said["results"]], said

    names, first = page("/api/v1/tokens?limit=2")
    assert (names, first["previous"]) == (["t4", "t3"], None)
    create_token(user=owner, name="new")
    names, second = page(first["next"])
    assert names == ["t2", "t1"]
    names, last = page(second["next"])
    assert (names, last["next"]) == (["t0"], None)
    names, back = page(last["previous"])
    assert names == ["t2", "t1"]
    names, start = page(back["previous"])
    assert names == ["t4", "t3"]
    names, newest = page(start["previous"])
    assert (names, newest["previous"]) == (["new"], None)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("pairs?colour=red", "colour"),
        ("judgments?outcom=a", "outcom"),
        ("runs?state=flying", "state"),
        ("runs?kind=none", "kind"),
        ("runs/1/log?limit=many", "limit"),
        ("versions?page_size=3", "page_size"),
        ("prompts?held_out=perhaps", "held_out"),
        ("outputs?prompt=x", "prompt"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(
    as_user: Any, owner: Any, project: Any, path: str, wrong: str
) -> None:
    answer = as_user(owner).get(f"/api/v1/projects/{project.slug}/{path}")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {wrong}
