"""How sure an evaluation is, in numbers, in words, on its page and in its API."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from evaluation import asking
from evaluation.engine import sequential, stopping
from evaluation.models import Evaluation
from evaluation.plan import checked_plan
from evaluation.stopping import state_of
from steelyard.accounts.models import AuditEvent
from tests.factories import make_annotator, make_judgment

Start = Callable[..., Any]
SURE = {"stop": "always_valid"}


def scores(rng: np.random.Generator, rate: float, number: int) -> np.ndarray:
    """Wins, losses and three in ten ties, with this mean."""
    chances = [0.85 - rate, 0.3, rate - 0.15]
    return rng.choice([0.0, 0.5, 1.0], number, p=chances)


# --- The rules ---------------------------------------------------------------------------------


def test_one_candidate_is_decided_as_the_sequential_rule_decides() -> None:
    for rate in (0.35, 0.5, 0.56, 0.8):
        x = scores(np.random.default_rng(3), rate, 900)
        (found,) = stopping.direct([x], delta=0.06, alpha=0.05)
        known = sequential.decide(x, delta=0.06)
        assert found.decision == known.decision
        assert (found.rate, found.lo, found.hi) == (known.rate, known.lo, known.hi)
        assert found.left == known.left
        assert found.path.rate.size == 200
        assert (found.path.prompts[-1], found.path.lo[-1]) == (900, known.lo)


def test_the_evidence_of_votes_is_the_beta_mixtures() -> None:
    x = np.array([1.0, 0.5, 1.0, 0.0, 1.0])
    found = stopping.running_evidence(x)
    by_hand = [sequential.coin(w, n) for w, n in ((1, 0), (1, 0), (2, 0), (2, 1), (3, 1))]
    assert found == pytest.approx(by_hand)


def test_several_candidates_go_through_e_bh_and_one_decided_before_keeps_its_evidence() -> None:
    rng = np.random.default_rng(0)
    strong, even = scores(rng, 0.8, 60), scores(rng, 0.5, 60)
    first, second = stopping.direct([strong, even], delta=0.02, alpha=0.05)
    assert (first.decision, second.decision) == ("better", stopping.KEEP_VOTING)
    # what was needed of one alone is not enough of two: the second needs 2/α, were it the first
    near = np.array([1.0] * 5 + [0.0])
    assert stopping.direct([near, near], delta=0.02, alpha=0.5)[0].decision == "keep voting"
    kept = stopping.direct([near, near], delta=0.02, alpha=0.5, known=[log(1e6), None])
    assert kept[0].decision == "better"


def test_no_votes_decide_nothing() -> None:
    (found,) = stopping.direct([np.zeros(0)], delta=0.05, alpha=0.05)
    assert (found.decision, found.lo, found.hi, found.left) == ("keep voting", 0.0, 1.0, None)
    nothing = np.zeros(0, dtype=int)
    for one in stopping.by_ratings(
        nothing, nothing, nothing, np.zeros(0), 3, delta=0.05, alpha=0.05
    ):
        assert (one.decision, one.lo, one.hi, one.left) == ("keep voting", 0.0, 1.0, None)
        assert one.path.rate.size == 0


def test_the_direction_is_that_of_the_moment_at_which_the_evidence_sufficed() -> None:
    # a coin that began with luck
    x = (np.random.default_rng(263).random(120) < 0.5).astype(float)
    (found,) = stopping.direct([x], delta=0.02, alpha=0.2)
    assert (found.decision, found.rate < 0.5) == ("better", True)
    assert sequential.decide(x, alpha=0.2).decision == "better"


def test_votes_that_contradict_themselves_decide_nothing_and_say_so() -> None:
    x = np.array([1.0] * 60 + [0.0] * 60)
    (early,) = stopping.direct([x[:60]], delta=0.05, alpha=0.05)
    assert (early.decision, early.contradictory) == ("better", False)
    (found,) = stopping.direct([x], delta=0.05, alpha=0.05)
    assert (found.decision, found.contradictory, found.left) == ("keep voting", True, None)
    assert found.lo < found.rate == 0.5 < found.hi
    assert (found.path.lo <= found.path.hi).all()
    assert (found.path.lo <= found.path.rate)[found.path.contradictory].all()
    known = sequential.decide(x)
    assert (known.decision, known.lo, known.hi) == ("keep voting", found.lo, found.hi)


def test_votes_in_random_order_contradict_themselves_in_few_of_many_series() -> None:
    contradictory = wrong = 0
    for seed in range(200):
        x = scores(np.random.default_rng(seed), 0.6, 400)
        (found,) = stopping.direct([x], delta=0.05, alpha=0.05)
        contradictory += found.contradictory
        wrong += found.decision in {"worse", "no difference"}
    # 5 % of 200 is 10; more than 17 has a chance of 1 %
    assert contradictory <= 17
    assert wrong <= 17


def battles(
    rng: np.random.Generator, theta: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random pairs, the baseline always the second."""
    i = rng.integers(1, theta.size, number)
    j = (i + rng.integers(1, theta.size, number)) % theta.size
    i, j = np.where(i == 0, j, i), np.where(i == 0, i, j)
    chance = 1.0 / (1.0 + np.exp(theta[j] - theta[i]))
    return i, j, (rng.random(number) < chance).astype(float)


