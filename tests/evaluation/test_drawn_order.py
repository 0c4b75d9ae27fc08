"""In which order comparisons count: ties as the drawn order comes to them, and votes that came in
together as they were drawn, not as a file or a judge had them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluation import asking
from evaluation.drawn import TOGETHER, came_in, place_of, with_ties
from evaluation.engine import stopping
from evaluation.models import Comparison, Evaluation
from evaluation.standings import win_rates
from evaluation.stopping import state_of
from evaluation.verdicts import in_order, verdicts
from evaluation.votes import PEOPLE, votes_of
from tests.factories import make_annotator, make_judgment, make_prompt

Start = Callable[..., Any]
SURE = {"stop": "always_valid", "delta": 0.2}
SAME = "the same"


# --- The rule ----------------------------------------------------------------------------------


def test_ties_count_as_the_order_comes_to_them() -> None:
    # t v t t v t, drawn in this order
    same = np.array([True, False, True, True, False, True])
    place, times = np.arange(6), np.array([0.0, 5.0, 0.0, 0.0, 3.0, 0.0])

    def counted(*votes: int) -> list[int]:
        done = np.isin(np.arange(6), votes)
        counts, when = with_ties(place, same, done, times)
        found = np.flatnonzero(counts)
        return found[np.lexsort((place[found], when[found]))].tolist()

    assert counted() == []
    assert counted(4) == [0, 4]
    assert counted(1) == [0, 1]
    assert counted(1, 4) == [0, 4, 1, 2, 3, 5]
    every = np.ones(3, dtype=bool)
    assert with_ties(np.arange(3), every, ~every, np.zeros(3))[0].all()


def test_ties_are_neither_ahead_of_votes_nor_behind() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(2000) < 0.6
    place = rng.permutation(2000)
    others = np.flatnonzero(~same)
    order = others[np.argsort(place[others])]
    for share in (0.1, 0.5, 0.9):
        done = np.zeros(2000, dtype=bool)
        done[order[: int(share * order.size)]] = True
        counts, _when = with_ties(place, same, done, np.zeros(2000))
        assert counts[same].mean() == pytest.approx(share, abs=0.04)


def test_with_ties_and_votes_out_of_turn_a_rule_is_seldom_wrong_however_often_one_looks() -> None:
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        same = rng.random(400) < 0.6
        score = np.where(same, 0.5, (rng.random(400) < 0.8).astype(float))
        place = rng.permutation(400)
        # people answer what is open, eight pairs at a time, in any order
        turn = np.argsort(np.cumsum(~same[np.argsort(place)]) // 8 + rng.random(400))
        when = np.empty(400)
        when[np.argsort(place)[turn]] = np.arange(400)
        for now in range(0, 401, 10):
            counts, since = with_ties(place, same, ~same & (when < now), when)
            at = np.flatnonzero(counts)
            x = score[at[np.lexsort((place[at], since[at]))]]
            (found,) = stopping.direct([x], delta=0.1, alpha=0.05)
            # the mean is 0.62
            if found.decision in {"worse", "no difference"} or found.contradictory:
                wrong += 1
                break
    # 5 % of 60 is 3; more than 7 has a chance of 1 %
    assert wrong <= 7


def test_votes_of_one_import_and_those_from_before_came_in_together() -> None:
    at = np.array([10.0, 100.0, 100.0 + TOGETHER, 500.0, 510.0, 520.0])
    from_file = np.array([False, True, True, True, False, True])
    since = np.full(6, 50.0)
    assert came_in(at, from_file, since).tolist() == [50.0, 100.0, 100.0, 500.0, 510.0, 500.0]
    assert came_in(at[:0], from_file[:0], since[:0]).size == 0


# --- In the platform ---------------------------------------------------------------------------


@pytest.fixture
def mostly_same(project: Any, start: Start, answered: Start) -> Callable[..., Evaluation]:
    """On 64 prompts, three in four of whose answers are identical."""

    def begin(**overrides: Any) -> Evaluation:
        for number in range(60):
            make_prompt(project, f"Number {number}?", held_out=True)

        def say(model: str, prompt: str) -> str:
            number = int("".join(filter(str.isdigit, prompt)))
            return SAME if number % 4 else f"{model} on {prompt}"

        return answered(start(**overrides), say)

    return begin


@pytest.mark.django_db
def test_of_chosen_pairs_too_identical_outputs_wait_for_votes(
    mostly_same: Start, models: list[Any]
) -> None:
    evaluation = mostly_same(
        plan={"pairs": "active", "stop": "always_valid"}, candidates=models[1:]
    )
    state = state_of(evaluation)
    assert (state.found.y.size, state.asked > 16) == (0, True)
    for row in evaluation.comparisons.exclude(asked_at=None).with_sides():
        if not row.is_identical:
            make_judgment(row.pair, row.candidate_side)
    state = state_of(evaluation)
    assert state.found.y.size == state.asked
    votes = votes_of(evaluation)
    for at, candidate in enumerate(models[1:], 1):
        cast = votes.cast(candidate.pk, PEOPLE)
        assert sorted(cast.score) == sorted(state.found.against_baseline(at))


def drawn(evaluation: Evaluation) -> list[Comparison]:
    rows = evaluation.comparisons.with_sides()
    return sorted(rows, key=lambda row: place_of(evaluation, row.pair.prompt.key))


@pytest.mark.django_db
@pytest.mark.parametrize("plan", [{}, SURE])
def test_without_a_vote_identical_outputs_decide_nothing_and_with_all_votes_all_count(
    plan: dict[str, Any], mostly_same: Start, member: Any
) -> None:
    evaluation = mostly_same(plan=plan)
    asking.advance(evaluation.pk)
    (state,) = state_of(evaluation).candidates
    assert (state.decision, state.now.prompts) == ("keep voting", 0)
    rows = drawn(evaluation)
    asked = [at for at, row in enumerate(rows) if not row.is_identical]
    rater = make_annotator(evaluation.project, user=member)
    for at, following in zip(asked, [*asked[1:], len(rows)], strict=True):
        rows[at].pair.refresh_from_db()
        make_judgment(rows[at].pair, rows[at].candidate_side, annotator=rater)
        asking.advance(evaluation.pk)
        (state,) = state_of(evaluation).candidates
        (row,) = win_rates(evaluation)
        known = at + 1 if following < len(rows) else len(rows)
        assert state.now.prompts == row.rate.prompts == known
        assert state.now.rate == pytest.approx(row.rate.rate)
        assert row.identical == known - row.judged
        assert row.waiting == len(asked) - row.judged


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["judge", "people"])
def test_votes_that_came_in_by_subset_are_taken_in_the_order_drawn(
    who: str, project: Any, judge: Any, mostly_same: Start
) -> None:
    evaluation = mostly_same()
    voter = judge if who == "judge" else make_annotator(project)
    source = judge.pk if who == "judge" else PEOPLE
    rows = drawn(evaluation)
    lost = {"a": "b", "b": "a"}
    asked = [row for row in rows if not row.is_identical]
    # what it won stands first in the file
    won = asked[::2]
    for row in [*won, *asked[1::2]]:
        side = row.candidate_side
        make_judgment(row.pair, side if row in won else lost[side], annotator=voter)
    votes = votes_of(evaluation)
    (candidate,) = evaluation.candidates.all()
    said = [0.5 if row.is_identical else float(row in won) for row in rows]
    found = in_order(votes.cast(candidate.pk, source))
    assert found.tolist() == said
    (one,) = verdicts(evaluation, votes, [candidate])
    (known,) = stopping.direct([np.array(said)], delta=one.delta, alpha=one.alpha)
    assert (one.source, one.standing.lo, one.standing.hi) == (source, known.lo, known.hi)


@pytest.mark.django_db
def test_a_judge_is_asked_in_the_order_drawn(mostly_same: Start, judge: Any) -> None:
    evaluation = mostly_same(judges=[judge])
    (seat,) = evaluation.panel.all()
    asked = [row.pair_id for row in drawn(evaluation) if not row.is_identical]
    assert seat.run.spec["pairs"] == asked


@pytest.mark.django_db
def test_the_oldest_pairs_are_the_first_drawn(mostly_same: Start) -> None:
    pairs = [row.pair_id for row in drawn(mostly_same())]
    assert pairs == sorted(pairs)
