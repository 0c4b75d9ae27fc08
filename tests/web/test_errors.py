from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.views.defaults import server_error

from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]


def test_a_mistake_of_the_asker_is_a_page_and_to_htmx_a_message(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    pk = project.memberships.get(user=owner).pk
    url = f"/p/{project.slug}/members/{pk}/remove/"
    page = as_user(owner).post(url)
    assert (page.status_code, "<h1>" in page.content.decode()) == (409, True)
    fragment = as_user(owner).post(url, headers={"HX-Request": "true"})
    assert fragment.headers["HX-Retarget"] == "#messages"
    assert "last admin" in fragment.content.decode()
    assert "<html" not in fragment.content.decode()


def test_a_page_that_is_not_there_says_what_to_do(as_user: AsUser, stranger: Any) -> None:
    response = as_user(stranger).get("/p/no-such-project/")
    assert response.status_code == 404
    assert "An admin of the project can add you" in response.content.decode()


def test_the_page_for_our_own_faults_needs_neither_session_nor_database() -> None:
    response = server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    assert "Our fault" in response.content.decode()


def test_an_old_form_is_refused_in_words(stranger: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(stranger)
    response = client.post("/account/tokens/", {"name": "x", "scopes": ["read"]})
    assert response.status_code == 403
    assert "reload the page" in response.content.decode()


def test_an_error_of_the_api_names_code_message_and_field(as_user: AsUser, owner: Any) -> None:
    answer = as_user(owner).post(
        "/api/v1/projects", {"name": "x", "modality": "text"}, content_type="application/json"
    )
    message = "Only a site admin makes projects."
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert answer.json() == {
        "type": "urn:steelyard:problem:permission_denied",
        "title": "Forbidden",
        "status": 403,
        "detail": message,
        "code": "permission_denied",
        "message": message,
        "field": None,
    }


def test_names_of_people_and_projects_are_never_markup(as_user: AsUser) -> None:
    project = factories.make_project(name="<b>bold</b>", guidelines="<script>alert(1)</script>")
    owner = factories.make_user("someone", project=project, role="admin")
    for path in ("/", f"/p/{project.slug}/", f"/p/{project.slug}/settings/"):
        html = as_user(owner).get(path).content.decode()
        assert "<b>bold</b>" not in html
        assert "<script>alert" not in html
