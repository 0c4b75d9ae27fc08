"""Published protocols: what they fill in, and the figures that they reckon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from annotation.runner import prepare as asking_spec
from evaluation.engine.turns import joined, spoken, turns_of, upto
from evaluation.presets import PRESETS, figures_of
from steelyard.lib.errors import UserError
from tests.factories import make_judgment, make_project

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def test_a_preset_fills_the_form_and_says_what_differs(
    project: Any, owner: Any, as_user: Any, start: Start
) -> None:
    client = as_user(owner)
    url = reverse("evaluation:evaluation-new", args=[project.slug])
    page = client.get(url, {"preset": "arena_hard"})
    form = page.context["form"]
    assert (form["preset"].value(), form["max_new_tokens"].value()) == ("arena_hard", 4096)
    assert str(PRESETS["arena_hard"].differs[0]) in page.content.decode()
    assert "Diffusion-DPO" not in page.content.decode()
    assert client.get(url, {"preset": "none such"}).context["preset"] is None


def test_questions_that_the_scheme_lacks_are_told(owner: Any, as_user: Any) -> None:
    preset = PRESETS["diffusion_dpo"]
    assert preset.lacks(["visual appeal"]) == ["prompt alignment"]
    assert preset.initial(["visual appeal"])["questions"] == ["visual appeal"]
    project = make_project(modality="image")
    project.memberships.create(user=owner, role="admin")
    url = reverse("evaluation:evaluation-new", args=[project.slug])
    page = as_user(owner).get(url, {"preset": "diffusion_dpo"}).content.decode()
    assert "visual appeal, prompt alignment" in page


def test_arena_hard_counts_much_better_three_times_and_says_what_that_does(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start(people=False, judges=[judge], preset="arena_hard"))
    for number, comparison in enumerate(evaluation.comparisons.with_sides().order_by("pk")):
        won = comparison.candidate_side
        lost = "b" if won == "a" else "a"
        # one great win, three small losses
        outcome, much = (won, 3) if number == 0 else (lost, 1)
        strength = -much if outcome == "a" else much
        make_judgment(comparison.pair, outcome, annotator=judge, strength=strength)
    (figure,) = figures_of(evaluation)
    assert figure.rate == pytest.approx(3 / 6)
    assert "1 of 4 verdicts" in figure.words
    assert "25.0 %" in figure.words
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert "Graded: ≫ counts three times" in page
    api = f"/api/v1/projects/{project.slug}/evaluations/{evaluation.pk}"
    told = as_user(owner).get(api).json()
    assert (told["preset"], told["figures"][0]["win_rate"]) == ("arena_hard", figure.rate)


def test_alpaca_eval_shows_length_controlled_rates_or_why_there_are_none(
    start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start(people=False, judges=[judge], preset="alpaca_eval"))
    assert figures_of(evaluation) == []
    for comparison in evaluation.comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side, annotator=judge)
    ours, theirs = figures_of(evaluation)
    assert (ours.rate, theirs.rate) == (None, None)
    assert "5 votes" in theirs.words
    assert ours.words


def test_mt_bench_has_a_win_rate_for_each_turn(
    project: Any, owner: Any, as_user: Any, start: Start, answered: Start, judge: Any
) -> None:
    with pytest.raises(UserError) as refused:
        start(people=False, judges=[judge], preset="mt_bench")
    assert (refused.value.code, refused.value.field) == ("single_turns", "source")
    for prompt in project.prompts.filter(held_out=True):
        prompt.messages = [*prompt.messages, {"role": "user", "content": f"Shorter {prompt.pk}."}]
        prompt.save()
    evaluation = answered(start(people=False, judges=[judge], preset="mt_bench"))
    (seat,) = evaluation.panel.all()
    assert seat.run.spec["by_turns"]
    assert asking_spec(seat.run)["pairs"][0]["by_turns"]
    assert figures_of(evaluation) == []
    for number, comparison in enumerate(evaluation.comparisons.with_sides().order_by("pk")):
        sign = -1 if comparison.candidate_is_a else 1
        # the first turn is won always, the second never but once
        said = {"first turn": sign, "second turn": sign * (1 if number == 0 else -1)}
        outcome = comparison.candidate_side if number == 0 else "tie"
        make_judgment(comparison.pair, outcome, annotator=judge, aspects=said)
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert "Second turn" in page
    rates = {figure.name: figure.rate for figure in figures_of(evaluation)}
    assert rates == {
        "First turn": 1.0,
        "Second turn": 0.25,
        "All turns together": pytest.approx(5 / 8),
    }


def test_what_a_user_says_in_a_row_are_turns() -> None:
    system = {"role": "system", "content": "s"}
    asked = [{"role": "user", "content": one} for one in ("u1", "u2", "u3")]
    messages = [system, *asked]
    assert (turns_of(messages), turns_of(messages[:2]), turns_of([system])) == (3, 1, 1)
    assert upto(messages, []) == [system, asked[0]]
    assert [m["content"] for m in upto(messages, ["a1"])] == ["s", "u1", "a1", "u2"]
    assert [m["content"] for m in spoken(messages)] == ["s", "u1", "", "u2", "", "u3"]
    talk = [*asked[:1], {"role": "assistant", "content": "a"}, *asked[1:2]]
    assert upto(talk, []) == spoken(talk) == talk
    assert joined(["only"]) == "only"
    assert joined([" one ", "two"]) == "[Answer 1]\none\n\n[Answer 2]\ntwo"
