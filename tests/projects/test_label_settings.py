"""What an owner may ask for of a verdict, of the queue and of people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Judgment
from steelyard.accounts.models import AuditEvent
from steelyard.projects.services import set_paused, update_project
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]
JSON = "application/json"
FIELDS = {
    "name": "Kind answers",
    "task": "pair",
    "aspects": "correctness, helpfulness",
    "steps": "5",
    "both_bad": "on",
    "correction": "on",
    "rationale_required": "on",
    "rationale_min": "12",
    "tags": "clear",
    "evidence": "required",
    "skip_reasons": "not my language",
    "flag_reasons": "harmful, other",
    "overlap": "3",
    "overlap_max": "5",
    "queue_policy": "spread",
    "lease_minutes": "4",
    "training_pass": "80",
    "person_cap": "500",
    "day_cap": "",
    "break_minutes": "0",
}


def patch(client: Client, project: Any, **body: Any) -> Any:
    return client.patch(f"/api/v1/projects/{project.slug}", body, content_type=JSON)


def test_every_setting_is_saved_by_the_form(as_user: AsUser, project: Any, owner: Any) -> None:
    url = reverse("projects:project-settings", args=[project.slug])
    assert as_user(owner).post(url, FIELDS).status_code == 302
    project.refresh_from_db()
    assert project.scheme == {
        "task": "pair",
        "tie": False,
        "both_bad": True,
        "steps": 5,
        "rationale_required": True,
        "rationale_min": 12,
        "evidence": "required",
        "correction": True,
        "segments": False,
        "tags": ["clear"],
        "aspects": ["correctness", "helpfulness"],
        "skip_reasons": ["not my language"],
        "flag_reasons": ["harmful", "other"],
    }
    assert (project.overlap, project.overlap_max, project.queue_policy) == (3, 5, "spread")
    assert (project.person_cap, project.day_cap, project.lease_seconds) == (500, None, 240)
    assert (project.training_pass, project.break_minutes, project.paused) == (80, 0, False)


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("overlap_max", "2", "from 3 up"),
        ("steps", "4", "Select a valid choice"),
        ("flag_reasons", "", "required"),
        ("tags", "x" * 41, "40 letters"),
        ("rationale_min", "-1", "greater than or equal to 0"),
        ("training_pass", "101", "less than or equal to 100"),
        ("person_cap", "0", "greater than or equal to 1"),
        ("queue_policy", "at random", "Select a valid choice"),
    ],
)
def test_a_wrong_setting_says_beside_its_field_what_would_be_right(
    as_user: AsUser, project: Any, owner: Any, field: str, value: str, right: str
) -> None:
    url = reverse("projects:project-settings", args=[project.slug])
    page = as_user(owner).post(url, {**FIELDS, field: value})
    assert right in page.context["form"].errors[field][0]
    project.refresh_from_db()
    assert project.overlap == 1


def test_a_new_project_refuses_what_its_modality_cannot_have(as_user: AsUser) -> None:
    root = factories.make_user("root", superuser=True)
    said = {**FIELDS, "modality": "image"}
    page = as_user(root).post(reverse("projects:project-new"), said)
    assert "for text projects" in page.context["form"].errors["correction"][0]


@pytest.mark.parametrize(
    ("modality", "offered"), [("text", "correction"), ("video", "segments"), ("image", None)]
)
def test_settings_offer_what_the_modality_can_have(
    as_user: AsUser, owner: Any, project: Any, modality: str, offered: str | None
) -> None:
    project.modality = modality
    project.save()
    page = as_user(owner).get(reverse("projects:project-settings", args=[project.slug]))
    fields = set(page.context["form"].fields) & {"correction", "segments"}
    assert fields == ({offered} if offered else set())


def test_the_task_is_for_good_once_there_are_pairs(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    client = as_user(owner)
    ranking = {"label_scheme": {"task": "ranking"}}
    assert patch(client, project, **ranking).json()["label_scheme"]["task"] == "ranking"
    assert patch(client, project, label_scheme={"task": "pair"}).status_code == 200
    factories.make_pair(project)
    refused = patch(client, project, **ranking)
    assert (refused.status_code, refused.json()["code"]) == (409, "task_fixed")
    assert patch(client, project, label_scheme={"task": "pair", "steps": 3}).status_code == 200
    url = reverse("projects:project-settings", args=[project.slug])
    assert client.post(url, {**FIELDS, "task": "ranking"}).status_code == 302
    project.refresh_from_db()
    assert project.scheme["task"] == "pair"


def test_a_ranking_is_not_asked_for_what_it_has_no_place_for(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    client = as_user(owner)
    for part in ({"aspects": ["style"]}, {"correction": True}):
        refused = patch(client, project, label_scheme={"task": "ranking", **part})
        assert refused.status_code == 400
        assert refused.json()["field"] == f"label_scheme.{next(iter(part))}"
    # the form leaves it out and says so
    url = reverse("projects:project-settings", args=[project.slug])
    page = client.get(url).content.decode()
    assert page.count("data-of-pairs") == 3
    assert "Not for answers that are put in order." in page
    page = client.post(url, {**FIELDS, "task": "ranking"}, follow=True).content.decode()
    assert "no place for it: “Aspects”, “A better answer can be written”." in page
    project.refresh_from_db()
    scheme = project.scheme
    assert (scheme["task"], scheme["aspects"], scheme["correction"]) == ("ranking", [], False)
    assert (scheme["evidence"], scheme["tags"]) == ("required", ["clear"])
    factories.make_set(project)
    form = client.get(url).context["form"]
    assert not {"aspects", "both_bad", "correction"} & set(form.fields)
    assert form.fields["task"].disabled
    assert client.post(url, {**FIELDS, "evidence": "off"}).status_code == 302
    project.refresh_from_db()
    assert (project.scheme["task"], project.scheme["evidence"]) == ("ranking", "off")


def test_another_scheme_leaves_what_was_judged_as_it_was(project: Any, owner: Any) -> None:
    vote = factories.make_judgment(
        factories.make_pair(project), "tie", tags=["clear"], aspects={"style": 1}
    )
    before = Judgment.objects.values().get(pk=vote.pk)
    scheme = {"tie": False, "steps": 3, "tags": [], "aspects": ["kindness"]}
    update_project(project=project, by=owner, label_scheme=scheme)
    assert Judgment.objects.values().get(pk=vote.pk) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"label_scheme": {"segments": True}}, "label_scheme.segments"),
        ({"label_scheme": {"flag_reasons": []}}, "label_scheme.flag_reasons"),
        ({"overlap": 3, "overlap_max": 2}, "overlap_max"),
    ],
)
def test_the_api_names_the_setting_that_is_wrong(
    as_user: AsUser, project: Any, owner: Any, body: dict, field: str
) -> None:
    answer = patch(as_user(owner), project, **body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    "body",
    [
        {"label_scheme": {"steps": 4}},
        {"label_scheme": {"colour": "red"}},
        {"queue_policy": "at random"},
        {"training_pass": 101},
        {"paused": "perhaps"},
        {"overlap": None},
    ],
)
def test_the_api_refuses_values_of_a_wrong_kind(
    as_user: AsUser, project: Any, owner: Any, body: dict
) -> None:
    answer = patch(as_user(owner), project, **body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, list(body))


def test_a_cap_can_be_set_and_taken_away(as_user: AsUser, project: Any, owner: Any) -> None:
    assert patch(as_user(owner), project, person_cap=7, day_cap=2).json()["person_cap"] == 7
    assert patch(as_user(owner), project, person_cap=None).json()["person_cap"] is None
    assert as_user(owner).get(f"/api/v1/projects/{project.slug}").json()["day_cap"] == 2


def test_seconds_that_an_api_has_set_survive_the_form(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    patch(as_user(owner), project, lease_seconds=90)
    url = reverse("projects:project-settings", args=[project.slug])
    assert as_user(owner).post(url, {**FIELDS, "lease_minutes": "1"}).status_code == 302
    project.refresh_from_db()
    assert project.lease_seconds == 90


def test_a_pause_is_written_down_once(project: Any, owner: Any) -> None:
    assert set_paused(project=project, by=owner, paused=True)
    assert not set_paused(project=project, by=owner, paused=True)
    project.refresh_from_db()
    assert project.paused
    assert AuditEvent.objects.filter(action="labelling-paused").count() == 1
