"""Win rates as training goes: checkpoints and rounds as points of a line."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.services.material import add_pair
from evaluation.models import Evaluation
from evaluation.training_line import places, step_of
from steelyard.runs.services import start_run
from tests.factories import make_annotator, make_judgment, make_model, make_output, make_prompt

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("tuned-step-200", "", ("tuned-*", 200)),
        ("tuned checkpoint 00040 b", "", ("tuned * b", 40)),
        ("last", "/models/tuned/checkpoint-500", ("/models/tuned/*", 500)),
        ("gpt-4", "https://api.example.org/v1", None),
        ("llama-2-70b", "", None),
    ],
)
def test_a_checkpoint_is_told_by_its_name_or_its_folder(
    project: Any, name: str, source: str, expected: Any
) -> None:
    assert step_of(make_model(project, name, source=source)) == expected


def evaluated(project: Any, models: list[Any], base: Any) -> Evaluation:
    """Each model of the list wins one vote more than the one before."""
    found = Evaluation.objects.create(
        project=project, name="First", baseline=base, state="comparing", prompt_set={}
    )
    found.candidates.set(models)
    rater = make_annotator(project, "rater")
    for wins, model in enumerate(models, 1):
        for n in range(4):
            prompt = make_prompt(project)
            outputs = [make_output(prompt, model=one) for one in (base, model)]
            pair, _ = add_pair(first=outputs[0], second=outputs[1])
            is_a = pair.output_a.model_id == model.pk
            found.comparisons.create(pair=pair, candidate=model, candidate_is_a=is_a)
            side = "a" if (n < wins) == is_a else "b"
            make_judgment(pair, side, annotator=rater)
    return found


def test_checkpoints_stand_at_their_steps_on_the_evaluation(
    project: Any, owner: Any, as_user: Any
) -> None:
    base = make_model(project, "base")
    models = [make_model(project, f"tuned-step-{step}") for step in (100, 200, 400)]
    assert places(models) == ({m.pk: x for m, x in zip(models, (100, 200, 400), strict=True)}, True)
    found = evaluated(project, models, base)
    page = as_user(owner).get(found.get_absolute_url())
    (series,) = page.context["line"].series
    assert [(p.x, p.y) for p in series.points] == [(100, 0.25), (200, 0.5), (400, 0.75)]
    assert "Win rate against base as training went" in page.content.decode()


def test_kept_checkpoints_and_the_result_are_one_line_over_the_steps_of_their_run(
    project: Any, owner: Any, as_user: Any
) -> None:
    base = make_model(project, "base")
    run = start_run(project=project, kind="train", title="Train", spec={}, by=owner)
    run.result = {"counts": {"steps": 500}}
    run.save(update_fields=["result"])
    models = [
        make_model(
            project, f"step 7 way {n}", base=base, made_by=run, options={"checkpoint": {"step": n}}
        )
        for n in (200, 400)
    ]
    models.append(make_model(project, "better", base=base, made_by=run))
    other = make_model(project, "other-step-1")
    evaluated(project, [*models, other], base)
    page = as_user(owner).get(reverse("evaluation:win-rates-of-run", args=[project.slug, run.pk]))
    (line,) = page.context["lines"]
    assert line.by_steps
    assert [(p.x, p.y) for p in line.series[0].points] == [(200, 0.25), (400, 0.5), (500, 0.75)]
    assert line.names[500.0] == "better"


def test_rounds_stand_in_their_order_on_the_runs_page(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    base = make_model(project, "base")
    runs = [start_run(project=project, kind="train", title="x", spec={}, by=owner) for _ in "ab"]
    first = make_model(project, "first", base=base, made_by=runs[0])
    second = make_model(project, "second", base=first, made_by=runs[1])
    other = make_model(project, "other")
    evaluated(project, [first, second, other], base)
    url = reverse("evaluation:win-rates-of-run", args=[project.slug, runs[0].pk])
    page = as_user(owner).get(url)
    (line,) = page.context["lines"]
    assert line.names == {1.0: "first", 2.0: "second"}
    assert [p.y for p in line.series[0].points] == [0.25, 0.5]
    assert "<html" not in page.content.decode()
    assert as_user(member).get(url).status_code == 404
    assert as_user(stranger).get(url).status_code == 404


def test_models_that_have_nothing_to_do_with_each_other_make_no_line(
    project: Any, owner: Any, as_user: Any
) -> None:
    found = evaluated(
        project, [make_model(project, n) for n in ("x", "y")], make_model(project, "base")
    )
    assert as_user(owner).get(found.get_absolute_url()).context["line"] is None
