"""Pipelines put to use: they make outputs that say how they came about, and they judge."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Judgment, Output
from annotation.services.estimating import estimate
from annotation.services.judging import create_judge, start_judging
from evaluation.services import start_evaluation
from evaluation.services_round import start_generation
from steelyard.registry.layered import add_pipeline
from steelyard.registry.models import ModelVersion
from tests.chat_server import ChatServer
from tests.factories import make_model, make_pair, make_prompt
from tests.inference.test_pipelines import by_rule

LAYERS = [
    [{"type": "generator", "model": "far", "samples": 3, "temperature": 0.9}],
    [{"type": "ranker", "model": "far", "top_k": 1}],
]


def judging(body: dict[str, Any], number: int) -> str:
    text = body["messages"][-1]["content"]
    if "Compare two answers" in text and "put the answers in order" not in text:
        letter = "A" if "Short" in text.split(" answer A>>")[1].split("<<")[0] else "B"
        return f"Shorter is better.\nVerdict: {letter} (strength 2)"
    return by_rule(body, number)


@pytest.fixture
def far(project: Any) -> Any:
    with ChatServer(judging) as server:
        make_model(project, "far", family="endpoint", source=server.url, options={"model": "m"})
        yield server


@pytest.fixture
def team(project: Any, owner: Any, far: Any) -> ModelVersion:
    return add_pipeline(project=project, name="team", layers=LAYERS, by=owner)


@pytest.mark.django_db(transaction=True)
def test_a_pipeline_makes_outputs_that_say_how_they_came_about(
    project: Any, owner: Any, member: Any, stranger: Any, team: Any, settle: Any, as_user: Any
) -> None:
    prompts = [make_prompt(project, held_out=True) for _ in range(2)]
    run = settle(
        start_generation(
            project=project,
            models=[team],
            prompt_set={"held_out": True},
            pairing="none",
            by=owner,
        )
    )
    assert run.state == "succeeded", run.error
    outputs = Output.objects.filter(model=team)
    assert {output.prompt_id for output in outputs} == {prompt.pk for prompt in prompts}
    output = outputs.first()
    turn = output.record.turns[0]
    assert turn["text"] == output.text
    assert turn["calls"] == 4
    assert [layer["type"] for layer in turn["layers"]] == ["generator", "ranker"]
    page = reverse("evaluation:output-record", args=[project.slug, output.pk])
    shown = as_user(owner).get(page).content.decode()
    assert "4 questions" in shown
    assert "read as:" in shown
    call = f"/api/v1/projects/{project.slug}/outputs/{output.pk}/record"
    assert as_user(owner).get(call).json() == {"output": output.pk, "turns": [turn]}
    made = reverse("evaluation:generation-detail", args=[project.slug, run.pk])
    assert "How it was made" in as_user(owner).get(made).content.decode()
    for nobody in (member, stranger):
        assert as_user(nobody).get(page).status_code == 404
        assert as_user(nobody).get(call).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_pipeline_is_a_contestant_and_its_record_is_a_click_away(
    project: Any, owner: Any, team: Any, settle: Any, as_user: Any
) -> None:
    make_prompt(project, held_out=True)
    evaluation = start_evaluation(
        project=project,
        name="Team",
        baseline=ModelVersion.objects.get(name="far"),
        candidates=[team],
        by=owner,
    )
    assert settle(evaluation.generation).state == "succeeded"
    comparison = evaluation.comparisons.get()
    pair = reverse("annotation:pair-detail", args=[project.slug, comparison.pair_id])
    output = Output.objects.get(model=team)
    link = reverse("evaluation:output-record", args=[project.slug, output.pk])
    assert link in as_user(owner).get(pair).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_pipeline_judges_and_what_it_takes_is_the_judge_s(
    project: Any, owner: Any, team: Any, far: Any, settle: Any
) -> None:
    judge = create_judge(
        project=project,
        name="jury of one",
        model=team,
        criteria="Be short.",
        limits={"price_in": 1},
    )
    pairs = [make_pair(project, texts=(f"Short {n}.", f"Much longer {n}.")) for n in range(2)]
    assert estimate(judge=judge, pairs=pairs).calls == 2 * 2 * 4
    run = settle(start_judging(judge=judge, pairs=pairs, by=owner))
    assert run.state == "succeeded", run.error
    votes = Judgment.objects.filter(annotator=judge).select_related("pair__output_a")
    assert {
        vote.pair.output_a.text.startswith("Short") == (vote.outcome == "a") for vote in votes
    } == {True}
    # two orders of two pairs, each three verdicts and a ranking
    spent = judge.spendings.get()
    assert spent.calls == len(far.asked) == 2 * 2 * 4
    assert spent.cost > 0