def test_by_ratings_a_candidate_is_judged_by_way_of_others_too() -> None:
    rng = np.random.default_rng(1)
    i, j, y = battles(rng, np.array([0.0, 1.2, -1.2, 0.0]), 600)
    found = stopping.by_ratings(np.arange(600), i, j, y, 4, delta=0.05, alpha=0.05)
    assert [one.decision for one in found] == ["better", "worse", stopping.KEEP_VOTING]
    assert found[2].lo < 0.5 < found[2].hi
    assert (found[0].left, found[2].left is None or found[2].left > 0) == (0, True)
    # without a single meeting with the baseline of its own
    others = (i != 1) | (j != 0)
    (first, *_) = stopping.by_ratings(
        np.arange(600)[others], i[others], j[others], y[others], 4, delta=0.05, alpha=0.05
    )
    assert (first.decision, first.log_e) == ("better", 0.0)
    assert found[0].path.rate.size <= stopping.POINTS_BY_RATINGS


@pytest.mark.parametrize("rule", ["direct", "ratings"])
def test_equals_are_told_apart_in_few_of_many_series_looked_at_all_along(rule: str) -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        if rule == "direct":
            x = rng.choice([0.0, 0.5, 1.0], (3, 200))
            looks = [
                stopping.direct(list(x[:, :n]), delta=0.001, alpha=0.05) for n in range(20, 201, 20)
            ]
        else:
            i, j, y = battles(rng, np.zeros(3), 200)
            looks = [
                stopping.by_ratings(
                    np.arange(n), i[:n], j[:n], y[:n], 3, delta=0.001, alpha=0.05, points=0
                )
                for n in range(20, 201, 20)
            ]
        alarms += any(one.decision in {"better", "worse"} for look in looks for one in look)
    # 5 % of 60 is 3; more than 7 has a chance of 1 %
    assert alarms <= 7


def test_a_hundred_thousand_votes_are_few_enough_for_every_rule() -> None:
    """Not timed: an algorithm that goes back over all votes at each would not end."""
    rng = np.random.default_rng(0)
    (found,) = stopping.direct([scores(rng, 0.5, 100_000)], delta=0.05, alpha=0.05)
    assert found.decision == "no difference"
    i, j, y = battles(rng, np.array([0.0, 0.02, 0.5]), 100_000)
    close, far = stopping.by_ratings(np.arange(100_000), i, j, y, 3, delta=0.05, alpha=0.05)
    assert (close.decision, far.decision) == ("no difference", "better")


# --- In the platform ---------------------------------------------------------------------------


