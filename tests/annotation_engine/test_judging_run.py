"""From a judge in the database to judgments in the database, by the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.models import Judgment, Outcome
from annotation.services.judging import create_judge, new_judge_version, start_judging
from steelyard.registry.services import register_model
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
