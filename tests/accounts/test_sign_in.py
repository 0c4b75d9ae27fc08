from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from steelyard.accounts.models import AuditEvent
from steelyard.accounts.services import (
    FAILURES_ALLOWED,
    FAILURES_OF_ADDRESS,
    FAILURES_OF_NAME,
    FAILURES_WINDOW,
    record,
)
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]
URL = "/account/sign-in/"


def attempt(client: Client, username: str, password: str, **more: str) -> Any:
    return client.post(URL, {"username": username, "password": password, **more})


def test_it_works_and_is_written_down() -> None:
    user = factories.make_user("ada")
    client = Client()
    response = attempt(client, "ada", "correct horse")
    assert (response.status_code, response.headers["Location"]) == (302, reverse("projects:home"))
    assert client.get(reverse("projects:home")).context["user"] == user
    assert AuditEvent.objects.filter(actor=user, action="signed-in").count() == 1


def test_every_page_asks_for_it_first() -> None:
    response = Client().get(reverse("projects:home"))
    assert response.headers["Location"] == f"{URL}?next=/"


def test_a_wrong_password_says_so_beside_the_form_and_tells_not_which_was_wrong() -> None:
    factories.make_user("ada")
    wrong_password = attempt(Client(), "ada", "nonsense")
    no_such_name = attempt(Client(), "nobody", "nonsense")
    assert wrong_password.status_code == no_such_name.status_code == 422
    errors = [r.context["form"].non_field_errors() for r in (wrong_password, no_such_name)]
    assert errors[0] == errors[1]
    assert len(errors[0]) == 1


def test_a_closed_account_opens_nothing() -> None:
    user = factories.make_user("ada")
    user.is_active = False
    user.save()
    assert attempt(Client(), "ada", "correct horse").status_code == 422


def test_guessing_is_stopped_even_for_the_right_password_but_only_for_that_name() -> None:
    factories.make_user("ada")
    factories.make_user("grace")
    for _ in range(FAILURES_ALLOWED):
        attempt(Client(), "ada", "guess")
    refused = attempt(Client(), "ada", "correct horse")
    assert refused.status_code == 422
    assert "Too many" in refused.content.decode()
    assert attempt(Client(), "grace", "correct horse").status_code == 302
    assert AuditEvent.objects.filter(action="sign-in-failed").count() == FAILURES_ALLOWED


def test_guessing_from_one_address_does_not_lock_the_person_out_at_another() -> None:
    factories.make_user("ada")
    for _ in range(FAILURES_ALLOWED):
        attempt(Client(REMOTE_ADDR="192.0.2.1"), "ada", "guess")
    assert attempt(Client(REMOTE_ADDR="192.0.2.2"), "ada", "correct horse").status_code == 302


def failed(name: str, address: str, times: int) -> None:
    for _ in range(times):
        record(by=None, action="sign-in-failed", target=name, address=address)


def signs_in(name: str, address: str) -> bool:
    return attempt(Client(REMOTE_ADDR=address), name, "correct horse").status_code == 302


def test_one_address_that_tries_many_names_is_stopped_for_every_name() -> None:
    factories.make_user("ada")
    for number in range(FAILURES_OF_ADDRESS):
        failed(f"name-{number}", "192.0.2.1", 1)
    assert not signs_in("ada", "192.0.2.1")
    assert signs_in("ada", "192.0.2.2")


def test_one_address_however_long_it_tries_keeps_nobody_out_elsewhere() -> None:
    factories.make_user("ada")
    for _ in range(FAILURES_OF_ADDRESS + 5):
        attempt(Client(REMOTE_ADDR="192.0.2.1"), "ada", "guess")
    assert AuditEvent.objects.filter(action="sign-in-failed").count() == FAILURES_ALLOWED
    assert signs_in("ada", "192.0.2.2")


def behind_a_proxy(visitor: str, proxy: str = "127.0.0.1") -> Client:
    return Client(REMOTE_ADDR=proxy, headers={"X-Forwarded-For": visitor})


def test_visitors_of_a_proxy_on_this_machine_are_told_apart_by_what_it_adds() -> None:
    factories.make_user("ada")
    for number in range(FAILURES_ALLOWED):
        # the visitor may have written the first part
        attempt(behind_a_proxy(f"203.0.113.{number}, 192.0.2.1"), "ada", "guess")
    assert attempt(behind_a_proxy("192.0.2.1"), "ada", "correct horse").status_code == 422
    assert attempt(behind_a_proxy("192.0.2.2"), "ada", "correct horse").status_code == 302


@pytest.mark.parametrize("proxy", ["192.0.2.7", "127.0.0.1"])
def test_an_address_that_is_made_up_does_not_help(proxy: str) -> None:
    factories.make_user("ada")
    for number in range(FAILURES_ALLOWED):
        said = f"nonsense-{number}" if proxy == "127.0.0.1" else f"203.0.113.{number}"
        attempt(behind_a_proxy(said, proxy), "ada", "guess")
    assert not signs_in("ada", proxy)


def test_many_addresses_that_try_one_name_are_stopped_in_the_end_and_for_a_while() -> None:
    factories.make_user("ada")
    factories.make_user("grace")
    for number in range(FAILURES_OF_NAME // FAILURES_ALLOWED):
        failed("ada", f"198.51.100.{number}", FAILURES_ALLOWED)
    assert not signs_in("ada", "192.0.2.2")
    assert signs_in("grace", "192.0.2.2")
    events = AuditEvent.objects.filter(action="sign-in-failed")
    events.update(created_at=timezone.now() - FAILURES_WINDOW)
    assert signs_in("ada", "192.0.2.2")


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_it_leads_on_only_to_places_of_this_site(onward: str) -> None:
    factories.make_user("ada")
    response = attempt(Client(), "ada", "correct horse", next=onward)
    assert response.headers["Location"] == reverse("projects:home")


def test_it_leads_on_to_the_page_that_was_asked_for() -> None:
    factories.make_user("ada")
    response = attempt(Client(), "ada", "correct horse", next="/account/")
    assert response.headers["Location"] == "/account/"


def test_a_form_from_elsewhere_is_refused() -> None:
    factories.make_user("ada")
    client = Client(enforce_csrf_checks=True)
    assert attempt(client, "ada", "correct horse").status_code == 403


def test_signing_out_needs_a_form_and_ends_the_session(as_user: AsUser, stranger: Any) -> None:
    client = as_user(stranger)
    assert client.get(reverse("accounts:sign-out")).status_code == 405
    client.post(reverse("accounts:sign-out"))
    assert client.get(reverse("projects:home")).status_code == 302


def test_a_fragment_asked_for_after_the_session_ended_sends_the_whole_page_to_sign_in() -> None:
    response = Client().get(
        "/p/some/overview/",
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/p/some/?tab=2"},
    )
    assert response.status_code == 200
    assert response.headers["HX-Redirect"] == f"{URL}?next=%2Fp%2Fsome%2F%3Ftab%3D2"
