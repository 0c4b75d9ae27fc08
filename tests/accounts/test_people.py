from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from steelyard.accounts.models import User
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]
URL = "/account/people/"


@pytest.fixture
def site_admin() -> User:
    return factories.make_user("root", superuser=True)


def test_a_site_admin_makes_an_account_whose_password_is_shown_once(
    as_user: AsUser, site_admin: User
) -> None:
    client = as_user(site_admin)
    page = client.post(URL, {"username": "ada"}, follow=True)
    name, password = page.context["new_password"]
    assert (name, User.objects.get(username="ada").check_password(password)) == ("ada", True)
    assert password in page.content.decode()
    assert password not in client.get(URL).content.decode()


def test_a_password_that_was_given_is_changed_before_anything_else(
    as_user: AsUser, site_admin: User
) -> None:
    page = as_user(site_admin).post(URL, {"username": "ada"}, follow=True)
    _, password = page.context["new_password"]
    ada = Client()
    ada.post("/account/sign-in/", {"username": "ada", "password": password})
    assert ada.get("/").headers["Location"] == "/account/"
    assert ada.get("/account/").status_code == 200
    new = {"old_password": password, "new_password1": "own choice", "new_password2": "own choice"}
    ada.post("/account/", new)
    assert ada.get("/").status_code == 200


@pytest.mark.parametrize("name", ["root", "ROOT", "has space", ""])
def test_a_name_that_is_taken_or_is_none_is_refused(
    as_user: AsUser, site_admin: User, name: str
) -> None:
    response = as_user(site_admin).post(URL, {"username": name})
    assert response.context["form"].errors["username"]
    assert User.objects.count() == 1


def test_a_new_password_ends_the_old_one_and_the_open_sessions(
    as_user: AsUser, site_admin: User, stranger: Any
) -> None:
    theirs = as_user(stranger)
    as_user(site_admin).post(reverse("accounts:person-reset", args=[stranger.pk]))
    stranger.refresh_from_db()
    assert not stranger.check_password("correct horse")
    assert theirs.get("/").headers["Location"].startswith("/account/sign-in/")


def test_a_closed_account_is_out_at_once_and_can_be_opened_again(
    as_user: AsUser, site_admin: User, stranger: Any
) -> None:
    theirs = as_user(stranger)
    url = reverse("accounts:person-active", args=[stranger.pk])
    as_user(site_admin).post(url, {"active": "0"})
    assert theirs.get("/").status_code == 302
    as_user(site_admin).post(url, {"active": "1"})
    assert as_user(stranger).get("/").status_code == 200


def test_a_site_admin_cannot_close_the_own_account(as_user: AsUser, site_admin: User) -> None:
    url = reverse("accounts:person-active", args=[site_admin.pk])
    assert as_user(site_admin).post(url, {"active": "0"}).status_code == 400
    site_admin.refresh_from_db()
    assert site_admin.is_active


def test_the_audit_log_tells_who_did_it(as_user: AsUser, site_admin: User) -> None:
    client = as_user(site_admin)
    client.post(URL, {"username": "ada"})
    html = client.get(reverse("accounts:audit")).content.decode()
    assert "person-created" in html
    assert "ada" in html


def test_for_all_others_these_pages_do_not_exist(
    as_user: AsUser, owner: Any, member: Any, stranger: Any
) -> None:
    for user in (owner, member, stranger):
        client = as_user(user)
        assert client.get(URL).status_code == 404
        assert client.post(URL, {"username": "x"}).status_code == 404
        assert client.get(reverse("accounts:audit")).status_code == 404
        for name in ("accounts:person-reset", "accounts:person-active"):
            assert client.post(reverse(name, args=[owner.pk])).status_code == 404
