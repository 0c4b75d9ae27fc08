"""A training run's model makes new pairs by itself where that was wished for."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from evaluation.services_following import wish_for_round
from evaluation.tasks_following import begin_wanted_rounds
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from tests.factories import make_model, make_prompt

JSON = "application/json"


@pytest.fixture
def run(project: Any, owner: Any) -> Run:
    """A training run that waits for its place."""
    make_prompt(project, "Why?")
    return start_run(project=project, kind="train", title="Train better", spec={}, by=owner)


def ends(run: Run, project: Any, **options: Any) -> None:
    model = make_model(
        project, "better", family="endpoint", source="http://127.0.0.1:9/v1", options=options
    )
    type(model).objects.filter(pk=model.pk).update(made_by=run)
    Run.objects.filter(pk=run.pk).update(state="succeeded")


@pytest.mark.django_db
def test_new_pairs_begin_once_when_the_run_has_ended(
    project: Any, owner: Any, run: Run, as_user: Any
) -> None:
    client = as_user(owner)
    part = reverse("evaluation:new-pairs-of-run", args=[project.slug, run.pk])
    assert "Make new pairs when it has ended" in client.get(part).content.decode()
    assert client.post(part, {"wanted": "1"})["Location"] == run.get_absolute_url()
    assert "Make no new pairs" in client.get(part).content.decode()
    begin_wanted_rounds()
    rounds = Run.objects.filter(project=project, kind="round")
    assert not rounds.exists()
    ends(run, project)
    begin_wanted_rounds()
    begin_wanted_rounds()
    begun = rounds.get()
    assert begun.title == "New pairs of better"
    for state, told in (
        ("queued", "come into the labelling queue when all are answered"),
        ("succeeded", "came in pairs into the labelling queue"),
        ("failed", "there are no new pairs"),
    ):
        rounds.update(state=state)
        assert told in client.get(part).content.decode()
    path = f"/api/v1/projects/{project.slug}/runs/{run.pk}/new-pairs"
    assert client.get(path).json() == {"wanted": False, "round": begun.pk}
    late = client.put(path, {"wanted": True}, content_type=JSON)
    assert (late.status_code, late.json()["code"]) == (409, "run_ended")


@pytest.mark.django_db
@pytest.mark.parametrize(("own", "asked"), [(0, {"temperature": 0.7}), (0.4, {})])
def test_a_model_that_always_writes_the_same_is_asked_at_the_usual_temperature(
    project: Any, owner: Any, run: Run, own: float, asked: dict[str, float]
) -> None:
    wish_for_round(run=run, wanted=True)
    ends(run, project, sampling={"temperature": own})
    begin_wanted_rounds()
    assert Run.objects.get(project=project, kind="round").spec["sampling"] == asked


@pytest.mark.django_db
def test_a_wish_is_taken_back_and_one_that_cannot_be_met_is_no_loop(
    project: Any, owner: Any, run: Run, as_user: Any
) -> None:
    client, path = as_user(owner), f"/api/v1/projects/{project.slug}/runs/{run.pk}/new-pairs"
    for wanted in (True, False):
        told = client.put(path, {"wanted": wanted}, content_type=JSON).json()
        assert told == {"wanted": wanted, "round": None}
    client.put(path, {"wanted": True}, content_type=JSON)
    # no model was kept of it
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    run.dir.path.mkdir(parents=True, exist_ok=True)
    begin_wanted_rounds()
    assert client.get(path).json() == {"wanted": False, "round": None}
    part = reverse("evaluation:new-pairs-of-run", args=[project.slug, run.pk])
    assert "the log says why" in client.get(part).content.decode()
    assert "its model is not kept" in (run.dir.path / "events.jsonl").read_text()
    assert not Run.objects.filter(kind="round").exists()


@pytest.mark.django_db
def test_only_the_projects_staff_wishes(
    project: Any, member: Any, stranger: Any, run: Run, as_user: Any
) -> None:
    part = reverse("evaluation:new-pairs-of-run", args=[project.slug, run.pk])
    path = f"/api/v1/projects/{project.slug}/runs/{run.pk}/new-pairs"
    for nobody in (member, stranger):
        client = as_user(nobody)
        assert client.get(part).status_code == client.get(path).status_code == 404
        assert client.post(part, {"wanted": "1"}).status_code == 404
        assert client.put(path, {"wanted": True}, content_type=JSON).status_code == 404
