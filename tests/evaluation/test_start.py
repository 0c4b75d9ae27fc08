"""What may be asked of an evaluation, and what is refused before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation import runner
from evaluation.contestants import by_name
from evaluation.forms import EvaluationForm
from evaluation.models import Evaluation
from evaluation.sampling import sampling_used
from evaluation.services import chosen_prompts
from steelyard.inference.loading import sampling_of
from steelyard.lib.errors import UserError
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from tests.factories import make_annotator, make_model, make_output, make_project

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def test_it_works(start: Start, models: list[Any], owner: Any) -> None:
    evaluation = start()
    assert evaluation.state == "generating"
    assert evaluation.generation.kind == "generate"
    assert evaluation.is_working
    assert list(evaluation.candidates.all()) == [models[1]]
    assert evaluation.created_by == owner
    usual = {"max_new_tokens": 80, "temperature": 0.7, "top_p": 0.95}
    assert sampling_used(models[1], evaluation.sampling) == usual


def test_what_is_asked_for_goes_before_a_models_own_setting(
    start: Start, models: list[Any]
) -> None:
    models[1].options = {"sampling": {"temperature": 0.0, "max_new_tokens": 9}}
    models[1].save()
    evaluation = start(sampling={"max_new_tokens": 20})
    spec = runner.prepare(evaluation.generation)
    own = {model["name"]: model for model in spec["models"]}[models[1].name]
    assert sampling_of(own, spec["sampling"]) == {
        "max_new_tokens": 20,
        "temperature": 0.0,
        "top_p": 0.95,
    }


def test_only_held_out_prompts_are_chosen(project: Any, prompts: list[Any]) -> None:
    assert {p.pk for p in chosen_prompts(project, {})} == {p.pk for p in prompts}
    odd = chosen_prompts(project, {"category": "odd"})
    assert {p.text for p in odd} == {"Held-out 0?", "Held-out 2?"}
    assert chosen_prompts(project, {"limit": 3}) == chosen_prompts(project, {})[:3]


def test_a_judge_may_compare(start: Start, judge: Any) -> None:
    assert [seat.judge for seat in start(people=False, judges=[judge]).seats] == [judge]


def refused(start: Start, **values: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        start(**values)
    assert not Evaluation.objects.exists()
    assert not Run.objects.exists()
    return caught.value


def test_no_candidate(start: Start) -> None:
    assert refused(start, candidates=[]).field == "candidates"


def test_a_model_against_itself(start: Start, models: list[Any]) -> None:
    assert "itself" in refused(start, candidates=[models[0]]).message


def test_a_model_known_by_imported_outputs_only(start: Start, project: Any) -> None:
    problem = refused(start, candidates=[make_model(project, "imported")])
    assert problem.code == "no_outputs"
    assert "none to any of these prompts" in problem.message


def test_another_projects_model(start: Start) -> None:
    elsewhere = make_model(make_project(), "theirs", family="endpoint", source="http://x/v1")
    assert "another project" in refused(start, candidates=[elsewhere]).message


def test_no_held_out_prompts_in_the_category(start: Start) -> None:
    problem = refused(start, prompt_set={"category": "poems"})
    assert problem.code == "no_prompts"
    assert "“poems”" in problem.message


def test_nobody_compares(start: Start) -> None:
    assert refused(start, people=False).field == "judges"


def test_a_judge_whose_votes_came_from_a_file(start: Start, project: Any) -> None:
    imported = make_annotator(project, "gpt-4", kind="judge")
    assert refused(start, judges=[imported]).code == "not_a_judge"


def test_a_person_is_no_judge(start: Start, project: Any) -> None:
    person = make_annotator(project, "rater")
    assert refused(start, judges=[person]).code == "not_a_judge"


@pytest.mark.parametrize(
    ("sampling", "field"),
    [
        ({"temprature": 1}, "sampling"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 10.5}, "max_new_tokens"),
        ({"top_p": True}, "top_p"),
        ({"steps": 5}, "sampling"),
    ],
)
def test_sampling_out_of_bounds(start: Start, sampling: dict[str, Any], field: str) -> None:
    problem = refused(start, sampling=sampling)
    assert (problem.code, problem.field) == ("bad_sampling", field)


def test_a_shape_that_a_model_does_not_make_is_refused(
    project: Any, start: Start, models: list[Any], tmp_path: Path
) -> None:
    project.modality = "video"
    project.save()
    source = tmp_path / "wan"
    source.mkdir()
    (source / "model_index.json").write_text("{}")
    for model in models:
        model.modality, model.family, model.source = "video", "wan", str(source)
        model.save()
    for sampling, field in (({"frames": 50}, "frames"), ({"width": 100}, "width")):
        problem = refused(start, sampling=sampling)
        assert (problem.code, problem.field) == ("bad_sampling", field)
        assert "Set it to" in problem.message
    start(sampling={"frames": 49, "width": 96})


def test_outputs_that_are_here_are_put_side_by_side_in_no_models_place(
    start: Start, models: list[Any], prompts: list[Any], settings: Any
) -> None:
    for model in models[:2]:
        type(model).objects.filter(pk=model.pk).update(family="imported")
        model.refresh_from_db()
        for prompt in prompts:
            make_output(prompt, f"{model.name} says.", model=model)
    run = start().generation
    assert run.kind in settings.LIGHT_RUNS
    spec = runner.prepare(run)
    assert (spec["models"], len(spec["there"]), runner.gpus(run)) == ([], 2, 0)


def test_checkpoints_stand_by_step_in_the_form_and_by_number_on_the_page(project: Any) -> None:
    older = make_model(project, "older")
    run = start_run(project=project, kind="train", title="Tuned", spec={}, by=None)
    kept = [
        make_model(
            project, f"tuned step {step}", made_by=run, options={"checkpoint": {"step": step}}
        )
        for step in (200, 1000, 400)
    ]
    result = make_model(project, "tuned", made_by=run)
    newest = make_model(project, "newest")
    form = EvaluationForm(project=project)
    listed = [model.name for model in form.fields["candidates"].queryset]  # type: ignore[attr-defined]
    own = {model.name for model in (*kept, older, result, newest)}
    assert [name for name in listed if name in own] == [
        "newest",
        "tuned step 200",
        "tuned step 400",
        "tuned step 1000",
        "tuned",
        "older",
    ]
    assert [model.name for model in by_name([kept[1], newest, kept[0]])] == [
        "newest",
        "tuned step 200",
        "tuned step 1000",
    ]
