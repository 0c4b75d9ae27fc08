from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.forms import IntegerField
from django.test import Client
from django.urls import reverse

from steelyard.accounts.models import AuditEvent
from steelyard.projects.models import Project
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]

FIELDS = {
    "name": "Short answers",
    "modality": "text",
    "guidelines": "# Prefer *short* answers",
    "overlap": "2",
    "lease_minutes": "5",
    "tie": "on",
    "tags": "clear, too long\nwrong,,clear",
    "aspects": "",
    "task": "pair",
    "steps": "5",
    "rationale_min": "0",
    "evidence": "optional",
    "skip_reasons": "cannot judge this",
    "flag_reasons": "harmful, other",
    "overlap_max": "0",
    "queue_policy": "in_order",
    "training_pass": "80",
    "break_minutes": "50",
}


@pytest.fixture
def site_admin() -> Any:
    return factories.make_user("root", superuser=True)


def test_a_site_admin_makes_a_project_and_is_its_first_admin(
    as_user: AsUser, site_admin: Any
) -> None:
    response = as_user(site_admin).post(reverse("projects:project-new"), FIELDS)
    assert response.headers["Location"] == "/p/short-answers/"
    project = Project.objects.get(slug="short-answers")
    assert (project.overlap, project.lease_seconds) == (2, 300)
    assert project.scheme["tags"] == ["clear", "too long", "wrong"]
    assert (project.scheme["tie"], project.scheme["both_bad"]) == (True, False)
    assert list(project.memberships.values_list("user__username", "role")) == [("root", "admin")]


def test_the_page_offers_reasons_that_suit_the_modality(as_user: AsUser, site_admin: Any) -> None:
    """The page shows those of the chosen modality; sent as they stand, the project has them."""
    client = as_user(site_admin)
    page = client.get(reverse("projects:project-new"))
    offered = json.loads(page.context["form"]["tags"].field.widget.attrs["data-words-of"])
    fields = {**FIELDS, "modality": "image", "tags": offered["image"]}
    client.post(reverse("projects:project-new"), fields)
    assert Project.objects.get().scheme["tags"] == offered["image"].split(", ")
    assert "artefacts" in offered["image"]
    assert "flicker" in offered["video"]


def test_the_page_of_a_new_project_can_be_sent_with_what_stands_in_it(
    as_user: AsUser, site_admin: Any
) -> None:
    client = as_user(site_admin)
    form = client.get(reverse("projects:project-new")).context["form"]
    shown = {field.name: field.value() for field in form}
    numbers = [name for name, field in form.fields.items() if isinstance(field, IntegerField)]
    assert {n for n in numbers if shown[n] is None} == {"person_cap", "day_cap"}
    for name in ("person_cap", "day_cap"):
        assert "empty for no limit" in str(form[name].help_text)
    filled = {name: v for name, v in shown.items() if v is not None and v is not False}
    sent = {**filled, "modality": "text", "guidelines": ""}
    answer = client.post(reverse("projects:project-new"), {**sent, "name": "As it comes"})
    assert answer.status_code == 302, answer.context["form"].errors
    assert answer.headers["Location"] == "/p/as-it-comes/"
    project = Project.objects.get(slug="as-it-comes")
    assert (project.training_pass, project.break_minutes, project.overlap) == (0, 50, 1)


def test_nought_asks_for_no_right_answers_but_for_the_round(
    as_user: AsUser, site_admin: Any
) -> None:
    page = as_user(site_admin).get(reverse("projects:project-new")).content.decode()
    assert "Everybody goes through the round; 0 asks for no right answers in it." in page
    assert "lets everybody through" not in page


def test_a_taken_name_in_urls_is_told_beside_the_field(as_user: AsUser, site_admin: Any) -> None:
    factories.make_project(slug="short-answers")
    response = as_user(site_admin).post(reverse("projects:project-new"), FIELDS)
    assert "choose another" in response.context["form"].errors["slug"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [("overlap", "0"), ("lease_minutes", "0"), ("name", ""), ("modality", "smell")],
)
def test_wrong_input_is_told_beside_the_field(
    as_user: AsUser, site_admin: Any, field: str, value: str
) -> None:
    response = as_user(site_admin).post(reverse("projects:project-new"), {**FIELDS, field: value})
    assert response.context["form"].errors[field]
    assert not Project.objects.exists()


