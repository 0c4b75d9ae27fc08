"""The evaluation room's pages, as their owner, an annotator and a stranger meet them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from annotation.services.withdrawals import lift, withdraw
from evaluation.models import Evaluation
from evaluation.runner import prepare
from steelyard.projects.models import Membership
from steelyard.runs.models import Run
from tests.factories import (
    make_annotator,
    make_judgment,
    make_model,
    make_pair,
    make_project,
    make_prompt,
)

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def page_of(client: Any, name: str, project: Any, *args: Any, **query: Any) -> str:
    response = client.get(reverse(f"evaluation:{name}", args=[project.slug, *args]), query)
    assert response.status_code == 200
    return response.content.decode()


def test_only_staff_see_any_of_it(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any, start: Start, models: Any
) -> None:
    evaluation = start()
    pages = [
        reverse("evaluation:evaluation-list", args=[project.slug]),
        reverse("evaluation:evaluation-new", args=[project.slug]),
        reverse("evaluation:leaderboard", args=[project.slug]),
        reverse("evaluation:evaluation-detail", args=[project.slug, evaluation.pk]),
        reverse("evaluation:evaluations-for-model", args=[project.slug, models[1].pk]),
    ]
    for url in pages:
        assert as_user(owner).get(url).status_code == 200, url
        assert as_user(member).get(url).status_code == 404, url
        assert as_user(stranger).get(url).status_code == 404, url
        assert as_user(stranger).post(url).status_code in {404, 405}, url


def test_an_evaluation_is_not_found_under_another_project(
    owner: Any, as_user: Any, start: Start
) -> None:
    from steelyard.projects.models import Membership
    from tests.factories import make_project

    other = make_project()
    Membership.objects.create(project=other, user=owner, role="admin")
    url = reverse("evaluation:evaluation-detail", args=[other.slug, start().pk])
    assert as_user(owner).get(url).status_code == 404


def form_for(models: list[Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "First",
        "candidates": [models[1].pk],
        "baseline": models[0].pk,
        "people": "on",
        "limit": 0,
        "max_new_tokens": 20,
        "temperature": 0.5,
        "seed": 3,
        **changes,
    }


def test_the_form_starts_an_evaluation(
    project: Any, owner: Any, as_user: Any, models: Any, prompts: Any
) -> None:
    url = reverse("evaluation:evaluation-new", args=[project.slug])
    response = as_user(owner).post(url, form_for(models, category="odd"))
    evaluation = Evaluation.objects.get()
    assert response.status_code == 302
    assert response["Location"] == evaluation.get_absolute_url()
    assert evaluation.sampling["max_new_tokens"] == 20
    assert (evaluation.seed, evaluation.prompt_set["category"]) == (3, "odd")


def test_a_video_project_is_asked_for_the_shape_of_its_clips(
    project: Any, owner: Any, as_user: Any, models: list[Any], prompts: list[Any]
) -> None:
    project.modality = "video"
    project.save()
    project.models.update(modality="video")
    url = reverse("evaluation:evaluation-new", args=[project.slug])
    client, form = as_user(owner), form_for(models, frames=50, fps=8, steps="", guidance=4.5)
    del form["max_new_tokens"], form["temperature"]
    refused = client.post(url, {**form, "frames": 5000})
    assert b"less than or equal to 1025" in refused.content
    client.post(url, form)
    assert Evaluation.objects.get().sampling == {"frames": 50, "fps": 8, "guidance": 4.5}


def test_the_form_comes_filled_in_from_a_models_page(
    project: Any, owner: Any, as_user: Any, models: Any, prompts: Any
) -> None:
    page = page_of(as_user(owner), "evaluation-new", project, model=models[1].pk)
    assert f'value="{models[1].pk}" id="id_candidates_' in page.replace("checked ", "")
    assert "checked" in page


def test_a_refusal_stands_beside_its_field_and_keeps_what_was_typed(
    project: Any, owner: Any, as_user: Any, models: Any, prompts: Any
) -> None:
    url = reverse("evaluation:evaluation-new", args=[project.slug])
    response = as_user(owner).post(url, form_for(models, people=""))
    page = response.content.decode()
    assert "Say who compares" in page
    assert 'value="First"' in page
    assert not Run.objects.exists()


def test_without_prompts_or_models_the_page_says_what_is_missing(
    project: Any, owner: Any, as_user: Any
) -> None:
    page = page_of(as_user(owner), "evaluation-new", project)
    assert "Nothing to evaluate on." in page
    assert "Nothing to compare." in page


def test_the_list_has_an_empty_state_and_then_rows(
    project: Any, owner: Any, as_user: Any, start: Start
) -> None:
    assert "No evaluation yet." in page_of(as_user(owner), "evaluation-list", project)
    start(name="Is it better?")
    assert "Is it better?" in page_of(as_user(owner), "evaluation-list", project)


def test_a_working_evaluation_keeps_itself_fresh(
    project: Any, owner: Any, as_user: Any, start: Start
) -> None:
    page = page_of(as_user(owner), "evaluation-detail", project, start().pk)
    assert "The models are answering" in page
    assert 'hx-trigger="every 3s"' in page


def test_a_settled_one_does_not(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    evaluation = answered(start())
    Run.objects.update(state="succeeded")
    client = as_user(owner)
    page = page_of(client, "evaluation-detail", project, evaluation.pk)
    assert "hx-trigger" not in page
    assert "No votes yet." in page
    url = evaluation.get_absolute_url()
    fragment = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert 'id="standing"' in fragment


def test_win_rates_intervals_and_the_way_to_the_votes(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    evaluation = answered(start())
    first, *_ = evaluation.comparisons.with_sides()
    make_judgment(first.pair, first.candidate_side, annotator=make_annotator(project, "rater"))
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    assert "100.0 %" in page
    assert "no interval: all votes are on one prompt" in page
    assert "1 of 4" in page
    assert "Votes are still to come" in page
    assert reverse("annotation:pair-detail", args=[project.slug, first.pair_id]) in page
    assert "rater: <strong>new model</strong>" in page
    for comparison in evaluation.comparisons.with_sides().exclude(pk=first.pk):
        make_judgment(comparison.pair, "tie")
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    assert "95 % interval" in page
    assert "Votes are still to come" not in page


def test_comparisons_of_one_model_only(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start, models: Any
) -> None:
    evaluation = answered(start(candidates=models[1:]))
    args = (as_user(owner), "evaluation-detail", project, evaluation.pk)
    assert "<td>other</td>" in page_of(*args)
    only = page_of(*args, candidate=models[1].pk)
    assert "<td>new</td>" in only
    assert "<td>other</td>" not in only
    assert "<td>other</td>" in page_of(*args, candidate="nonsense")


def test_failures_are_shown_with_their_reason(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start(people=False, judges=[judge]))
    Run.objects.filter(pk=evaluation.seats[0].run_id).update(state="failed", error="It is gone.")
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    assert "The judging run failed." in page
    assert "It is gone." in page
    Evaluation.objects.update(state="failed", error="No weights there.")
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    assert "No weights there." in page


def test_names_are_shown_as_text(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    evaluation = answered(start(name="<script>x</script>"), lambda m, p: f"<img src=x>{m}")
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    assert "<script>x" not in page
    assert "<img" not in page


def test_a_models_page_finds_its_evaluations(
    project: Any, owner: Any, as_user: Any, start: Start, models: Any
) -> None:
    start(name="Is it better?")
    found = page_of(as_user(owner), "evaluations-for-model", project, models[1].pk)
    assert "Is it better?" in found
    assert "<html" not in found
    none = page_of(as_user(owner), "evaluations-for-model", project, models[2].pk)
    assert "Not evaluated yet." in none


@pytest.fixture
def votes(project: Any) -> None:
    """Two models that meet thirty times, and one that only loses."""
    rater, robot = make_annotator(project, "rater"), make_annotator(project, "robot", kind="judge")
    for number in range(30):
        category = "even" if number % 2 else "odd"
        pair = make_pair(
            project, prompt=make_prompt(project, category=category), models=("alpha", "beta")
        )
        alpha = "a" if pair.output_a.model.name == "alpha" else "b"
        beta = "b" if alpha == "a" else "a"
        make_judgment(pair, alpha if number % 3 else beta, annotator=rater)
        make_judgment(pair, beta if number % 5 else "tie", annotator=robot)
    lost = make_pair(project, models=("alpha", "gamma"))
    won = "a" if lost.output_a.model.name == "alpha" else "b"
    make_judgment(lost, won, annotator=rater)


def test_an_empty_leaderboard_says_what_to_do(project: Any, owner: Any, as_user: Any) -> None:
    page = page_of(as_user(owner), "leaderboard", project)
    assert "No votes of people between different models yet." in page


def test_the_leaderboard_of_people(project: Any, owner: Any, as_user: Any, votes: None) -> None:
    page = page_of(as_user(owner), "leaderboard", project)
    assert (
        "2 models rated from 30 votes of 1 person on 30 prompts; 1 more vote lies outside" in page
    )
    assert "an evaluation counts them as ties" in page
    assert page.index(">alpha</a>") < page.index(">beta</a>")
    model = make_model(project, "alpha")
    judgments = reverse("annotation:judgment-list", args=[project.slug])
    assert f'href="{judgments}?by=people&amp;model={model.pk}"' in page
    assert "it lost its only vote" in page


def test_votes_of_models_that_only_lost_are_said_to_rate_nobody(
    project: Any, owner: Any, as_user: Any
) -> None:
    make_judgment(make_pair(project, models=("alpha", "beta")), "a")
    page = page_of(as_user(owner), "leaderboard", project)
    assert "No model can be rated yet from 1 vote." in page
    assert "Not rated yet" in page
    assert "No votes of people" not in page


def test_identical_outputs_are_ties_in_an_evaluation_and_have_no_place_on_the_leaderboard(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    evaluation = answered(start(), lambda m, p: "same")
    client = as_user(owner)
    page = page_of(client, "evaluation-detail", project, evaluation.pk)
    assert "4 of two identical outputs count as ties here" in page
    assert "not in the leaderboard" in page
    assert "No votes of people" in page_of(client, "leaderboard", project)
    # they were imported, say
    for side, comparison in zip("ab", evaluation.comparisons.with_sides(), strict=False):
        make_judgment(comparison.pair, side)
    make_judgment(make_pair(project, models=("alpha", "beta")), "tie")
    board = page_of(client, "leaderboard", project)
    assert "unless their votes came another way" in board
    assert "have no votes" not in board


def test_of_prompts_of_several_turns_a_table_shows_the_first(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    for prompt in project.prompts.filter(held_out=True):
        prompt.messages = [*prompt.messages, {"role": "user", "content": "Now say it shorter."}]
        prompt.save()
    evaluation = answered(start(), lambda m, p: m)
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    for number in range(4):
        assert f"Held-out {number}?… (2 turns)" in page
    assert "Now say it shorter." not in page


def test_each_figure_opens_as_many_votes_as_it_says(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    import re
    from html import unescape

    client = as_user(owner)
    page = page_of(client, "leaderboard", project, category="odd")
    links = re.findall(r'href="([^"]+judgments/[^"]+)" aria-label="(\d+) votes', page)
    assert len(links) == 2 + ("gamma" in page)
    for url, number in links:
        assert client.get(unescape(url)).context["page"].paginator.count == int(number)


def test_models_that_never_met_the_others_stand_apart(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    make_judgment(make_pair(project, models=("base", "new")), "tie")
    page = page_of(as_user(owner), "leaderboard", project)
    assert "The largest group: 2 models" in page
    assert "A group apart: 2 models" in page
    assert "cannot be compared" in page


def test_the_leaderboard_of_judges_and_of_one_judge(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    client = as_user(owner)
    page = page_of(client, "leaderboard", project, by="judges")
    assert "votes of 1 AI judge on 30 prompts" in page
    assert page.index(">beta</a>") < page.index(">alpha</a>")
    robot = project.annotators.get(name="robot")
    assert "votes of the judge robot" in page_of(
        client, "leaderboard", project, by="judges", judge=robot.pk
    )


@pytest.mark.parametrize(
    "query",
    [{"by": "nobody"}, {"by": "judges", "judge": "x"}, {"category": "none"}, {"judge": "9" * 30}],
)
def test_a_strange_filter_is_as_if_not_said(
    project: Any, owner: Any, as_user: Any, votes: None, query: dict[str, str]
) -> None:
    page_of(as_user(owner), "leaderboard", project, **query)


def test_the_table_leaves_as_csv(project: Any, owner: Any, as_user: Any, votes: None) -> None:
    make_model(project, "=cmd()")
    url = reverse("evaluation:leaderboard", args=[project.slug])
    response = as_user(owner).get(url, {"format": "csv"})
    assert response["Content-Disposition"].endswith('leaderboard.csv"')
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert [row["model"] for row in rows] == ["alpha", "beta", "gamma"]
    assert float(rows[0]["lo"]) < float(rows[0]["rating"]) < float(rows[0]["hi"])
    assert rows[2]["rating"] == ""
    assert "lost" in rows[2]["why_not_rated"]


def test_the_page_says_how_each_model_really_answered(
    project: Any, owner: Any, as_user: Any, start: Start, models: Any
) -> None:
    type(models[1]).objects.filter(pk=models[1].pk).update(
        options={"sampling": {"temperature": 0.0}}
    )
    evaluation = start(sampling={"max_new_tokens": 20})
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    setup = page[page.index("How it was set up") :]
    first, second = setup.split(f"<dt>{models[1].name}</dt>")
    assert "temperature 0.7" in first
    assert "temperature 0.0" in second
    assert "max_new_tokens 20" in second


def test_of_imported_outputs_no_way_of_answering_is_made_up(
    owner: Any, as_user: Any, start: Start, models: Any
) -> None:
    evaluation = start()
    type(models[1]).objects.filter(pk=models[1].pk).update(family="imported")
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert f"<dt>{models[1].name}</dt><dd>imported outputs</dd>" in page
    assert page.count("imported outputs") == 1
    url = f"/api/v1/projects/{evaluation.project.slug}/evaluations/{evaluation.pk}"
    said = as_user(owner).get(url).json()["samplings"]
    assert said["new"] is None
    assert said["base"]["temperature"] == 0.7


def test_withdrawn_votes_count_for_nothing_and_are_told(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    pair = make_pair(project, models=("alpha", "beta"))
    scorer = make_annotator(project, "scorer")
    make_judgment(pair, "a", annotator=scorer)
    made = withdraw(project=project, annotator=scorer, reason="failed the known ones", by=None)

    page = page_of(as_user(owner), "leaderboard", project)

    assert "from 30 votes of 1 person on 30 prompts" in page
    assert "1 vote has been" in page
    lift(withdrawal=made, by=None)
    assert "from 31 votes of 2 people" in page_of(as_user(owner), "leaderboard", project)


def test_a_withdrawn_vote_is_struck_out_of_an_evaluation(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start
) -> None:
    evaluation = answered(start())
    rater, scorer = make_annotator(project, "rater"), make_annotator(project, "scorer")
    for comparison in evaluation.comparisons.all():
        make_judgment(comparison.pair, comparison.candidate_side, annotator=rater)
        make_judgment(comparison.pair, "tie", annotator=scorer)
    client = as_user(owner)
    before = page_of(client, "evaluation-detail", project, evaluation.pk)
    withdraw(project=project, annotator=scorer, reason="failed the known ones", by=None)

    page = page_of(client, "evaluation-detail", project, evaluation.pk)

    assert "75.0 %" in before
    assert "100.0 %" in page
    assert "(withdrawn)" in page
    assert "votes have been" in page


def test_pictures_are_compared_on_seeds_of_their_own_unless_asked_and_then_it_warns(
    owner: Any, as_user: Any
) -> None:
    project = make_project(modality="image")
    Membership.objects.create(project=project, user=owner, role="admin")
    make_prompt(project, "A cat.", held_out=True)
    models = [make_model(project, n, family="stable_diffusion", source="/x") for n in ("a", "b")]
    client = as_user(owner)
    url = reverse("evaluation:evaluation-new", args=[project.slug])
    said = {"name": "Cats", "candidates": [models[1].pk], "baseline": models[0].pk}
    said |= {"people": "on", "seed": 3}
    client.post(url, said)
    client.post(url, {**said, "same_seeds": "on"})
    own, same = Evaluation.objects.order_by("pk")
    assert (own.same_seeds, same.same_seeds) == (False, True)
    assert prepare(own.generation)["same_seeds"] is False
    Evaluation.objects.update(state="comparing")
    warning = "drew from the same seeds, and that misleads"
    assert warning not in page_of(client, "evaluation-detail", project, own.pk)
    assert warning in page_of(client, "evaluation-detail", project, same.pk)


def test_the_size_of_a_difference_stands_beside_the_rate(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Any
) -> None:
    evaluation = answered(start())
    scorer = make_annotator(project, "scorer", kind="judge")
    person = make_annotator(project, "rater")
    for n, comparison in enumerate(evaluation.comparisons.order_by("pk")):
        side, other = ("a", "b") if comparison.candidate_is_a else ("b", "a")
        # of blur, less is better
        scores = {side: {"blur": 1.0 + n, "other": 0.0}, other: {"blur": 2.0 + n, "other": 9.0}}
        difference = 1.0 if side == "a" else -1.0
        details = {"scores": scores, "dimension": "blur", "difference": difference}
        make_judgment(comparison.pair, side, annotator=scorer, details=details)
        make_judgment(comparison.pair, side, annotator=person)
    page = page_of(as_user(owner), "evaluation-detail", project, evaluation.pk)
    # scores 2 to 5 against 1 to 4: a difference of 1 over sqrt(5 / 3)
    assert "Cohen’s d <strong>+0.77</strong>" in page
    assert "Mean strength <strong>+1.00</strong>" in page
    url = f"/api/v1/projects/{project.slug}/evaluations/{evaluation.pk}"
    rates = {row["source"]: row for row in as_user(owner).get(url).json()["win_rates"]}
    assert rates["judges"]["scored"]["size"] == pytest.approx(0.7746, abs=1e-4)
    assert (rates["people"]["scored"], rates["people"]["strength"]["prompts"]) == (None, 4)
