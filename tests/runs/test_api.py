from __future__ import annotations

from typing import Any

import pytest

from steelyard.runs.models import MetricPoint, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project: Any, owner: Any) -> Run:
    run = Run.objects.create(
        project=project, kind="train", title="Train better", state="running", created_by=owner
    )
    for step, value in ((1, 0.7), (2, None)):
        MetricPoint.objects.create(run=run, name="loss", step=step, value=value, time=5.0)
    MetricPoint.objects.create(run=run, name="accuracy", step=1, value=1.0, time=5.0)
    run.dir.create({"kind": "train"})
    run.dir.event("started")
    return run


@pytest.fixture
def url(run: Run) -> str:
    return f"/api/v1/projects/{run.project.slug}/runs"


def test_runs_are_listed_and_read(as_user: Any, owner: Any, run: Run, url: str) -> None:
    client = as_user(owner)
    listed = client.get(url).json()["results"]
    assert [one["id"] for one in listed] == [run.pk]
    assert client.get(url, {"kind": "judge"}).json()["results"] == []
    one = client.get(f"{url}/{run.pk}").json()
    assert (one["state"], one["created_by"]) == ("running", "owner")
    assert "spec" not in one


def test_all_numbers_come_in_pages_and_as_a_file(
    as_user: Any, owner: Any, run: Run, url: str
) -> None:
    client = as_user(owner)
    rows = client.get(f"{url}/{run.pk}/metrics", {"name": "loss"}).json()["results"]
    assert {(row["step"], row["value"]) for row in rows} == {(1, 0.7), (2, None)}
    answer = client.get(f"{url}/{run.pk}/metrics.csv")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines == ["step,name,value,time", "1,accuracy,1.0,5.0", "1,loss,0.7,5.0", "2,loss,,5.0"]
    assert f"run-{run.pk}-metrics.csv" in answer["Content-Disposition"]


def test_the_log_is_read(as_user: Any, owner: Any, run: Run, url: str) -> None:
    lines = as_user(owner).get(f"{url}/{run.pk}/log").json()
    assert [(line["level"], line["text"]) for line in lines] == [("info", "started")]


def test_a_run_is_cancelled_once(as_user: Any, owner: Any, run: Run, url: str) -> None:
    client = as_user(owner)
    answer = client.post(f"{url}/{run.pk}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    Run.objects.update(state="cancelled")
    answer = client.post(f"{url}/{run.pk}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_ended")


def test_only_the_projects_staff_reaches_runs(
    as_user: Any, member: Any, stranger: Any, run: Run, url: str
) -> None:
    for user in (member, stranger):
        client = as_user(user)
        for path in (
            "",
            f"/{run.pk}",
            *(f"/{run.pk}/{x}" for x in ("metrics", "metrics.csv", "log")),
        ):
            assert client.get(url + path).status_code == 404, path
        assert client.post(f"{url}/{run.pk}/cancel").status_code == 404
    run.refresh_from_db()
    assert run.state == "running"