@pytest.fixture
def voting(start: Start, answered: Start) -> Evaluation:
    """One that stops by itself, its first pairs in the queue."""
    evaluation = start()
    Evaluation.objects.update(plan=checked_plan(SURE, ask_people=True))
    evaluation.refresh_from_db()
    return answered(evaluation)


@pytest.mark.django_db
def test_a_prompt_counts_once_all_its_votes_are_in(project: Any, voting: Evaluation) -> None:
    (first, second, *_) = voting.comparisons.with_sides()
    type(first.pair).objects.update(wanted=2)
    for comparison in (first, second):
        comparison.pair.refresh_from_db()
    make_judgment(first.pair, first.candidate_side)
    (state,) = state_of(voting).candidates
    assert state.now.prompts == 0
    make_judgment(first.pair, "tie")
    make_judgment(second.pair, "tie")
    whole = state_of(voting)
    assert whole.votes == 3
    assert (whole.candidates[0].now.prompts, whole.candidates[0].now.rate) == (1, 0.75)


@pytest.mark.django_db
def test_judges_votes_are_no_evidence_of_peoples(judge: Any, voting: Evaluation) -> None:
    for comparison in voting.comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side, annotator=judge)
    assert (state_of(voting).votes, state_of(voting).candidates[0].now.prompts) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("plan", [{}, {"pairs": "active"}])
def test_a_judges_verdict_stays_on_candidates_that_no_person_has_voted_on(
    plan: dict[str, Any],
    project: Any,
    models: list[Any],
    judge: Any,
    start: Start,
    answered: Start,
) -> None:
    from evaluation.verdicts import verdicts
    from evaluation.votes import PEOPLE, votes_of

    evaluation = answered(start(candidates=models[1:], plan=plan))
    for comparison in evaluation.comparisons.against_baseline().with_sides():
        make_judgment(comparison.pair, comparison.candidate_side, annotator=judge)

    def sources(candidates: list[Any]) -> dict[str, tuple[int, float]]:
        found = verdicts(evaluation, votes_of(evaluation), candidates)
        return {one.candidate.name: (one.source, one.standing.rate) for one in found}

    by_judge = (judge.pk, 1.0)
    assert sources(models[1:]) == {"new": by_judge, "other": by_judge}
    rows = evaluation.comparisons.against_baseline().with_sides()
    first = rows.filter(candidate=models[1]).order_by("asked_at").first()
    make_judgment(first.pair, first.candidate_side)
    for candidates in (models[1:], models[:0:-1]):
        found = sources(candidates)
        assert (found["new"][0], found["other"]) == (PEOPLE, by_judge)


