from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from steelyard.projects.models import Project
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]
JSON = "application/json"


def test_me_tells_who_asks_and_what_they_may(as_user: AsUser, project: Any, member: Any) -> None:
    assert as_user(member).get("/api/v1/me").json() == {
        "username": "member",
        "site_admin": False,
        "memberships": [{"project": project.slug, "role": "annotator"}],
    }


def test_a_site_admin_makes_a_project(as_user: AsUser) -> None:
    root = factories.make_user("root", superuser=True)
    body = {"name": "Clips", "modality": "video", "label_scheme": {"tie": False}, "overlap": 3}
    answer = as_user(root).post("/api/v1/projects", body, content_type=JSON)
    assert answer.status_code == 201
    assert (answer.json()["slug"], answer.json()["overlap"]) == ("clips", 3)
    assert (answer.json()["label_scheme"]["tie"], answer.json()["label_scheme"]["both_bad"]) == (
        False,
        True,
    )
    again = as_user(root).post("/api/v1/projects", body, content_type=JSON)
    assert (again.status_code, again.json()["code"]) == (400, "slug_taken")


def test_nobody_else_does(as_user: AsUser, owner: Any, member: Any, stranger: Any) -> None:
    for user in (owner, member, stranger):
        body = {"name": "Clips", "modality": "video"}
        answer = as_user(user).post("/api/v1/projects", body, content_type=JSON)
        assert answer.status_code == 403
    assert not Project.objects.filter(name="Clips").exists()


def test_projects_are_listed_to_those_in_them(
    as_user: AsUser, project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    for user, seen in ((owner, [project.slug]), (member, [project.slug]), (stranger, [])):
        rows = as_user(user).get("/api/v1/projects").json()["results"]
        assert [row["slug"] for row in rows] == seen
        status = as_user(user).get(f"/api/v1/projects/{project.slug}").status_code
        assert status == (200 if seen else 404)


def test_an_admin_changes_settings_and_what_is_left_out_stays(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    project.label_scheme = {"tie": False}
    project.save()
    answer = as_user(owner).patch(
        f"/api/v1/projects/{project.slug}",
        {"overlap": 4, "label_scheme": {"tags": ["terse"]}},
        content_type=JSON,
    )
    assert answer.status_code == 200
    assert answer.json()["label_scheme"]["tags"] == ["terse"]
    assert answer.json()["label_scheme"]["tie"] is False
    assert answer.json()["name"] == project.name


@pytest.mark.parametrize("body", [{"overlap": 0}, {"label_scheme": {"tie": "perhaps"}}])
def test_a_wrong_setting_is_refused_by_its_field(
    as_user: AsUser, project: Any, owner: Any, body: dict
) -> None:
    url = f"/api/v1/projects/{project.slug}"
    answer = as_user(owner).patch(url, body, content_type=JSON)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == list(body)


def test_settings_and_members_are_out_of_reach_of_others(
    as_user: AsUser, project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    url = f"/api/v1/projects/{project.slug}"
    pk = project.memberships.get(user=owner).pk
    for user in (member, stranger):
        client = as_user(user)
        assert client.patch(url, {"overlap": 2}, content_type=JSON).status_code == 404
        assert client.get(f"{url}/members").status_code == 404
        assert client.delete(f"{url}/members/{pk}").status_code == 404


def test_an_admin_manages_members(as_user: AsUser, project: Any, owner: Any, stranger: Any) -> None:
    client, url = as_user(owner), f"/api/v1/projects/{project.slug}/members"
    body = {"username": "stranger", "role": "annotator"}
    added = client.post(url, body, content_type=JSON)
    assert added.status_code == 201
    one = f"{url}/{added.json()['id']}"
    changed = client.patch(one, {"role": "researcher"}, content_type=JSON)
    assert changed.json()["role"] == "researcher"
    names = [row["username"] for row in client.get(url).json()["results"]]
    assert sorted(names) == ["owner", "stranger"]
    assert client.delete(one).status_code == 204
    own = project.memberships.get(user=owner).pk
    assert client.delete(f"{url}/{own}").json()["code"] == "last_admin"


def test_a_session_without_a_csrf_token_changes_nothing(project: Any, owner: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    url = f"/api/v1/projects/{project.slug}"
    assert client.patch(url, {"overlap": 9}, content_type=JSON).status_code == 403
