"""Whether revising helps is asked on the page of the run that has revised, and by the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse

from annotation.services.judging import create_judge
from evaluation.services_revisions import start_revisions
from steelyard.lib.errors import UserError
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from tests.chat_server import ChatServer
from tests.evaluation_engine.test_revisions import TEXTS
from tests.factories import make_model

pytestmark = pytest.mark.django_db(transaction=True)


def prefers_good(body: dict[str, Any], number: int) -> str:
    asked = body["messages"][0]["content"]
    if "mumbled" in asked:
        return "Who can say."
    return f"Verdict: {'A' if asked.index('good') < asked.index('dull') else 'B'}"


@pytest.fixture
def revised(project: Any, owner: Any) -> Run:
    """A training run that has ended, with answers to three prompts, each revised twice."""
    run = start_run(project=project, kind="train", title="Train better", spec={}, by=owner)
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    run.dir.path.mkdir(parents=True)
    lines = [
        {
            "prompt": f"{number}" * 64,
            "messages": [{"role": "user", "content": f"Say {number}."}],
            "revision": revision,
            "text": text,
        }
        for number, chain in enumerate(TEXTS)
        for revision, text in enumerate(chain)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.dir.path / "revisions.jsonl").write_text(text)
    return run


@pytest.fixture
def judge(project: Any) -> Any:
    with ChatServer(prefers_good) as server:
        model = make_model(
            project, "far", family="endpoint", source=server.url, options={"model": "m"}
        )
        yield create_judge(project=project, name="strict", model=model, criteria="Be kind.")


def test_a_judge_is_asked_and_its_win_rates_stand_on_the_runs_page(
    project: Any, owner: Any, revised: Run, judge: Any, as_user: Any, settle: Any
) -> None:
    client = as_user(owner)
    part = reverse("evaluation:revisions-of-run", args=[project.slug, revised.pk])
    before = client.get(part).content.decode()
    assert "Say 0." in before
    assert "Win rate against the first answer" not in before
    sent = client.post(part, {"judge": judge.pk})
    run = Run.objects.get(kind="revisions")
    assert sent["Location"] == run.get_absolute_url()
    # asked again while it is at work, it is not asked twice
    with pytest.raises(UserError, match="is at work on it"):
        start_revisions(run=revised, judge=judge, by=owner)
    run = settle(run)
    assert run.state == "succeeded", run.error
    assert judge.spendings.get(run=run).calls > 0
    shown = client.get(part).content.decode()
    assert "Win rate against the first answer" in shown
    # whose verdicts they are
    assert f'<a href="{run.get_absolute_url()}">strict</a>' in shown
    assert client.get(run.get_absolute_url()).status_code == 200
    path = f"/api/v1/projects/{project.slug}/runs/{revised.pk}/revisions"
    told = client.get(path).json()
    assert [one["texts"] for one in told["answers"]] == [list(chain) for chain in TEXTS]
    (judged,) = told["judged"]
    assert (judged["judge"], judged["state"]) == ("strict", "succeeded")
    first, second = judged["rates"]
    # an unchanged answer is a tie
    assert (first["revision"], first["rate"]) == (1, pytest.approx(2.5 / 3))
    assert (first["wins"], first["ties"], first["losses"]) == (2, 1, 0)
    assert (second["rate"], second["invalid"]) == (1.0, 1)


def test_only_what_was_revised_is_asked_about_and_by_staff_alone(
    project: Any, owner: Any, member: Any, stranger: Any, revised: Run, judge: Any, as_user: Any
) -> None:
    part = reverse("evaluation:revisions-of-run", args=[project.slug, revised.pk])
    path = f"/api/v1/projects/{project.slug}/runs/{revised.pk}/revisions"
    for nobody in (member, stranger):
        client = as_user(nobody)
        assert client.get(part).status_code == client.get(path).status_code == 404
        assert client.post(part, {"judge": judge.pk}).status_code == 404
        assert client.post(path, {"judge": "strict"}).status_code == 404
    wrong = as_user(owner).post(path, {"judge": "nobody"}, content_type="application/json")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "judge")
    made = as_user(owner).post(path, {"judge": "strict"}, content_type="application/json")
    assert (made.status_code, made.json()["kind"]) == (201, "revisions")
    (revised.dir.path / "revisions.jsonl").unlink()
    assert "<section" not in as_user(owner).get(part).content.decode()
    refused = as_user(owner).post(path, {"judge": "strict"}, content_type="application/json")
    assert refused.json()["code"] == "no_revisions"