def test_a_name_without_a_latin_letter_asks_for_a_name_in_urls(
    as_user: AsUser, site_admin: Any
) -> None:
    fields = {**FIELDS, "name": "短い答え"}
    response = as_user(site_admin).post(reverse("projects:project-new"), fields)
    assert response.context["form"].errors["slug"]


def test_only_site_admins_make_projects(
    as_user: AsUser, owner: Any, member: Any, stranger: Any
) -> None:
    for user in (owner, member, stranger):
        url = reverse("projects:project-new")
        assert as_user(user).get(url).status_code == 404
        assert as_user(user).post(url, FIELDS).status_code == 404


def test_an_admin_changes_settings_but_not_the_modality(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    url = reverse("projects:project-settings", args=[project.slug])
    fields = {**FIELDS, "modality": "video", "tags": ""}
    assert as_user(owner).post(url, fields).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.modality, project.scheme["tags"]) == ("Short answers", "text", [])
    event = AuditEvent.objects.get(action="project-changed")
    assert set(event.data["fields"]) >= {"name", "overlap", "guidelines"}


def test_the_form_shows_what_is_set(as_user: AsUser, owner: Any, project: Any) -> None:
    project.label_scheme = {"tags": ["a <b>", "c"]}
    project.save()
    page = as_user(owner).get(reverse("projects:project-settings", args=[project.slug]))
    assert "a &lt;b&gt;, c</textarea>" in page.content.decode()


def test_settings_are_the_admins_alone(
    as_user: AsUser, project: Any, member: Any, stranger: Any
) -> None:
    researcher = factories.make_user("researcher", project=project, role="researcher")
    for user in (member, stranger, researcher):
        url = reverse("projects:project-settings", args=[project.slug])
        assert as_user(user).get(url).status_code == 404
        assert as_user(user).post(url, FIELDS).status_code == 404


def test_a_preview_of_guidelines_is_safe(as_user: AsUser, stranger: Any) -> None:
    text = "**short** <script>alert(1)</script> [x](javascript:alert(1))"
    html = as_user(stranger).post(reverse("projects:guidelines-preview"), {"guidelines": text})
    assert "<strong>short</strong>" in html.content.decode()
    assert "<script>" not in html.content.decode()
    assert 'href="javascript' not in html.content.decode()


def test_home_lists_only_ones_own_projects(
    as_user: AsUser, project: Any, owner: Any, member: Any, stranger: Any, site_admin: Any
) -> None:
    roles = {}
    for user in (owner, member, stranger, site_admin):
        page = as_user(user).get(reverse("projects:home"))
        roles[user.username] = [(p.slug, p.role) for p in page.context["projects"]]
    assert roles == {
        "owner": [(project.slug, "admin")],
        "member": [(project.slug, "annotator")],
        "stranger": [],
        "root": [(project.slug, "admin")],
    }


def test_the_menu_shows_staff_every_section_and_annotators_only_labelling(
    as_user: AsUser, project: Any, owner: Any, member: Any
) -> None:
    label = reverse("annotation:label", args=[project.slug])
    board = reverse("evaluation:leaderboard", args=[project.slug])
    page = as_user(owner).get(board).content.decode()
    assert f'href="{board}" aria-current="page"' in page
    assert f'href="{label}"' in page
    home = as_user(member).get(reverse("projects:home")).content.decode()
    assert label in home
    assert board not in home


@pytest.mark.parametrize(("modality", "word"), [("image", "artefacts"), ("video", "flicker")])
def test_a_new_project_of_pictures_or_clips_has_reasons_that_suit_them(
    as_user: AsUser, site_admin: Any, modality: str, word: str
) -> None:
    client = as_user(site_admin)
    tags = str(client.get(reverse("projects:project-new")).context["form"]["tags"].value())
    as_they_are = "accurate, clear, helpful, too long, wrong, unsafe"
    assert tags
    sent = {**FIELDS, "modality": modality, "tags": as_they_are}
    answer = client.post(reverse("projects:project-new"), sent)
    assert answer.status_code == 302, answer.context["form"].errors
    project = Project.objects.get()
    assert word in project.scheme["tags"]
    assert "too long" not in project.scheme["tags"]
    assert "too long" in factories.make_project(modality=modality).scheme["tags"]
