"""What becomes of the models' answers: pairs in the queue, a judging run, or a tie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F

from annotation.models import Output, Pair
from annotation.recipe import Recipe
from annotation.services.queue import annotator_for, next_pair
from annotation.services.verdicts import Verdict, record_judgment
from annotation.services.versions import preview
from evaluation import runner
from evaluation.standings import win_rates
from steelyard.runs.models import Run
from tests.factories import make_judgment, make_pair

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def test_every_prompt_and_candidate_is_a_comparison(
    start: Start, answered: Start, models: list[Any]
) -> None:
    evaluation = answered(start(candidates=models[1:]))
    assert evaluation.state == "comparing"
    assert evaluation.comparisons.count() == 8
    for comparison in evaluation.comparisons.with_sides():
        sides = {"a": comparison.pair.output_a, "b": comparison.pair.output_b}
        assert sides[comparison.candidate_side].model == comparison.candidate


def test_finishing_again_changes_nothing(start: Start, answered: Start, judge: Any) -> None:
    evaluation = answered(start(people=False, judges=[judge]))
    before = (Pair.objects.count(), Output.objects.count(), Run.objects.count())
    runner.finish(evaluation.generation, {"status": "succeeded"})
    assert (Pair.objects.count(), Output.objects.count(), Run.objects.count()) == before
    assert evaluation.comparisons.count() == 4


def test_people_find_the_pairs_first_in_their_queue(
    project: Any, member: Any, start: Start, answered: Start
) -> None:
    make_pair(project)
    evaluation = answered(start())
    annotator = annotator_for(user=member, project=project)
    for left in range(4, 0, -1):
        assignment = next_pair(annotator=annotator)
        assert assignment is not None
        assert evaluation.comparisons.filter(pair=assignment.pair).exists(), f"{left} are left"
        record_judgment(
            annotator=annotator,
            pair=assignment.pair,
            verdict=Verdict(uuid=uuid4(), outcome="a"),
        )
    last = next_pair(annotator=annotator)
    assert last is not None
    assert not evaluation.comparisons.filter(pair=last.pair).exists()


def test_a_judge_is_started_on_them_and_people_are_not_asked(
    start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start(people=False, judges=[judge]))
    (seat,) = evaluation.seats
    assert seat.run.kind == "judge"
    assert set(seat.run.spec["pairs"]) == set(Pair.objects.values_list("pk", flat=True))
    assert not Pair.objects.open().exists()


def test_pairs_that_a_judge_has_had_can_be_asked_of_people_later(
    start: Start, answered: Start, judge: Any
) -> None:
    first = answered(start(people=False, judges=[judge]))
    second = answered(start(name="Second"))
    pairs = {c.pair_id for c in second.comparisons.all()}
    assert pairs == {c.pair_id for c in first.comparisons.all()}
    assert set(Pair.objects.open().values_list("pk", flat=True)) == pairs
    assert set(Pair.objects.values_list("priority", flat=True)) == {runner.EVALUATION_PRIORITY}


def test_pairs_that_people_have_judged_are_not_asked_again(start: Start, answered: Start) -> None:
    for comparison in answered(start()).comparisons.with_sides():
        make_judgment(comparison.pair, "a")
    second = answered(start(name="Second"))
    assert not Pair.objects.open().exists()
    assert win_rates(second)[0].rate.votes == 4


def test_a_judge_that_has_judged_them_all_is_not_asked_again(
    start: Start, answered: Start, judge: Any
) -> None:
    for comparison in answered(start(people=False, judges=[judge])).comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side, annotator=judge)
    second = answered(start(name="Second", people=False, judges=[judge]))
    assert (second.state, second.seats[0].run) == ("comparing", None)
    (row,) = win_rates(second)
    assert (row.judge, row.rate.rate) == (judge, 1.0)


def test_identical_answers_are_a_tie_and_nobodys_work(start: Start, answered: Start) -> None:
    def same_on_two(model: str, prompt: str) -> str:
        return "Same." if prompt in {"Held-out 0?", "Held-out 1?"} else f"{model}: {prompt}"

    evaluation = answered(start(), same_on_two)
    assert Pair.objects.open().count() == 2
    for comparison in evaluation.comparisons.with_sides():
        if not comparison.is_identical:
            make_judgment(comparison.pair, comparison.candidate_side)
    (row,) = win_rates(evaluation)
    assert (row.identical, row.judged, row.waiting) == (2, 2, 0)
    assert (row.rate.wins, row.rate.ties, row.rate.rate) == (2, 2, 0.75)


def test_models_that_say_the_same_throughout_tie_without_a_vote(
    start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start(people=False, judges=[judge]), lambda model, prompt: "Same.")
    assert (evaluation.state, evaluation.seats[0].run) == ("comparing", None)
    (row,) = win_rates(evaluation)
    assert (row.judge, row.rate.rate, row.rate.ties, row.judged) == (judge, 0.5, 4, 0)


def test_no_version_ever_contains_what_was_evaluated(
    project: Any, start: Start, answered: Start
) -> None:
    for comparison in answered(start()).comparisons.with_sides():
        make_judgment(comparison.pair, "a")
    found = preview(project=project, recipe=Recipe())
    assert found.counts["rows"] == 0
    assert found.passed_over["held_out"] == 4


def test_a_failed_generation_is_the_evaluations_failure(start: Start) -> None:
    evaluation = start()
    run = evaluation.generation
    run.error = "The endpoint is dead."
    runner.abandoned(run)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.error) == ("failed", "The endpoint is dead.")


def test_votes_go_to_the_side_that_the_candidate_has(start: Start, answered: Start) -> None:
    evaluation = answered(start())
    sides = set()
    for comparison in evaluation.comparisons.with_sides():
        sides.add(comparison.candidate_is_a)
        make_judgment(comparison.pair, comparison.candidate_side)
    (row,) = win_rates(evaluation)
    assert (row.rate.rate, row.rate.wins, row.judge) == (1.0, 4, None)


def test_people_and_each_judge_have_a_rate_of_their_own(
    start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start())
    for comparison in evaluation.comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side)
        other = "b" if comparison.candidate_side == "a" else "a"
        make_judgment(comparison.pair, other, annotator=judge)
    people, judges = win_rates(evaluation)
    assert (people.source, people.rate.rate) == ("people", 1.0)
    assert (judges.source, judges.judge, judges.rate.rate) == ("judges", judge, 0.0)


def test_skips_and_superseded_votes_count_for_nothing(start: Start, answered: Start) -> None:
    evaluation = answered(start())
    first, second, *_ = evaluation.comparisons.with_sides()
    make_judgment(first.pair, "skip")
    assert win_rates(evaluation) == []
    make_judgment(second.pair, "a", is_current=False)
    assert win_rates(evaluation) == []


def test_an_evaluation_is_finished_when_its_judge_is(
    start: Start, answered: Start, judge: Any
) -> None:
    evaluation = start(people=False, judges=[judge])
    assert not evaluation.finished
    evaluation = answered(evaluation)
    assert not evaluation.finished
    Run.objects.filter(pk=evaluation.seats[0].run_id).update(state="succeeded")
    assert type(evaluation).objects.get(pk=evaluation.pk).finished


def test_an_evaluation_by_people_is_finished_when_its_pairs_have_their_votes(
    start: Start, answered: Start
) -> None:
    evaluation = answered(start())
    assert not evaluation.finished
    Pair.objects.update(judged=F("wanted"))
    assert evaluation.finished
