"""How people are asked: in batches, each once, within the budget, and no longer than it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from annotation.models import Assignment, Judgment, Pair
from annotation.services.queue import annotator_for, next_pair
from annotation.services.verdicts import Verdict, record_judgment
from evaluation import asking
from evaluation.models import Comparison, Evaluation
from evaluation.plan import Plan, checked_plan
from evaluation.services_stopping import go_on, stop_evaluation
from evaluation.standings import win_rates
from evaluation.stopping import state_of
from steelyard.lib.errors import UserError
from tests.factories import make_annotator, make_judgment, make_prompt

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]

ACTIVE = {"pairs": "active"}
SURE = {"stop": "always_valid"}


@pytest.fixture
def planned(start: Start, answered: Start, project: Any) -> Start:
    """An evaluation by a plan once its models have answered, on so many prompts."""

    def begin(
        plan: dict[str, Any], prompts: int = 30, say: Callable[..., str] | None = None, **more: Any
    ) -> Evaluation:
        for n in range(prompts - 4):
            make_prompt(project, f"More {n}?", held_out=True)
        evaluation = start(**more)
        Evaluation.objects.filter(pk=evaluation.pk).update(plan=checked_plan(plan, ask_people=True))
        evaluation.refresh_from_db()
        return answered(evaluation, say)

    return begin


def waiting(evaluation: Evaluation) -> Any:
    return Comparison.objects.filter(
        evaluation=evaluation, pair__judged__lt=F("pair__wanted")
    ).with_sides()


def vote(evaluation: Evaluation, better: Callable[[Comparison], str]) -> int:
    """Judge all that waits, as new people; ``better`` says candidate, opponent or tie."""
    cast = []
    rater = make_annotator(evaluation.project)
    for row in waiting(evaluation):
        said = better(row)
        other = "b" if row.candidate_side == "a" else "a"
        outcome = {"candidate": row.candidate_side, "opponent": other}.get(said, said)
        values = {"outcome": outcome, "strength": {"a": -1, "b": 1}.get(outcome, 0)}
        cast.append(
            Judgment(
                project=row.pair.project, pair=row.pair, annotator=rater, swapped=False, **values
            )
        )
    Judgment.objects.bulk_create(cast)
    Pair.objects.filter(pk__in=[one.pair_id for one in cast]).update(judged=F("judged") + 1)
    return len(cast)


def run_out(evaluation: Evaluation, better: Callable[[Comparison], str]) -> Evaluation:
    """Until voting stops."""
    while evaluation.stopped_at is None:
        vote(evaluation, better)
        asking.advance(evaluation.pk)
        evaluation.refresh_from_db()
    return evaluation


def test_a_plan_is_kept_in_full_and_refuses_what_it_does_not_know() -> None:
    assert checked_plan(None, ask_people=True) == {}
    assert checked_plan({"pairs": "all", "alpha": 0.1}, ask_people=True) == {}
    kept = checked_plan({"pairs": "active", "budget": 100}, ask_people=True)
    assert kept == Plan(pairs="active", budget=100).as_json()
    for bad in (
        {"pairs": "some"},
        {"budget": 0},
        {"budget": True},
        {"random_share": 0.0},
        {"alpha": float("nan")},
        {"delta": "x"},
        {"elo": 1},
    ):
        with pytest.raises(UserError):
            Plan.of(bad)
    with pytest.raises(UserError, match="asks no people"):
        checked_plan(SURE, ask_people=False)
    with pytest.raises(UserError, match="nothing to choose"):
        checked_plan(ACTIVE, ask_people=True, candidates=1)


def test_pairs_come_a_few_at_a_time_and_more_when_they_run_low(planned: Start) -> None:
    evaluation = planned(SURE)
    first = set(waiting(evaluation).values_list("pair_id", flat=True))
    assert len(first) == asking.EACH
    assert set(Pair.objects.open().values_list("priority", flat=True)) == {asking.PRIORITY}
    asking.advance(evaluation.pk)
    assert waiting(evaluation).count() == len(first)
    for row in waiting(evaluation)[: asking.EACH // 2]:
        make_judgment(row.pair, "tie")
    asking.advance(evaluation.pk)
    assert waiting(evaluation).count() == asking.EACH
    assert evaluation.comparisons.exclude(asked_at=None).count() == 12


def test_active_pairs_are_logged_with_the_chance_that_they_had(
    planned: Start, models: list[Any]
) -> None:
    evaluation = planned({**ACTIVE, "budget": 60}, prompts=20, candidates=models[1:])
    turn = iter(range(10_000))
    run_out(evaluation, lambda row: "candidate" if next(turn) % 3 else "opponent")
    rows = evaluation.comparisons.exclude(asked_at=None)
    assert rows.count() == 60
    assert evaluation.stop_reason == "budget"
    # any two of the three have met, each on prompts of their own
    assert rows.exclude(opponent=None).exists()
    assert rows.filter(opponent=None, candidate=models[1]).exists()
    assert rows.filter(opponent=None, candidate=models[2]).exists()
    assert not rows.filter(probability=None).exists()
    assert all(0.06 < p <= 1 for p in rows.values_list("probability", flat=True))
    assert 3 <= rows.filter(by_chance=True).count() <= 30
    state = state_of(evaluation)
    assert (state.by_ratings, state.votes, state.asked) == (True, 60, 60)
    assert all(0.0 < check.weighted[0] < 1.0 for check in state.checks)


def test_the_same_votes_draw_the_same_batch(planned: Start, models: list[Any]) -> None:
    evaluation = planned(ACTIVE, candidates=models[1:])
    drawn = list(
        evaluation.comparisons.exclude(asked_at=None)
        .order_by("pair_id")
        .values_list("pair_id", "probability", "by_chance")
    )
    evaluation.comparisons.update(asked_at=None, probability=None, by_chance=None)
    Pair.objects.update(wanted=0)
    asking.advance(evaluation.pk)
    again = evaluation.comparisons.exclude(asked_at=None).order_by("pair_id")
    assert list(again.values_list("pair_id", "probability", "by_chance")) == drawn


def test_identical_outputs_are_drawn_as_ties_and_cost_nothing(planned: Start) -> None:
    def same_on_more(model: str, prompt: str) -> str:
        return "Same." if prompt.startswith("More") else f"{model}: {prompt}"

    evaluation = planned({"budget": 10}, prompts=12, say=same_on_more)
    run_out(evaluation, lambda row: "candidate")
    state = state_of(evaluation)
    assert (evaluation.stop_reason, state.votes, state.asked) == ("no_pairs", 4, 12)
    assert state.candidates[0].now.prompts == 12
    assert state.candidates[0].now.rate == pytest.approx(8 / 12)


def test_a_better_candidate_stops_the_voting_and_later_votes_change_nothing(
    planned: Start, project: Any, member: Any
) -> None:
    evaluation = planned(SURE, prompts=40)
    annotator = annotator_for(user=member, project=project)
    held = next_pair(annotator=annotator)
    assert held is not None
    while evaluation.stopped_at is None:
        for row in waiting(evaluation).exclude(pair=held.pair_id):
            make_judgment(row.pair, row.candidate_side)
        asking.advance(evaluation.pk)
        evaluation.refresh_from_db()
    assert (evaluation.stop_reason, evaluation.finished) == ("decided", True)
    # the one on somebody's screen alone is left, and is taken when it comes
    assert list(waiting(evaluation).values_list("pair_id", flat=True)) == [held.pair_id]
    before = state_of(evaluation).candidates[0]
    record_judgment(
        annotator=annotator, pair=held.pair, verdict=Verdict(uuid=uuid4(), outcome="tie")
    )
    (after,) = state_of(evaluation).candidates
    assert (before.later_votes, after.later_votes) == (0, 1)
    assert after.decided == before.decided
    assert after.decision == "better"
    assert after.now.prompts == after.decided.prompts + 1
    assert f"decided after {after.decided.prompts} prompts; 1 vote came later" in after.words


def test_a_lease_that_ran_out_after_the_stop_is_asked_of_nobody_else(
    planned: Start, project: Any, owner: Any, member: Any
) -> None:
    evaluation = planned(SURE)
    assert next_pair(annotator=annotator_for(user=member, project=project))
    stop_evaluation(evaluation=evaluation, by=owner)
    assert waiting(evaluation).count() == 1
    Assignment.objects.update(expires_at=timezone.now())
    asking.advance(evaluation.pk)
    assert not waiting(evaluation).exists()


def test_of_several_candidates_the_decided_one_is_asked_about_no_more(
    planned: Start, models: list[Any]
) -> None:
    evaluation = planned(SURE, prompts=40, candidates=models[1:])
    strong = models[1].pk
    turn = iter(range(10_000))

    def better(row: Comparison) -> str:
        return "candidate" if row.candidate_id == strong or next(turn) % 2 else "opponent"

    while str(strong) not in evaluation.decisions:
        vote(evaluation, better)
        asking.advance(evaluation.pk)
        evaluation.refresh_from_db()
    assert evaluation.stopped_at is None
    assert set(waiting(evaluation).values_list("candidate", flat=True)) == {models[2].pk}
    run_out(evaluation, better)
    assert evaluation.stop_reason == "no_pairs"
    assert set(evaluation.decisions) == {str(strong)}


def test_a_budget_is_kept_to_the_vote(planned: Start, project: Any) -> None:
    project.overlap = 2
    project.save()
    evaluation = planned({"budget": 7})
    run_out(evaluation, lambda row: "tie")
    assert state_of(evaluation).votes == 7
    assert (evaluation.stop_reason, state_of(evaluation).budget_left) == ("budget", 0)


def test_votes_from_before_are_evidence_and_cost_no_budget(
    planned: Start, project: Any, owner: Any, as_user: Any, judge: Any
) -> None:
    project.overlap = 2
    project.save()
    first = planned({}, prompts=12)
    rows = list(first.comparisons.with_sides().order_by("pk"))
    rater = make_annotator(project)
    for row in rows:
        make_judgment(row.pair, row.candidate_side, annotator=rater)
        make_judgment(row.pair, row.candidate_side, annotator=judge)
    stop_evaluation(evaluation=first, by=owner)
    evaluation = planned({"budget": 7}, prompts=4, name="Second")
    state = state_of(evaluation)
    assert (state.votes, state.votes_before, state.budget_left) == (0, state.asked, 7)
    assert asking.spent(evaluation) == 0
    assert state.candidates[0].prompts_waiting == 12
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert f"{state.asked} votes of people were there before" in page
    assert "7 of a budget of 7 votes left" in page
    assert page.count("not asked here: votes from elsewhere") == 1
    run_out(evaluation, lambda row: "tie" if row.asked_at else "candidate")
    state = state_of(evaluation)
    assert (state.votes, state.budget_left, evaluation.stop_reason) == (7, 0, "budget")
    (one,) = state.candidates
    assert (one.now.prompts, one.prompts_waiting) == (7, 5)
    people, robot = win_rates(evaluation)
    assert (people.asked, people.rate.prompts, people.votes) == (True, 12, 19)
    assert (robot.asked, robot.votes) == (False, 12)
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert page.count("7 of 12 prompts have all their votes") == 3


def test_what_another_evaluation_asks_for_stays_in_the_queue(
    planned: Start, start: Start, answered: Start, owner: Any
) -> None:
    evaluation = planned(SURE)
    second = answered(start(name="All of them"))
    stop_evaluation(evaluation=evaluation, by=owner)
    assert waiting(second).count() == 30


def test_voting_stops_and_goes_on_by_hand(planned: Start, owner: Any) -> None:
    evaluation = planned(SURE)
    open_then = waiting(evaluation).count()
    stop_evaluation(evaluation=evaluation, by=owner)
    assert (evaluation.stop_reason, waiting(evaluation).count()) == ("by_hand", 0)
    with pytest.raises(UserError, match="stopped already"):
        stop_evaluation(evaluation=evaluation, by=owner)
    go_on(evaluation=evaluation, by=owner)
    assert (evaluation.stopped_at, waiting(evaluation).count()) == (None, open_then)
    with pytest.raises(UserError, match="goes on"):
        go_on(evaluation=evaluation, by=owner)


def test_going_on_after_a_decision_asks_about_the_rest_and_keeps_the_decision(
    planned: Start, owner: Any
) -> None:
    evaluation = run_out(planned(SURE, prompts=40), lambda row: "candidate")
    decided = evaluation.decisions
    go_on(evaluation=evaluation, by=owner)
    assert evaluation.plan["stop"] == "fixed"
    run_out(evaluation, lambda row: "opponent")
    assert evaluation.decisions == decided
    assert (evaluation.stop_reason, state_of(evaluation).votes) == ("no_pairs", 40)


def test_going_on_after_the_budget_needs_a_larger_one(planned: Start, owner: Any) -> None:
    evaluation = run_out(planned({"budget": 6}), lambda row: "tie")
    with pytest.raises(UserError, match="larger budget"):
        go_on(evaluation=evaluation, by=owner)
    go_on(evaluation=evaluation, by=owner, budget=9)
    run_out(evaluation, lambda row: "tie")
    assert state_of(evaluation).votes == 9


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_choose_one_batch(planned: Start, models: list[Any]) -> None:
    evaluation = planned(ACTIVE, candidates=models[1:])
    vote(evaluation, lambda row: "tie")
    asking._seen.put(evaluation.pk, ())
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        asking.advance(evaluation.pk)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert waiting(evaluation).count() == asking.EACH
    assert evaluation.comparisons.exclude(asked_at=None).count() == 2 * asking.EACH


def test_a_worker_that_dies_has_done_nothing_and_the_next_does_it(
    planned: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = planned(ACTIVE)
    vote(evaluation, lambda row: "tie")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(asking, "_ask", die)
        with pytest.raises(KeyboardInterrupt):
            asking.advance(evaluation.pk)
    assert evaluation.comparisons.exclude(asked_at=None).count() == asking.EACH
    asking.advance(evaluation.pk)
    assert waiting(evaluation).count() == asking.EACH


def test_equal_models_are_not_told_apart_however_often_one_looks(planned: Start) -> None:
    """Four series of 40 prompts, each looked at after every eight: two alarms have a chance of
    1 %."""
    evaluation = planned(SURE, prompts=40)
    alarms = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        Judgment.objects.all().delete()
        Pair.objects.update(judged=0, wanted=0)
        evaluation.comparisons.update(asked_at=None)
        evaluation.stopped_at, evaluation.decisions = None, {}
        evaluation.save()
        run_out(evaluation, lambda row: str(rng.choice(["candidate", "opponent", "tie"])))  # noqa: B023
        alarms += bool(evaluation.decisions)
    assert alarms <= 1


def test_while_people_vote_the_budget_can_be_raised_and_not_lowered(
    planned: Start, owner: Any
) -> None:
    evaluation = planned({"budget": 6})
    before = evaluation.comparisons.exclude(asked_at=None).count()
    for budget, code in ((None, "not_stopped"), (5, "budget_lowered")):
        with pytest.raises(UserError) as caught:
            go_on(evaluation=evaluation, by=owner, budget=budget)
        assert caught.value.code == code
    go_on(evaluation=evaluation, by=owner, budget=9)
    assert (evaluation.plan["budget"], evaluation.stopped_at) == (9, None)
    assert evaluation.comparisons.exclude(asked_at=None).count() >= before
    run_out(evaluation, lambda row: "tie")
    assert state_of(evaluation).votes == 9


def test_while_outputs_are_made_stop_and_go_on_say_the_same(start: Start, owner: Any) -> None:
    evaluation = start()
    for verb in (stop_evaluation, go_on):
        with pytest.raises(UserError, match="no outputs yet") as caught:
            verb(evaluation=evaluation, by=owner)
        assert caught.value.code == "not_voting"
