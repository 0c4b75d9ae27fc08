"""Pipelines as models of a project: written, checked, kept for good, shown to its staff alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db.models import ProtectedError
from django.urls import reverse

from steelyard.lib.errors import UserError
from steelyard.registry.layered import add_pipeline, config_of, examples
from steelyard.registry.models import ModelVersion
from tests.factories import make_model, make_project

pytestmark = pytest.mark.django_db
CALL = "application/json"


@pytest.fixture
def models(project: Any) -> list[ModelVersion]:
    return [
        make_model(
            project,
            name,
            family="endpoint",
            source="http://127.0.0.1:9/v1",
            options={"model": name, "api_key": f"key of {name}"},
        )
        for name in ("first", "second")
    ]


def layers(model: str | int = "first", **more: Any) -> list[Any]:
    generator = {"type": "generator", "model": model, "samples": 2, **more}
    return [[generator], [{"type": "ranker", "model": "second", "top_k": 1}]]


def test_it_keeps_its_layers_and_its_members_stay_as_long_as_it_does(
    project: Any, models: Any, owner: Any
) -> None:
    made = add_pipeline(project=project, name="team", layers=layers(models[0].pk), by=owner)
    assert made.options["layers"] == layers()
    assert config_of(made).calls == 3
    assert [member.name for member in made.members.order_by("name")] == ["first", "second"]
    assert made.can_generate
    assert not made.can_train
    with pytest.raises(ProtectedError):
        models[0].delete()
    spec = made.as_spec()
    # keys go to the engine by the environment alone
    assert "key of" not in json.dumps(spec)
    named = {member["api_key_env"] for member in spec["members"].values()}
    assert made.secrets().keys() == named
    assert set(made.secrets().values()) == {"key of first", "key of second"}
    assert set(made.families) == {"endpoint"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: layers("nobody"), "place 1: This project has no model called “nobody”"),
        (lambda: layers("team"), "place 1: A pipeline cannot be a member of itself"),
        (lambda: layers("other team"), "place 1: other team is a pipeline"),
        (lambda: layers("imported"), "place 1: imported does not write"),
        (lambda: layers(2**40), "place 1: This project has no model called"),
        (lambda: layers(top_k=1), "Layer 1, place 1: A generator has no 'top_k'"),
        (lambda: layers("theirs"), "place 1: This project has no model called"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused(
    project: Any, models: Any, owner: Any, asked: Any, said: str
) -> None:
    make_model(project, "imported")
    make_model(make_project(), "theirs", family="causal_lm", source="x/y")
    add_pipeline(project=project, name="other team", layers=layers(), by=owner)
    with pytest.raises(UserError) as caught:
        add_pipeline(project=project, name="team", layers=asked(), by=owner)
    assert (caught.value.code, caught.value.field) == ("bad_pipeline", "layers")
    assert said in caught.value.message


def test_the_page_checks_and_adds_and_the_model_s_page_lists_the_layers(
    project: Any, models: Any, owner: Any, as_user: Any
) -> None:
    client = as_user(owner)
    page = reverse("registry:pipeline-new", args=[project.slug])
    for key, (title, ready) in examples(["first", "second"]).items():
        shown = client.get(page, {"example": key})
        assert json.loads(shown.context["form"]["layers"].value()) == ready
        add_pipeline(project=project, name=title, layers=ready, by=owner)
    checked = client.post(page, {"name": "team", "layers": json.dumps(layers()), "check": "1"})
    assert "At most 3 questions to one prompt." in checked.content.decode()
    assert not ModelVersion.objects.filter(name="team").exists()
    wrong = client.post(page, {"name": "team", "layers": "[[}", "check": "1"})
    assert "This is no JSON: line 1" in wrong.content.decode()
    wrong = client.post(page, {"name": "team", "layers": json.dumps(layers("nobody"))})
    assert "no model called “nobody”" in wrong.content.decode()
    added = client.post(page, {"name": "team", "layers": json.dumps(layers())})
    made = ModelVersion.objects.get(name="team")
    assert added["Location"] == made.get_absolute_url()
    assert "writes 2 answers" in client.get(made.get_absolute_url()).content.decode()
    again = client.get(page, {"from": made.pk}).context["form"]["layers"].value()
    assert json.loads(again) == layers()


def test_the_api_checks_adds_and_lists_for_staff_alone(
    project: Any, models: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    base = f"/api/v1/projects/{project.slug}/pipelines"
    body = {"name": "team", "layers": layers()}
    page = reverse("registry:pipeline-new", args=[project.slug])
    for nobody in (member, stranger):
        client = as_user(nobody)
        assert client.get(page).status_code == client.get(base).status_code == 404
        assert client.post(base, body, content_type=CALL).status_code == 404
        checked = client.post(f"{base}/check", {"layers": layers()}, content_type=CALL)
        assert checked.status_code == 404
    client = as_user(owner)
    checked = client.post(f"{base}/check", {"layers": layers()}, content_type=CALL)
    assert checked.json() == {"layers": layers(), "calls": 3, "members": ["first", "second"]}
    assert client.get(base).json() == []
    made = client.post(base, body, content_type=CALL)
    assert (made.status_code, made.json()["calls"]) == (201, 3)
    assert [one["name"] for one in client.get(base).json()] == ["team"]
    taken = client.post(base, body, content_type=CALL)
    assert (taken.status_code, taken.json()["code"]) == (409, "model_name_taken")
    bad = {"name": "bad", "layers": [[{"type": "ranker", "model": "first"}]]}
    refused = client.post(base, bad, content_type=CALL)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_pipeline")
