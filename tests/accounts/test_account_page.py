from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from steelyard.accounts import services
from steelyard.accounts.models import ApiToken, AuditEvent

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]
URL = "/account/"


def change(client: Client, old: str, new: str, again: str | None = None) -> Any:
    fields = {"old_password": old, "new_password1": new, "new_password2": again or new}
    return client.post(URL, fields)


def test_the_password_changes_and_this_browser_stays_signed_in(
    as_user: AsUser, stranger: Any
) -> None:
    here, elsewhere = as_user(stranger), as_user(stranger)
    assert change(here, "correct horse", "battery staple").status_code == 302
    stranger.refresh_from_db()
    assert stranger.check_password("battery staple")
    assert here.get(URL).status_code == 200
    assert elsewhere.get(URL).status_code == 302


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("wrong", "battery staple", None),
        ("correct horse", "short", None),
        ("correct horse", "password", None),
        ("correct horse", "battery staple", "battery stapel"),
    ],
)
def test_a_wrong_old_or_a_weak_new_password_changes_nothing(
    as_user: AsUser, stranger: Any, old: str, new: str, again: str | None
) -> None:
    response = change(as_user(stranger), old, new, again)
    assert response.context["password_form"].errors
    stranger.refresh_from_db()
    assert stranger.check_password("correct horse")


def test_a_token_is_shown_once_and_opens_the_api(as_user: AsUser, stranger: Any) -> None:
    client = as_user(stranger)
    made = client.post(
        reverse("accounts:token-create"),
        {"name": "nightly export", "scopes": ["read"]},
        follow=True,
    )
    key = made.context["new_key"]
    assert key in made.content.decode()
    assert key not in client.get(URL).content.decode()
    answer = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.json()["username"] == "stranger"
    assert not ApiToken.objects.filter(digest=key).exists()


def test_a_revoked_token_opens_nothing(as_user: AsUser, stranger: Any) -> None:
    token, key = services.create_token(user=stranger, name="old laptop")
    as_user(stranger).post(reverse("accounts:token-revoke", args=[token.pk]))
    answer = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    actions = AuditEvent.objects.filter(actor=stranger).values_list("action", flat=True)
    assert set(actions) == {"token-created", "token-revoked"}


def test_nobody_revokes_the_token_of_another(
    as_user: AsUser, stranger: Any, owner: Any, member: Any
) -> None:
    token, _ = services.create_token(user=stranger, name="mine")
    for user in (owner, member):
        response = as_user(user).post(reverse("accounts:token-revoke", args=[token.pk]))
        assert response.status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_a_token_without_a_name_is_refused(as_user: AsUser, stranger: Any) -> None:
    response = as_user(stranger).post(
        reverse("accounts:token-create"), {"name": "  ", "scopes": ["read"]}
    )
    assert response.status_code == 400
    assert not stranger.tokens.exists()
