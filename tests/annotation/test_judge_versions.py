"""Judges in versions: what one is stays, its next version is told apart, and asking has a price."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Annotator
from annotation.services.estimating import estimate
from annotation.services.judging import create_judge, new_judge_version, set_limits
from steelyard.lib.errors import UserError
from steelyard.registry.services import add_model
from tests import factories

URL = "http://localhost:1/v1"


def _model(project: Any, by: Any, name: str = "far", **more: Any) -> Any:
    values = {"family": "endpoint", "source": URL, "endpoint_model": "m", **more}
    return add_model(project=project, name=name, by=by, **values)


@pytest.fixture
def judge(project: Any, owner: Any) -> Annotator:
    project.label_scheme = {"aspects": ["clarity", "truth"]}
    project.save()
    return create_judge(
        project=project,
        name="strict",
        model=_model(project, owner),
        criteria="Be right.",
        rubric=[{"name": "truth", "text": "Is it so?"}],
        limits={"price_in": 1.0, "price_out": 4.0, "requests_per_minute": 60},
    )


def test_a_change_is_the_next_version_with_what_was_not_said_as_before(judge: Annotator) -> None:
    second = new_judge_version(judge=judge, criteria="Be kind.", note="kinder")
    third = new_judge_version(judge=judge, template="{request} {answer_a} {answer_b} – which?")
    assert [one.name for one in judge.line] == ["strict v3", "strict v2", "strict"]
    assert (second.parent, third.parent, third.version) == (judge, judge, 3)
    assert (second.criteria, second.rubric, second.note) == ("Be kind.", judge.rubric, "kinder")
    assert second.limits == judge.limits
    assert third.criteria == "Be right."


def test_what_a_judge_is_never_changes_but_what_it_may_cost_does(judge: Annotator) -> None:
    judge.criteria = "Be kind."
    with pytest.raises(TypeError):
        judge.save()
    assert set_limits(judge=judge, limits={"max_calls": 5}).limits == {"max_calls": 5}
    judge.refresh_from_db()
    judge.paused = True
    judge.save()


def test_a_version_that_changes_nothing_is_none(judge: Annotator) -> None:
    with pytest.raises(UserError) as caught:
        new_judge_version(judge=judge, sampling={"temperature": 0.0}, asking={"orders": "both"})
    assert caught.value.code == "nothing_changed"


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"rubric": [{"name": "beauty"}]}, "rubric", "clarity, truth"),
        ({"rubric": [{"name": "truth"}, {"name": "truth"}]}, "rubric", "twice"),
        ({"template": "{request} {answer_a}"}, "template", "{answer_b}"),
        ({"template": "{request} {answer_a} {answer_b} {winner}"}, "template", "{winner}"),
        ({"asking": {"orders": "one"}}, "orders", "both, random"),
        ({"asking": {"samples": 3}}, "samples", "temperature 0"),
        ({"asking": {"frames": 0}}, "frames", "1 to"),
        ({"sampling": {"top_k": 4}}, "sampling", "top_k"),
        ({"limits": {"max_cost": 4.0}}, "max_cost", "prices"),
        ({"limits": {"at_once": 1000}}, "at_once", "64"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(
    judge: Annotator, said: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(UserError) as caught:
        new_judge_version(judge=judge, **said)
    assert caught.value.field == field
    assert words in caught.value.message


def test_where_pictures_are_compared_a_judge_must_be_able_to_look(owner: Any) -> None:
    project = factories.make_project(modality="image")
    blind = factories.make_model(project, "blind", family="causal_lm", modality="text")
    with pytest.raises(UserError) as caught:
        create_judge(project=project, name="judge", model=blind, criteria="Beauty.")
    assert caught.value.code == "cannot_see"
    model = _model(project, owner)
    assert (model.modality, model.can_generate) == ("text", False)
    assert create_judge(project=project, name="judge", model=model, criteria="Beauty.").pk


def test_an_estimate_counts_orders_and_knows_prices_and_pace(
    judge: Annotator, project: Any, owner: Any
) -> None:
    pairs = [factories.make_pair(project, texts=("a" * 400, f"b{n}")) for n in range(3)]
    found = estimate(judge=judge, pairs=pairs)
    assert (found.pairs, found.calls, found.known) == (3, 6, False)
    # the texts alone are 100 tokens a pair, asked twice
    assert found.tokens_in > 600
    assert found.cost == pytest.approx((found.tokens_in + 4 * found.tokens_out) / 1e6)
    assert found.minutes == pytest.approx(6 / 60)
    one_order = new_judge_version(judge=judge, asking={"orders": "random"}, limits={})
    half = estimate(judge=one_order, pairs=pairs)
    assert (half.tokens_in * 2, half.calls * 2) == (found.tokens_in, found.calls)
    assert (half.cost, half.minutes) == (None, None)
    from_file = factories.make_annotator(project, "robot", kind="judge")
    with pytest.raises(UserError) as caught:
        estimate(judge=from_file, pairs=[])
    assert caught.value.code == "not_a_judge"
    jury = factories.make_annotator(project, "jury", kind="judge", is_jury=True)
    jury.members.set([judge, one_order])
    both = estimate(judge=jury, pairs=pairs)
    assert (both.pairs, both.calls, both.cost) == (3, found.calls + half.calls, None)
    assert both.tokens_in == found.tokens_in + half.tokens_in


def test_pages_make_a_judge_a_version_and_an_estimate(
    project: Any, owner: Any, as_user: Any
) -> None:
    project.label_scheme = {"aspects": ["truth"]}
    project.save()
    model, client = _model(project, owner), as_user(owner)
    factories.make_pair(project)
    said = {
        "name": "strict",
        "model": model.pk,
        "criteria": "Be right.",
        "rubric": "truth: Is it so?",
        "orders": "both",
        "samples": 1,
        "temperature": 0,
        "max_new_tokens": 256,
        "max_side": 1024,
        "price_in": 2,
    }
    new = reverse("annotation:judge-new", args=[project.slug])
    wrong = client.post(new, {**said, "rubric": "beauty"})
    assert "no aspect" in wrong.content.decode()
    client.post(new, said)
    judge = Annotator.objects.get(name="strict")
    assert judge.rubric == [{"name": "truth", "text": "Is it so?"}]
    assert judge.limits == {"price_in": 2.0}
    page = new.replace("/new/", f"/{judge.pk}")
    shown = client.get(f"{page}/version/").content.decode()
    assert "truth: Is it so?" in shown
    client.post(f"{page}/version/", {**said, "criteria": "Be kind.", "note": "kinder"})
    second = Annotator.objects.get(name="strict v2")
    assert second.parent == judge
    estimated = client.post(f"{page}/run/", {"which": "unjudged", "estimate": "1"}).content.decode()
    assert "1 pair, 2 calls" in estimated
    assert "kinder" in estimated
    assert project.runs.count() == 0
    client.post(f"{page}/limits/", {"max_calls": 7})
    judge.refresh_from_db()
    assert judge.limits == {"max_calls": 7}
    judge.checks = {"injection": {"gain": 0.5, "lo": 0.3, "hi": 0.7, "questions": 10}}
    judge.save()
    assert "It obeys answers" in client.get(f"{page}/run/").content.decode()


def test_the_api_makes_versions_and_says_what_asking_would_take(
    project: Any, owner: Any, as_user: Any, judge: Annotator
) -> None:
    client = as_user(owner)
    base = f"/api/v1/projects/{project.slug}/judges"

    def send(method: str, path: str, **body: Any) -> Any:
        return getattr(client, method)(f"{base}{path}", body, content_type="application/json")

    factories.make_pair(project)
    made = send("post", f"/{judge.pk}/versions", criteria="Be kind.", orders="random")
    assert (made.status_code, made.json()["version"]) == (201, 2)
    assert made.json()["asking"]["orders"] == "random"
    assert made.json()["rubric"] == judge.rubric
    assert [one["version"] for one in client.get(f"{base}/{judge.pk}/versions").json()] == [2, 1]
    estimated = send("post", f"/{judge.pk}/estimate", which="unjudged").json()
    assert (estimated["pairs"], estimated["calls"]) == (1, 2)
    limited = send("put", f"/{judge.pk}/limits", max_calls=3)
    assert limited.json()["limits"] == {"max_calls": 3}
    wrong = send("post", f"/{judge.pk}/versions", rubric=[{"name": "beauty"}])
    assert (wrong.status_code, wrong.json()["code"]) == (400, "unknown_aspect")
