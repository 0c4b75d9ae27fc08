"""A model with revisions is a model of its own; only what has learnt to improve can have them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.urls import reverse

from annotation.services.judge_checks import check_model
from steelyard.inference.revising import ASKED
from steelyard.lib.errors import UserError
from steelyard.registry.layered import checked, members_of
from steelyard.registry.models import ModelVersion
from steelyard.registry.revised import revised_name, with_revisions
from steelyard.registry.services import NAME_LIMIT
from steelyard.runs.models import Run
from tests.factories import make_model
from training.keeping import options_of
from training.models import TrainingJob
from training.services import trainable_bases

pytestmark = pytest.mark.django_db


@pytest.fixture
def learnt(project: Any) -> ModelVersion:
    """A model with an adapter on another's, as SRPO makes one."""
    below = make_model(project, "below", family="causal_lm", source="org/lm", adapter="/m/one")
    return make_model(
        project,
        "better",
        family="causal_lm",
        source="org/lm",
        adapter="/m/two",
        base=below,
        digest="d" * 64,
        options={"sampling": {"temperature": 0.5}, "revising": ASKED, "checkpoint": {"step": 2}},
    )


def test_it_has_the_same_weights_and_is_asked_by_the_words_of_training(
    learnt: ModelVersion, owner: Any
) -> None:
    made = with_revisions(model=learnt, revisions=2, by=owner)
    assert (made.name, made.base, made.revisions) == ("better · 2 revisions", learnt, 2)
    spec, plain = made.as_spec(), learnt.as_spec()
    assert spec.pop("revisions") == {"times": 2, "asked": ASKED}
    assert spec == {**plain, "name": made.name}
    assert spec["adapters"] == ["/m/one", "/m/two"]
    assert made.digest == learnt.digest
    # it is no checkpoint, and no point of a training
    assert (made.step, made.made_by, made.can_train, made.can_revise) == (None, None, False, False)
    # asked for again it is the same one
    assert with_revisions(model=learnt, revisions=2, by=None) == made
    assert with_revisions(model=learnt, revisions=1, by=None).name == "better · 1 revision"
    assert len(revised_name("x" * NAME_LIMIT, 10)) == NAME_LIMIT


def test_what_has_not_learnt_it_is_refused(project: Any, learnt: ModelVersion, owner: Any) -> None:
    plain = make_model(project, "plain", family="causal_lm", source="org/lm")
    once = with_revisions(model=learnt, revisions=1, by=owner)
    for model, said in ((plain, "recipe srpo"), (once, "another number of better")):
        with pytest.raises(UserError, match=said) as caught:
            with_revisions(model=model, revisions=2, by=owner)
        assert caught.value.code == "cannot_revise"
    for number in (0, 11):
        with pytest.raises(UserError) as caught:
            with_revisions(model=learnt, revisions=number, by=owner)
        assert caught.value.field == "revisions"


def test_it_neither_judges_nor_is_trained_from_nor_a_member(
    project: Any, learnt: ModelVersion, owner: Any
) -> None:
    made = with_revisions(model=learnt, revisions=1, by=owner)
    with pytest.raises(UserError, match="Choose better itself"):
        check_model(project, made)
    assert made not in trainable_bases(project)
    assert set(members_of(project)) == {"below", "better"}
    with pytest.raises(UserError, match="revises its answers, which a member does not"):
        checked(project, [[{"type": "generator", "model": made.name}]])


def test_the_models_page_makes_one_by_a_press(
    project: Any, learnt: ModelVersion, owner: Any, as_user: Any
) -> None:
    client = as_user(owner)
    assert "Make it a model" in client.get(learnt.get_absolute_url()).content.decode()
    path = reverse("registry:model-revised", args=[project.slug, learnt.pk])
    sent = client.post(path, {"revisions": "2"})
    made = learnt.descendants.get()
    assert sent["Location"] == made.get_absolute_url()
    page = client.get(made.get_absolute_url()).content.decode()
    assert ASKED in page
    assert "Make it a model" not in page
    assert f"model={made.pk}&amp;baseline={learnt.pk}" in page
    tried = client.get(reverse("training:try-model", args=[project.slug, made.pk]))
    assert "Ask better without revisions too" in tried.content.decode()
    shown = client.get(learnt.get_absolute_url()).content.decode()
    assert "better · 2 revisions" in shown
    assert "Trained from it" not in shown
    refused = client.post(path, {"revisions": "0"}, follow=True).content.decode()
    assert "greater than or equal to 1" in refused
    assert learnt.descendants.count() == 1


def test_the_api_makes_one_for_staff_alone(
    project: Any, learnt: ModelVersion, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    url = f"/api/v1/projects/{project.slug}/models"
    body = {"revisions": 3}
    path = f"{url}/{learnt.pk}/revised"
    for nobody in (member, stranger):
        client = as_user(nobody)
        assert client.post(path, body, content_type="application/json").status_code == 404
        page = reverse("registry:model-revised", args=[project.slug, learnt.pk])
        assert client.post(page, body).status_code == 404
    client = as_user(owner)
    assert client.get(f"{url}/{learnt.pk}").json()["can_revise"] is True
    made = client.post(path, body, content_type="application/json")
    assert made.status_code == 201, made.json()
    told = made.json()
    assert (told["name"], told["revisions"]) == ("better · 3 revisions", 3)
    assert (told["base"], told["can_revise"], told["can_train"]) == ("better", False, False)
    again = client.post(f"{url}/{told['id']}/revised", body, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "cannot_revise")
    wrong = client.post(path, {"revisions": 11}, content_type="application/json")
    assert wrong.status_code == 400


def test_models_of_before_keep_the_words_too(project: Any, version: Any) -> None:
    base = make_model(project, "base", family="causal_lm", source="org/lm")
    made = {}
    for recipe in ("srpo", "dpo"):
        run = Run.objects.create(project=project, kind="train", title=recipe, state="succeeded")
        made[recipe] = make_model(project, recipe, family="causal_lm", made_by=run)
        TrainingJob.objects.create(
            project=project,
            run=run,
            version=version,
            base=base,
            recipe=recipe,
            config={},
            model_name=recipe,
            result=made[recipe],
        )
    import_module("training.migrations.0005_models_know_how_to_revise").keep(apps, None)
    for recipe, can in (("srpo", True), ("dpo", False)):
        # and so do those that are made from now on
        job = TrainingJob.objects.get(recipe=recipe)
        assert options_of(job) == ({"revising": ASKED} if can else {})
        made[recipe].refresh_from_db()
        assert made[recipe].can_revise is can
    assert made["srpo"].options["revising"] == ASKED
