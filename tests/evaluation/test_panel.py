"""Who compares, and what is compared: panels of people and judges, outputs that are there already,
imported ones, and what goes on after a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Output, Pair
from annotation.services.judging import create_judge
from evaluation import runner
from evaluation.contestants import seed_for
from evaluation.questions import aspect_rates
from evaluation.services import ask_judge, resume_evaluation
from evaluation.standings import win_rates
from steelyard.lib.errors import UserError
from steelyard.runs.models import Run
from tests.factories import make_judgment, make_model, make_output

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


@pytest.fixture
def two(project: Any, judge: Any, models: list[Any]) -> list[Any]:
    other = create_judge(project=project, name="kind", model=models[2], criteria="Be kind.")
    return [other, judge]


def test_people_and_two_judges_have_a_run_and_a_rate_each(
    start: Start, answered: Start, two: list[Any]
) -> None:
    evaluation = answered(start(people=True, judges=two))
    assert [seat.judge for seat in evaluation.seats] == two
    assert {seat.run.kind for seat in evaluation.seats} == {"judge"}
    assert Pair.objects.open().count() == 4
    for comparison in evaluation.comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side)
        make_judgment(comparison.pair, "tie", annotator=two[0])
        make_judgment(comparison.pair, comparison.candidate_side, annotator=two[1])
    rates = [(row.judge, row.rate.rate) for row in win_rates(evaluation)]
    assert rates == [(None, 1.0), (two[0], 0.5), (two[1], 1.0)]


def test_a_judge_that_failed_is_asked_for_the_rest_and_a_new_one_for_all(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start, two: list[Any]
) -> None:
    evaluation = answered(start(judges=two[:1]))
    (seat,) = evaluation.seats
    with pytest.raises(UserError, match="at work"):
        ask_judge(evaluation=evaluation, judge=seat.judge, by=owner)
    Run.objects.filter(pk=seat.run_id).update(state="failed", error="It is gone.")
    first = evaluation.comparisons.order_by("pk").first()
    make_judgment(first.pair, "tie", annotator=seat.judge)
    client = as_user(owner)
    page = client.get(evaluation.get_absolute_url()).content.decode()
    assert "Ask kind for the rest" in page
    url = reverse("evaluation:evaluation-ask", args=[project.slug, evaluation.pk])
    client.post(url, {"judge": seat.judge_id})
    seat.refresh_from_db()
    assert len(seat.run.spec["pairs"]) == 3
    api = f"/api/v1/projects/{project.slug}/evaluations/{evaluation.pk}/judges"
    made = client.post(api, {"judge": "strict"}, content_type="application/json")
    assert made.status_code == 201, made.content
    assert [one["judge"] for one in made.json()["panel"]] == ["kind", "strict"]


def test_only_staff_may_ask_or_go_on(
    project: Any, member: Any, stranger: Any, as_user: Any, start: Start, judge: Any
) -> None:
    evaluation = start()
    api = f"/api/v1/projects/{project.slug}/evaluations/{evaluation.pk}"
    args = [project.slug, evaluation.pk]
    for user in (member, stranger):
        client = as_user(user)
        ask = client.post(reverse("evaluation:evaluation-ask", args=args), {"judge": judge.pk})
        go_on = client.post(reverse("evaluation:evaluation-resume", args=args))
        assert (ask.status_code, go_on.status_code) == (404, 404)
        for call in ("judges", "resume"):
            body = {"judge": "strict"}
            assert client.post(f"{api}/{call}", body, "application/json").status_code == 404


def test_outputs_that_are_there_are_not_made_again(start: Start, answered: Start) -> None:
    def by_its_seed(evaluation: Any) -> dict[str, Any]:
        return runner.prepare(evaluation.generation)["there"]

    first = start(seed=3)
    assert by_its_seed(first) == {"base": {}, "new": {}}
    answered(first)
    # what the engine leaves has the seeds that are asked for
    for output in Output.objects.select_related("prompt", "model"):
        seed = seed_for(first, output.model, output.prompt.key)
        Output.objects.filter(pk=output.pk).update(seed=seed)
    again = start(name="Second", seed=3)
    assert {name: len(own) for name, own in by_its_seed(again).items()} == {"base": 4, "new": 4}
    other = start(name="Third", seed=4)
    hotter = start(name="Fourth", seed=3, sampling={"temperature": 1.5})
    assert by_its_seed(other) == by_its_seed(hotter) == {"base": {}, "new": {}}
    run = again.generation
    run.dir.create(runner.prepare(run))
    runner.finish(run, {"status": "succeeded"})
    again.refresh_from_db()
    assert again.counts["reused"] == {"base": 4, "new": 4}
    assert Output.objects.count() == 8
    assert again.comparisons.count() == 4


def test_imported_contestants_are_compared_by_the_outputs_that_they_have(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start, prompts: list[Any]
) -> None:
    imported = make_model(project, "from a file")
    for prompt in prompts[:3]:
        make_output(prompt, f"Imported to {prompt.text}", model=imported)
    evaluation = start(candidates=[imported])
    evaluation = answered(evaluation)
    assert [m["name"] for m in evaluation.generation.dir.spec()["models"]] == ["base"]
    assert evaluation.comparisons.count() == 3
    assert evaluation.counts["missing"] == {"from a file": 1}
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert "from a file has no output to 1 prompt." in page


def test_a_generation_that_dies_keeps_what_it_has_and_goes_on(
    owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    evaluation = start()
    run = evaluation.generation
    run.dir.create(runner.prepare(run))
    spec = run.dir.spec()
    sampling = {"max_new_tokens": 80, "temperature": 0.7, "top_p": 0.95}
    key = spec["prompts"][0]["key"]
    line = {"prompt": key, "model": "base", "sample": 0, "text": "Kept.", "parameters": sampling}
    line["seed"] = seed_for(evaluation, evaluation.baseline, key)
    torn = '{"prompt": "half a li'
    (run.dir.path / "outputs.jsonl").write_text(json.dumps(line) + "\n" + torn, encoding="utf-8")
    Run.objects.filter(pk=run.pk).update(state="failed", error="The endpoint is gone.")
    run.refresh_from_db()
    runner.abandoned(run)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.error) == ("failed", "The endpoint is gone.")
    assert [output.text for output in Output.objects.all()] == ["Kept."]
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert "1 output was made and is kept." in page
    resumed = resume_evaluation(evaluation=evaluation, by=owner)
    assert resumed.generation != run
    assert runner.prepare(resumed.generation)["there"]["base"].keys() == {key}
    with pytest.raises(UserError, match="failed"):
        resume_evaluation(evaluation=resumed, by=owner)
    # the old run's end, told again, says nothing of the new one
    runner.abandoned(run)
    resumed.refresh_from_db()
    assert resumed.state == "generating"


def test_a_judge_that_cannot_be_asked_is_told_and_the_others_go_on(
    start: Start, answered: Start, models: list[Any], two: list[Any]
) -> None:
    evaluation = start(judges=two)
    models[2].family = "imported"
    models[2].save()
    evaluation = answered(evaluation)
    assert list(evaluation.counts["refused"]) == ["kind"]
    assert [seat.run is None for seat in evaluation.seats] == [True, False]


def test_each_question_has_a_win_rate(project: Any, start: Start, answered: Start) -> None:
    project.label_scheme = {**project.label_scheme, "aspects": ["correct", "brief"]}
    project.save()
    with pytest.raises(UserError, match="no aspect"):
        start(questions=["charm"])
    evaluation = answered(start(questions=["brief"]))
    for comparison in evaluation.comparisons.with_sides():
        sign = -1 if comparison.candidate_is_a else 1
        aspects = {"correct": sign * 2, "brief": 0}
        make_judgment(comparison.pair, comparison.candidate_side, aspects=aspects)
    found = {row.row.name: (row.row.value, row.row.n) for row in aspect_rates(evaluation)}
    assert found == {"brief": (0.5, 4), "correct": (1.0, 4)}
