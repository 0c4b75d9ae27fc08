"""A search for pipelines from its form to a model of the project, and who may see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Prompt
from annotation.services.judging import create_judge
from evaluation.search_charts import row_of
from evaluation.services_pipelines import FEWEST, found_by, parts_of, start_search
from steelyard.lib.errors import UserError
from steelyard.registry.layered import add_pipeline
from steelyard.registry.models import ModelVersion
from tests.chat_server import ChatServer
from tests.evaluation_engine.test_pipeline_search import rule
from tests.factories import make_annotator, make_model, make_project, make_prompt

CALL = "application/json"


@pytest.fixture
def far(project: Any) -> Any:
    """Twenty-four held-out prompts, two models, a judge, and the server behind them."""
    with ChatServer(rule) as server:
        for name in ("able", "weak", "judge"):
            make_model(project, name, family="endpoint", source=server.url, options={"model": name})
        for n in range(24):
            make_prompt(project, f"Question {n}?", held_out=True)
        judge = ModelVersion.objects.get(name="judge")
        create_judge(project=project, name="strict", model=judge, criteria="More goods.")
        yield server


def said(project: Any) -> dict[str, Any]:
    able, weak = (project.models.get(name=name) for name in ("able", "weak"))
    return {
        "project": project,
        "generators": [able, weak],
        "helpers": [able],
        "baseline": able,
        "judge": project.annotators.get(name="strict"),
        "prompts": 6,
        "trials": 6,
        "max_calls": 8,
    }


@pytest.mark.django_db(transaction=True)
def test_what_a_search_finds_is_scored_on_fresh_prompts_and_becomes_a_model(
    project: Any, owner: Any, member: Any, stranger: Any, far: Any, settle: Any, as_user: Any
) -> None:
    client = as_user(owner)
    page = reverse("evaluation:pipeline-search-new", args=[project.slug])
    form = {**said(project), "budget": 300, "seed": 1, "prompt_set": ""}
    form |= {name: form[name].pk for name in ("baseline", "judge")}
    form |= {name: [one.pk for one in form[name]] for name in ("generators", "helpers")}
    form.pop("project")
    sent = client.post(page, form)
    run = project.runs.get(kind="pipeline_search")
    assert sent["Location"] == run.get_absolute_url(), sent.context["form"].errors
    run = settle(run)
    assert run.state == "succeeded", run.error
    found = found_by(run)
    assert len(found.trials) == 6
    assert found.prompts == {"search": 6, "fresh": 6}
    best = found.front[0]
    assert best.fresh is not None
    assert best.fresh["prompts"] == 6
    assert found.judge.spendings.get(run=run).calls > 0
    part = reverse("evaluation:search-of-run", args=[project.slug, run.pk])
    shown = client.get(part).content.decode()
    assert "on 6 fresh prompts" in shown
    assert "Win rate and questions" in shown
    assert 'id="trial-0"' in shown  # by which a row stays opened while the search goes on
    keep = reverse("evaluation:pipeline-search-keep", args=[project.slug, run.pk])
    kept = client.post(keep, {"trial": best.number, "name": "found"})
    made = ModelVersion.objects.get(name="found")
    assert kept["Location"] == made.get_absolute_url()
    assert (made.made_by, made.options["layers"]) == (run, best.layers)
    # kept once more it is the same model, whatever it is called
    twice = client.post(keep, {"trial": best.number, "name": "other"}, follow=True)
    assert twice.redirect_chain[-1][0] == made.get_absolute_url()
    assert "is a model already: found" in twice.content.decode()
    assert run.models.count() == 1
    assert "found by a search" in client.get(made.get_absolute_url()).content.decode()
    base = f"/api/v1/projects/{project.slug}/pipeline-searches"
    told = client.get(f"{base}/{run.pk}").json()
    assert told["trials"][best.number]["model"] == "found"
    assert [one["id"] for one in client.get(base).json()] == [run.pk]
    again = {"trial": 0, "name": "first"}
    body = client.post(f"{base}/{run.pk}/pipelines", again, content_type=CALL)
    assert (body.status_code, body.json()["calls"]) == (201, 1)
    again = client.post(f"{base}/{run.pk}/pipelines", {**again, "name": "2nd"}, content_type=CALL)
    assert (again.status_code, again.json()["name"]) == (200, "first")
    assert row_of(found.trials[0]).note == "1 question a prompt"
    for nobody in (member, stranger):
        other = as_user(nobody)
        assert other.get(page).status_code == other.get(part).status_code == 404
        assert other.get(base).status_code == other.get(f"{base}/{run.pk}").status_code == 404
        assert other.post(keep, {"trial": 0, "name": "x"}).status_code == 404
        assert other.post(base, {}, content_type=CALL).status_code == 404


@pytest.mark.django_db
def test_no_prompt_is_in_both_parts_whatever_the_search(project: Any, far: Any) -> None:
    prompts = list(Prompt.objects.filter(project=project))
    parts = parts_of(prompts)
    assert set(parts["search"]) | set(parts["fresh"]) == {one.key for one in prompts}
    assert not set(parts["search"]) & set(parts["fresh"])
    fewer = parts_of(prompts, 5)
    assert {name: keys[:5] for name, keys in parts.items()} == fewer


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"trials": 2}, "trials"),
        ({"budget": 5}, "budget"),
        ({"prompts": FEWEST - 1}, "prompts"),
        ({"max_calls": 0}, "max_calls"),
        ({"generators": []}, "generators"),
        ({"generators": ["imported"]}, "generators"),
        ({"generators": ["team"]}, "generators"),
        ({"baseline": "theirs"}, "baseline"),
        ({"judge": "rater"}, "judge"),
        ({"prompt_set": {"category": "none such"}}, "prompts"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    project: Any, owner: Any, far: Any, changed: dict[str, Any], field: str
) -> None:
    layers = [[{"type": "generator", "model": "able"}]]
    others = {
        "imported": make_model(project, "imported"),
        "team": add_pipeline(project=project, name="team", layers=layers, by=owner),
        "theirs": make_model(make_project(), "theirs", family="causal_lm", source="x/y"),
        "rater": make_annotator(project, "rater"),
    }
    for name, value in changed.items():
        if isinstance(value, list):
            changed = {**changed, name: [others[one] for one in value]}
        elif isinstance(value, str):
            changed = {**changed, name: others[value]}
    with pytest.raises(UserError) as caught:
        start_search(by=owner, **{**said(project), **changed})
    assert caught.value.field == field
    assert not project.runs.exists()
