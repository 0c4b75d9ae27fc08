"""From a judge in the database to judgments in the database, by the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.models import Judgment, Outcome
from annotation.services.judging import create_judge, start_judging
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

    with ChatServer(reply) as server:
        model = register_model(
            project=project,
            name="far",
            modality="text",
            family="endpoint",
            source=server.url,
            options={"model": "some-model", "api_key": "sk-secret"},
        )
        judge = create_judge(project=project, name="judge", model=model, criteria="Goodness.")
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
