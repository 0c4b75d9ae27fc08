"""Rounds of training on a model's own answers: they come back into the labelling queue, and what is
judged there can be frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Pair
from annotation.recipe import Recipe
from annotation.services.queue import annotator_for, next_pair
from annotation.services.verdicts import Verdict, record_judgment
from annotation.services.versions import publish_version
from evaluation.round_runner import prepare
from evaluation.services_round import start_round
from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from steelyard.runs.models import Run
from tests.chat_server import ChatServer
from tests.factories import make_model, make_prompt, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def material(project: Any) -> list[Any]:
    """Three prompts to train on, and one that is held out."""
    make_prompt(project, "Held out?", held_out=True)
    return [make_prompt(project, f"How many are {n}?", reference_answer=f"{n}.") for n in range(3)]


def endpoint(project: Any, name: str, url: str = "http://127.0.0.1:9/v1", **options: Any) -> Any:
    model = {"model": name, **options}
    return make_model(project, name, family="endpoint", source=url, options=model)


def test_a_round_ends_in_the_queue_and_its_votes_in_a_version(
    project: Any, owner: Any, material: Any, settle: Callable[..., Any]
) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        asked = body["messages"][-1]["content"]
        # to one prompt it says the same whatever the seed
        return "Two." if "2" in asked else f"Perhaps {body['seed']}."

    with ChatServer(reply) as server:
        model = endpoint(project, "tuned", server.url)
        run = settle(start_round(project=project, model=model, by=owner))
        assert run.state == "succeeded", run.error
    told, _ = run.dir.read_lines("events.jsonl", 0)
    assert "2 pairs are in the labelling queue. Prompts asked: 3" in told[-1]["text"]
    annotator = annotator_for(user=make_user(project=project), project=project)
    for _ in range(2):
        lease = next_pair(annotator=annotator)
        assert lease is not None
        assert {lease.pair.output_a.model, lease.pair.output_b.model} == {model}
        said = Verdict(uuid=uuid4(), outcome="a")
        record_judgment(annotator=annotator, pair=lease.pair, verdict=said)
    assert next_pair(annotator=annotator) is None
    version = publish_version(project=project, dataset_name="Round", recipe=Recipe(), by=owner)
    rows = read_parquet(version.files)
    assert {row.chosen_model for row in rows} == {"tuned"}
    assert all(row.reference_answer in {"0.", "1."} for row in rows)


def test_another_model_answers_beside_it_and_a_limit_draws(
    project: Any, owner: Any, material: Any
) -> None:
    one, other = endpoint(project, "one", api_key="key-1"), endpoint(project, "other")
    run = start_round(project=project, model=one, opponent=other, limit=2, by=owner)
    asked = prepare(run)
    assert [model["name"] for model in asked["models"]] == ["one", "other"]
    assert (asked["samples"], len(asked["prompts"])) == (1, 2)
    assert {prompt["key"] for prompt in asked["prompts"]} < {prompt.key for prompt in material}
    # the next round has another seed, and may draw other prompts
    again = start_round(project=project, model=one, by=owner)
    assert (run.spec["seed"], again.spec["seed"], prepare(again)["samples"]) == (1, 2, 2)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sampling": {"temperature": 0.0}}, "no_pairs"),
        ({"category": "none such"}, "no_prompts"),
        ({"sampling": {"heat": 1}}, "bad_sampling"),
    ],
)
def test_what_makes_no_pairs_is_refused(
    project: Any, owner: Any, material: Any, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        start_round(project=project, model=endpoint(project, "one"), by=owner, **changes)
    assert caught.value.code == code
    imported = make_model(project, "imported", family="imported")
    with pytest.raises(UserError, match="imported outputs only"):
        start_round(project=project, model=imported, by=owner)


def test_the_form_and_the_api_start_one_for_staff_alone(
    project: Any, owner: Any, member: Any, stranger: Any, material: Any, as_user: Any
) -> None:
    model = endpoint(project, "one")
    page, call = reverse("evaluation:round-new", args=[project.slug]), "application/json"
    api = f"/api/v1/projects/{project.slug}/rounds"
    for user in (member, stranger):
        assert as_user(user).get(page).status_code == 404
        assert as_user(user).post(page, {"model": model.pk}).status_code == 404
        assert as_user(user).post(api, {"model": "one"}, content_type=call).status_code == 404
    assert not Run.objects.exists()
    client = as_user(owner)
    form = client.get(page, {"model": model.pk}).context["form"]
    assert "all 3" in str(form["category"])
    sent = {name: form[name].value() or "" for name in form.fields}
    answer = client.post(page, sent)
    run = Run.objects.get()
    assert answer.url == run.get_absolute_url()
    assert (run.kind, run.spec["models"], run.spec["pairing"]) == ("round", [model.pk], "seeds")
    refused = client.post(page, {**sent, "temperature": "0"})
    assert "same answer twice" in refused.content.decode()
    made = client.post(api, {"model": "one", "limit": 1}, content_type=call)
    assert (made.status_code, made.json()["kind"]) == (201, "round")
    wrong = client.post(api, {"model": "none such"}, content_type=call)
    assert wrong.status_code == 400
    assert Pair.objects.count() == 0
