"""What a first start finds: people, projects, and runs that fill them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from steelyard.accounts.models import User
from steelyard.demo.services import PEOPLE, accounts_path, demo_accounts, setup_demo
from steelyard.projects.models import Membership, Project
from steelyard.projects.policy import role_in
from steelyard.runs.models import Run
from tests.factories import make_user

PARTS = {"text", "photos", "digits", "clips"}


@pytest.mark.django_db
def test_it_works() -> None:
    started = setup_demo()

    assert {run.spec["part"] for run in started} == PARTS
    assert {p.modality for p in Project.objects.all()} == {"text", "image", "video"}
    for project in Project.objects.all():
        for name, role in PEOPLE.items():
            assert role_in(User.objects.get(username=name), project) == role


@pytest.mark.django_db
def test_a_slow_machine_may_be_given_less(settings: Any) -> None:
    settings.DEMO_PROMPTS = 18

    assert {run.spec["limit"] for run in setup_demo()} == {18}


@pytest.mark.django_db
def test_each_signs_in_with_the_password_that_is_printed(client: Client) -> None:
    out = io.StringIO()

    call_command("setup_demo", stdout=out)

    for name, password in demo_accounts().items():
        assert f"{name:<11} password {password}" in out.getvalue()
        assert client.login(username=name, password=password)


@pytest.mark.django_db
def test_a_second_start_changes_nothing() -> None:
    setup_demo()
    passwords = demo_accounts()

    assert setup_demo() == []
    assert demo_accounts() == passwords
    assert Membership.objects.count() == 9


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_part_that_came_to_nothing_is_started_again(state: str) -> None:
    setup_demo()
    Run.objects.filter(spec__part="clips").update(state=state)
    Run.objects.filter(spec__part="text").update(state="succeeded")

    assert [run.spec["part"] for run in setup_demo()] == ["clips"]


@pytest.mark.django_db
def test_the_passwords_are_for_their_owner_alone() -> None:
    setup_demo()

    assert accounts_path().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in accounts_path().parent.iterdir()] == [accounts_path().name]


@pytest.mark.django_db
def test_a_password_may_be_given(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setenv("STEELYARD_DEMO_PASSWORD", "one for all of them")

    setup_demo()

    assert set(json.loads(accounts_path().read_text()).values()) == {"one for all of them"}
    assert client.login(username="admin", password="one for all of them")


@pytest.mark.django_db
def test_somebody_who_is_there_already_keeps_the_password(client: Client) -> None:
    make_user("admin", superuser=True)
    out = io.StringIO()

    call_command("setup_demo", stdout=out)

    assert client.login(username="admin", password="correct horse")
    assert "admin       the password you gave it" in out.getvalue()


@pytest.mark.django_db
def test_a_stranger_sees_none_of_it(as_user: Callable[[Any], Client]) -> None:
    setup_demo()
    client = as_user(make_user("stranger"))

    for project in Project.objects.all():
        assert client.get(f"/p/{project.slug}/").status_code == 404
