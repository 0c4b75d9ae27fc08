"""The whole road with real engine processes: models answer, people and judges compare, a rate
stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from annotation.models import Judgment, Output, Pair
from annotation.services.judging import create_judge
from annotation.services.material import add_prompt
from annotation.services.queue import annotator_for, next_pair
from annotation.services.verdicts import Verdict, record_judgment
from evaluation.leaderboard import standings
from evaluation.services import resume_evaluation, start_evaluation
from evaluation.standings import unreadable, win_rates
from tests.chat_server import ChatServer
from tests.factories import make_model, make_project, make_prompt, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SAMPLING = {"max_new_tokens": 6, "temperature": 1.0}


@pytest.fixture
def lab() -> tuple[Any, Any]:
    """A project with three held-out prompts, and its owner."""
    project = make_project()
    for number in range(3):
        make_prompt(project, f"What is {number} + {number}?", held_out=True)
    return project, make_user(project=project, role="admin")


def local(project: Any, name: str, folder: Path) -> Any:
    return make_model(project, name, family="causal_lm", source=str(folder))


def test_two_small_models_judged_by_a_third(
    lab: tuple[Any, Any], tiny_lm: Path, another_tiny_lm: Path, settle: Callable[..., Any]
) -> None:
    project, owner = lab
    base, new = local(project, "base", tiny_lm), local(project, "new", another_tiny_lm)
    judge = create_judge(
        project=project,
        name="judge",
        model=base,
        criteria="Be right.",
        sampling={"max_new_tokens": 8},
    )
    evaluation = start_evaluation(
        project=project,
        name="By a judge",
        baseline=base,
        candidates=[new],
        people=False,
        judges=[judge],
        sampling=SAMPLING,
        by=owner,
    )
    assert settle(evaluation.generation).state == "succeeded", evaluation.generation.error
    evaluation.refresh_from_db()
    assert evaluation.state == "comparing"
    assert settle(evaluation.seats[0].run).state == "succeeded"
    assert evaluation.comparisons.count() == 3
    assert not Pair.objects.open().exists()
    verdicts = Judgment.objects.filter(run=evaluation.seats[0].run)
    assert verdicts.count() == 3
    # a model of random weights says what it says: what cannot be read is kept, and in no win rate
    readable = verdicts.decisive().count()
    assert readable + unreadable(evaluation).get(judge.pk, 0) == 3
    rows = win_rates(evaluation)
    assert [(row.judge, row.judged) for row in rows] == [(judge, readable)] * bool(readable)
    assert all(0 <= row.rate.rate <= 1 for row in rows)


def test_two_small_models_compared_by_people(
    lab: tuple[Any, Any], tiny_lm: Path, another_tiny_lm: Path, settle: Callable[..., Any]
) -> None:
    project, owner = lab
    evaluation = start_evaluation(
        project=project,
        name="By people",
        baseline=local(project, "base", tiny_lm),
        candidates=[local(project, "new", another_tiny_lm)],
        sampling=SAMPLING,
        by=owner,
    )
    assert settle(evaluation.generation).state == "succeeded"
    annotator = annotator_for(user=make_user(project=project), project=project)
    sides = {c.pair_id: c.candidate_side for c in evaluation.comparisons.all()}
    for _ in range(3):
        lease = next_pair(annotator=annotator)
        assert lease is not None
        said = Verdict(uuid=uuid4(), outcome=sides[lease.pair_id])
        record_judgment(annotator=annotator, pair=lease.pair, verdict=said)
    assert next_pair(annotator=annotator) is None
    (row,) = win_rates(evaluation)
    assert (row.rate.rate, row.rate.wins, row.waiting, row.source) == (1.0, 3, 0, "people")
    board = standings(project, source="people")
    assert board.groups == []
    assert {left.model.name: left.row.win_rate for left in board.unrated} == {
        "base": 0.0,
        "new": 1.0,
    }


def test_models_and_a_judge_behind_endpoints(
    lab: tuple[Any, Any], settle: Callable[..., Any]
) -> None:
    """The better model answers with the sum; the judge knows a sum when it sees one."""

    def reply(body: dict[str, Any], number: int) -> str:
        asked = body["messages"][-1]["content"]
        if body["model"] == "judge":
            good, bad = asked.rindex("the sum is"), asked.rindex("no idea")
            return f"Verdict: {'A' if good < bad else 'B'} (strength 2)"
        return "the sum is there" if body["model"] == "good" else f"no idea about {asked}"

    project, owner = lab
    with ChatServer(reply) as server:
        base, new, critic = (
            make_model(
                project, name, family="endpoint", source=server.url, options={"model": model}
            )
            for name, model in (("base", "bad"), ("new", "good"), ("critic", "judge"))
        )
        judge = create_judge(project=project, name="judge", model=critic, criteria="Be right.")
        evaluation = start_evaluation(
            project=project,
            name="By HTTP",
            baseline=base,
            candidates=[new],
            people=False,
            judges=[judge],
            sampling=SAMPLING,
            by=owner,
        )
        assert settle(evaluation.generation).state == "succeeded"
        evaluation.refresh_from_db()
        assert settle(evaluation.seats[0].run).state == "succeeded"
    (row,) = win_rates(evaluation)
    assert (row.rate.rate, row.rate.wins, row.judged) == (1.0, 3, 3)


def test_a_dead_endpoint_fails_the_evaluation_and_says_where(
    lab: tuple[Any, Any], tiny_lm: Path, settle: Callable[..., Any]
) -> None:
    project, owner = lab
    dead = make_model(
        project, "dead", family="endpoint", source="http://127.0.0.1:9/v1", options={"model": "x"}
    )
    evaluation = start_evaluation(
        project=project,
        name="Doomed",
        baseline=local(project, "base", tiny_lm),
        candidates=[dead],
        sampling=SAMPLING,
        by=owner,
    )
    assert settle(evaluation.generation).state == "failed"
    evaluation.refresh_from_db()
    assert evaluation.state == "failed"
    assert "127.0.0.1:9" in evaluation.error
    assert not Pair.objects.exists()


def test_an_endpoint_that_dies_midway_loses_nothing_and_turns_are_asked_in_sequence(
    lab: tuple[Any, Any], settle: Callable[..., Any]
) -> None:
    project, owner = lab
    turns = [{"role": "user", "content": one} for one in ("Name a fish.", "And another?")]
    add_prompt(project=project, messages=turns, held_out=True)
    alive = {"base"}

    def reply(body: dict[str, Any], number: int) -> Any:
        if body["model"] not in alive:
            return 401, {}, {"error": {"message": "The key has run out."}}
        said = [message["content"] for message in body["messages"]]
        return f"{body['model']} heard {' / '.join(said)}"

    with ChatServer(reply) as server:
        base, new = (
            make_model(project, n, family="endpoint", source=server.url, options={"model": n})
            for n in ("base", "new")
        )
        evaluation = start_evaluation(
            project=project,
            name="Midway",
            baseline=base,
            candidates=[new],
            sampling=SAMPLING,
            by=owner,
        )
        assert settle(evaluation.generation).state == "failed"
        evaluation.refresh_from_db()
        assert (evaluation.state, evaluation.counts["kept"]) == ("failed", 4)
        alive.add("new")
        before = sum(body["model"] == "base" for body in server.asked)
        evaluation = resume_evaluation(evaluation=evaluation, by=owner)
        assert settle(evaluation.generation).state == "succeeded"
        assert sum(body["model"] == "base" for body in server.asked) == before
    evaluation.refresh_from_db()
    assert evaluation.counts["reused"] == {"base": 4}
    assert evaluation.comparisons.count() == 4
    fish = Output.objects.get(model=new, prompt__messages=turns)
    first = "new heard Name a fish."
    assert fish.text == (
        f"[Answer 1]\n{first}\n\n[Answer 2]\nnew heard Name a fish. / {first} / And another?"
    )
