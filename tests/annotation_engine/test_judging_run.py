"""From a judge in the database to judgments in the database, by the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.models import Annotator, Judgment, Outcome
from annotation.services.judging import create_judge, new_judge_version, start_judging
from steelyard.registry.services import register_model, set_api_key
from steelyard.runs.models import Run
from tests.chat_server import ChatServer
from tests.factories import make_pair


@pytest.mark.django_db(transaction=True)
def test_verdicts_of_an_endpoint_become_judgments(project: Any, owner: Any, settle: Any) -> None:
    pairs = [make_pair(project, texts=("good", "bad")) for _ in range(3)]

    def reply(body: dict[str, Any], number: int) -> str:
        text = body["messages"][0]["content"]
        side = "A" if text.index("\ngood\n") < text.index("\nbad\n") else "B"
        return f"It is good.\nVerdict: {side} (strength 3)"

    def reply_counted(body: dict[str, Any], number: int) -> Any:
        message = {"role": "assistant", "content": reply(body, number)}
        usage = {"prompt_tokens": 1000, "completion_tokens": 100}
        return 200, {}, {"choices": [{"index": 0, "message": message}], "usage": usage}

    with ChatServer(reply_counted) as server:
        model = register_model(
            project=project,
            name="far",
            modality="text",
            family="endpoint",
            source=server.url,
            options={"model": "some-model", "api_key": "sk-secret"},
        )
        judge = create_judge(
            project=project,
            name="judge",
            model=model,
            criteria="Goodness.",
            limits={"price_in": 2.0, "price_out": 10.0},
        )
        run = settle(start_judging(judge=judge, pairs=pairs, by=owner))
        assert set(server.keys) == {"Bearer sk-secret"}
    assert run.state == "succeeded", run.error
    assert b"sk-secret" not in (run.dir.path / "run.json").read_bytes()
    judgments = Judgment.objects.filter(annotator=judge)
    assert judgments.count() == 3
    for judgment in judgments:
        good_is_a = judgment.pair.output_a.text == "good"
        assert judgment.outcome == (Outcome.A if good_is_a else Outcome.B)
        assert judgment.strength == (-3 if good_is_a else 3)
        assert judgment.rationale == "It is good."
        assert len(judgment.details["orders"]) == 2
    spent = judge.spendings.get()
    assert (spent.calls, spent.cached, spent.tokens_in, spent.tokens_out) == (6, 0, 6000, 600)
    assert spent.cost == pytest.approx(6 * (0.002 + 0.001))
    assert judge.spent == [6, 6600, pytest.approx(0.018)]
    again = judgments[0].details["orders"][0]["usage"]
    assert (again["tokens_in"], again["cost"]) == (1000, pytest.approx(0.003))


@pytest.mark.django_db(transaction=True)
def test_what_another_version_asks_alike_is_not_paid_for_twice(
    project: Any, owner: Any, settle: Any
) -> None:
    pairs = [make_pair(project, texts=("good", "bad")) for _ in range(3)]
    with ChatServer(lambda body, number: "Why not.\nVerdict: A (strength 1)") as server:
        model = register_model(
            project=project,
            name="far",
            modality="text",
            family="endpoint",
            source=server.url,
            options={"model": "some-model"},
        )
        first = create_judge(project=project, name="judge", model=model, criteria="Goodness.")
        settle(start_judging(judge=first, pairs=pairs, by=owner))
        assert len(server.asked) == 6
        second = new_judge_version(judge=first, asking={"orders": "random"}, note="one order")
        assert (second.name, second.family, second.version) == ("judge v2", "judge", 2)
        run = settle(start_judging(judge=second, pairs=pairs, by=owner))
        assert len(server.asked) == 6
    assert run.state == "succeeded", run.error
    assert second.spendings.get().cached == 3
    votes = Judgment.objects.filter(annotator=second)
    assert {vote.outcome for vote in votes} <= {"a", "b"}
    assert all(vote.swapped == vote.details["orders"][0]["swapped"] for vote in votes)


@pytest.mark.django_db(transaction=True)
def test_a_second_run_takes_what_the_first_is_not_at(
    project: Any, owner: Any, as_user: Any, settle: Any
) -> None:
    for number in range(3):
        make_pair(project, texts=(f"good {number}", "bad"))
    with ChatServer(lambda body, number: "Why not.\nVerdict: A (strength 1)") as server:
        judge = _judge(project, server.url)
        url = f"/api/v1/projects/{project.slug}/judges/{judge.pk}/runs"
        client = as_user(owner)
        answers = [
            client.post(url, {"limit": 2}, content_type="application/json") for _ in range(3)
        ]
        assert [one.status_code for one in answers] == [201, 201, 400]
        assert "a run of its own is at them now" in answers[2].json()["message"]
        runs = [Run.objects.get(pk=one.json()["id"]) for one in answers[:2]]
        assert [len(run.spec["pairs"]) for run in runs] == [2, 1]
        assert {settle(run).state for run in runs} == {"succeeded"}
        assert len(server.asked) == 6


@pytest.mark.django_db(transaction=True)
def test_a_run_that_failed_on_a_wrong_key_is_tried_again_with_the_right_one(
    project: Any, owner: Any, as_user: Any, settle: Any
) -> None:
    pairs = [make_pair(project, texts=("good", "bad")) for _ in range(3)]

    def reply(body: dict[str, Any], number: int) -> Any:
        if server.keys[-1] != "Bearer right":
            return 401, {}, {"error": "bad key"}
        return "Why not.\nVerdict: A (strength 1)"

    with ChatServer(reply) as server:
        judge = _judge(project, server.url, api_key="wrong")
        run = settle(start_judging(judge=judge, pairs=pairs, by=owner))
        assert (run.state, run.error_code) == ("failed", "endpoint_refused")
        model = judge.model
        assert model is not None
        set_api_key(model=model, api_key="right")
        url = f"/api/v1/projects/{project.slug}/runs/{run.pk}/retry"
        assert "Try again" in as_user(owner).get(run.get_absolute_url()).content.decode()
        answer = as_user(owner).post(url)
        assert answer.status_code == 202, answer.json()
        run = settle(run)
    assert run.state == "succeeded", run.error
    assert Judgment.objects.filter(annotator=judge).count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_run_that_a_cap_ended_says_on_its_page_what_is_left(
    project: Any, owner: Any, as_user: Any, settle: Any
) -> None:
    pairs = [make_pair(project, texts=(f"good {number}", "bad")) for number in range(5)]
    with ChatServer(lambda body, number: "Why not.\nVerdict: A (strength 1)") as server:
        judge = _judge(project, server.url, limits={"max_calls": 4, "at_once": 1})
        run = settle(start_judging(judge=judge, pairs=pairs, by=owner))
        assert len(server.asked) == 4
    assert run.warning.startswith("Pairs left: 3, for the cap of 4 calls is reached: ")
    assert "the judge has used 4 calls" in run.warning
    page = as_user(owner).get(run.get_absolute_url()).content.decode()
    assert run.warning in page
    assert page.count("Pairs left: 3") > 1, "the log says it too"
    assert {one["said"]["code"] for one in run.dir.last_events(5)} == {"judged", "left"}


def _judge(project: Any, url: str, limits: Any = None, **options: str) -> Annotator:
    model = register_model(
        project=project,
        name="far",
        modality="text",
        family="endpoint",
        source=url,
        options={"model": "some-model", **options},
    )
    return create_judge(
        project=project, name="judge", model=model, criteria="Goodness.", limits=limits
    )