@pytest.mark.django_db
def test_the_page_says_that_votes_contradict_themselves(
    project: Any, owner: Any, as_user: Any, voting: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evaluation.met import Met

    comparison = voting.comparisons.with_sides().exclude(asked_at=None).first()
    make_judgment(comparison.pair, comparison.candidate_side)
    x = np.array([1.0] * 60 + [0.0] * 60)
    monkeypatch.setattr(Met, "against_baseline", lambda met, model: x)
    page = as_user(owner).get(voting.get_absolute_url()).content.decode()
    assert "new against base: the votes contradict themselves" in page
    assert "Not sure: the votes contradict themselves" in page


@pytest.mark.django_db
def test_the_words_say_what_is_left(voting: Evaluation) -> None:
    def left(now: Any, **more: Any) -> str:
        (one,) = state_of(voting).candidates
        values = {**vars(one), "labels_left": now, **more}
        return type(one)(**values).left_words

    assert left(None) == "cannot be said yet"
    assert left(300) == "about 300 votes"
    assert left(300, votes_affordable=100) == "more than the budget has left"


@pytest.mark.django_db
def test_a_verdict_wakes_the_task_once_for_many(
    project: Any,
    member: Any,
    voting: Evaluation,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    from uuid import uuid4

    from annotation.recent import Recent
    from annotation.services.queue import annotator_for, next_pair
    from annotation.services.verdicts import Verdict, record_judgment
    from evaluation import tasks

    asked: list[Any] = []
    monkeypatch.setattr(tasks.advance_evaluations, "apply_async", lambda *a, **k: asked.append(a))
    # however long the three take here, they are within one wait
    monkeypatch.setattr(tasks, "_asked", Recent(seconds=600))
    annotator = annotator_for(user=member, project=project)
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(3):
            lease = next_pair(annotator=annotator)
            assert lease is not None
            verdict = Verdict(uuid=uuid4(), outcome="tie")
            record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)
    assert asked == [([project.pk],)]
    tasks.advance_evaluations(project.pk)


@pytest.mark.django_db
def test_the_page_tells_the_state_and_an_admin_stops_it_there(
    project: Any, owner: Any, as_user: Any, voting: Evaluation
) -> None:
    comparison = voting.comparisons.with_sides().first()
    make_judgment(comparison.pair, comparison.candidate_side)
    page = as_user(owner).get(voting.get_absolute_url()).content.decode()
    assert "Voting goes on." in page
    assert "1 vote of people, 4 comparisons asked about" in page
    stop, go_on = (
        reverse(f"evaluation:evaluation-{verb}", args=[project.slug, voting.pk])
        for verb in ("stop", "go-on")
    )
    assert stop in page
    page = as_user(owner).post(stop, follow=True).content.decode()
    assert "Voting has stopped: by hand." in page
    assert go_on in page
    assert "Voting has stopped already" in as_user(owner).post(stop, follow=True).content.decode()
    assert "1 or more" in as_user(owner).post(go_on, {"budget": "x"}, follow=True).content.decode()
    assert "Voting goes on." in as_user(owner).post(go_on, follow=True).content.decode()
    actions = AuditEvent.objects.filter(action__startswith="evaluation-")
    assert set(actions.values_list("action", "actor")) == {
        ("evaluation-stopped", owner.pk),
        ("evaluation-resumed", owner.pk),
    }


@pytest.mark.django_db
def test_only_admins_stop_and_only_staff_look(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any, voting: Evaluation
) -> None:
    from tests.factories import make_user

    researcher = make_user("researcher", project=project, role="researcher")
    root = f"/api/v1/projects/{project.slug}/evaluations/{voting.pk}"
    for verb in ("stop", "go-on"):
        page = reverse(f"evaluation:evaluation-{verb}", args=[project.slug, voting.pk])
        for user in (researcher, member, stranger):
            assert as_user(user).post(page).status_code == 404
            assert _client(user).post(f"{root}/{verb}").status_code == 404
        assert as_user(owner).get(page).status_code == 405
    voting.refresh_from_db()
    assert voting.stopped_at is None
    for user, code in ((owner, 200), (researcher, 200), (member, 404), (stranger, 404)):
        assert _client(user).get(f"{root}/stopping").status_code == code
    shown = as_user(researcher).get(voting.get_absolute_url()).content.decode()
    assert "Voting goes on." in shown
    assert "Stop asking people" not in shown


@pytest.mark.django_db
def test_the_api_tells_all_of_it_and_stops(project: Any, owner: Any, voting: Evaluation) -> None:
    rater = make_annotator(project)
    for comparison in voting.comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side, annotator=rater)
    asking.advance(voting.pk)
    root = f"/api/v1/projects/{project.slug}/evaluations/{voting.pk}"
    body = _client(owner).get(f"{root}/stopping").json()
    assert (body["votes"], body["stop_reason"], body["by_ratings"]) == (4, "no_pairs", False)
    (one,) = body["candidates"]
    assert (one["candidate"], one["decision"], one["rate"]) == ("new", "keep voting", 1.0)
    assert (len(one["path"]), one["decided"], one["labels_left"]) == (4, None, None)
    refused = _client(owner).post(f"{root}/stop").json()
    assert refused["code"] == "stopped"
    refused = _client(owner).post(f"{root}/go-on", {"budget": 100}, format="json").json()
    assert refused["code"] == "no_pairs"


def _client(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client
