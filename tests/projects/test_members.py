from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from steelyard.accounts.models import AuditEvent
from steelyard.lib.errors import UserError
from steelyard.projects import services
from steelyard.projects.models import Membership
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]


def url_of(project: Any, name: str = "member-list", *args: Any) -> str:
    return reverse(f"projects:{name}", args=[project.slug, *args])


def role_of(project: Any, user: Any) -> str | None:
    found = Membership.objects.filter(project=project, user=user).first()
    return found.role if found else None


def test_an_admin_adds_changes_and_removes_a_member(
    as_user: AsUser, project: Any, owner: Any, stranger: Any
) -> None:
    client = as_user(owner)
    client.post(url_of(project), {"username": "stranger", "role": "annotator"})
    assert role_of(project, stranger) == "annotator"
    pk = project.memberships.get(user=stranger).pk
    client.post(url_of(project, "member-role", pk), {"role": "researcher"})
    assert role_of(project, stranger) == "researcher"
    client.post(url_of(project, "member-remove", pk))
    assert role_of(project, stranger) is None
    actions = AuditEvent.objects.filter(actor=owner).values_list("action", flat=True)
    assert set(actions) == {"member-added", "role-changed", "member-removed"}


@pytest.mark.parametrize("name", ["nobody", "member"])
def test_an_unknown_name_or_a_member_is_not_added(
    as_user: AsUser, project: Any, owner: Any, member: Any, name: str
) -> None:
    response = as_user(owner).post(url_of(project), {"username": name, "role": "admin"})
    assert response.context["form"].errors["username"]
    assert role_of(project, member) == "annotator"


def test_the_last_admin_stays(as_user: AsUser, project: Any, owner: Any, member: Any) -> None:
    pk = project.memberships.get(user=owner).pk
    client = as_user(owner)
    assert client.post(url_of(project, "member-remove", pk)).status_code == 409
    demoted = client.post(url_of(project, "member-role", pk), {"role": "annotator"})
    assert demoted.status_code == 409
    assert role_of(project, owner) == "admin"


def test_an_unknown_role_is_refused(as_user: AsUser, project: Any, owner: Any, member: Any) -> None:
    pk = project.memberships.get(user=member).pk
    response = as_user(owner).post(url_of(project, "member-role", pk), {"role": "king"})
    assert response.status_code == 400
    assert role_of(project, member) == "annotator"


def test_members_are_the_admins_affair(
    as_user: AsUser, project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    researcher = factories.make_user("researcher", project=project, role="researcher")
    pk = project.memberships.get(user=owner).pk
    for user in (member, stranger, researcher):
        client = as_user(user)
        assert client.get(url_of(project)).status_code == 404
        assert client.post(url_of(project), {"username": "x", "role": "admin"}).status_code == 404
        assert client.post(url_of(project, "member-remove", pk)).status_code == 404
        assert client.post(url_of(project, "member-role", pk)).status_code == 404


def test_an_admin_of_one_project_has_no_say_in_another(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    other = factories.make_project()
    theirs = factories.make_user("other", project=other, role="admin")
    pk = other.memberships.get(user=theirs).pk
    assert as_user(owner).post(url_of(project, "member-remove", pk)).status_code == 404
    assert role_of(other, theirs) == "admin"


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_remove_each_other_at_once_leave_one(project: Any) -> None:
    admins = [factories.make_user(name, project=project, role="admin") for name in ("x", "y")]
    memberships = {user: project.memberships.get(user=user) for user in admins}
    start, refused = threading.Barrier(2), []

    def remove(by: Any, whom: Any) -> None:
        start.wait()
        try:
            services.remove_member(membership=memberships[whom], by=by)
        except UserError as error:
            refused.append(error.code)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=remove, args=pair) for pair in (admins, list(reversed(admins)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert project.memberships.filter(role="admin").count() == 1
    assert refused == ["last_admin"]
