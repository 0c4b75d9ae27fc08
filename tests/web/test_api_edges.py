"""What the API says at its edges is JSON, too."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_an_unknown_route_is_a_json_404(as_user: Any, owner: Any) -> None:
    for client in (Client(enforce_csrf_checks=True), as_user(owner)):
        for path in ("/api/v1/nothing", "/api/v2/projects"):
            for answer in (client.get(path), client.post(path, {})):
                assert answer.status_code == 404
                assert answer.json()["code"] == "not_found"
                assert path in answer.json()["message"]


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
