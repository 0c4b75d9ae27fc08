"""A run is paused at its checkpoint, goes on from there, and is tried again after a failure."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from steelyard.lib.errors import UserError
from steelyard.lib.resources import Meter
from steelyard.runs import services
from steelyard.runs.models import Run
from steelyard.runs.queue import the_queue
from steelyard.runs.services import start_run
from tests.factories import make_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pausable(counting: Any, settings: Any) -> Any:
    settings.PAUSABLE_RUNS = {"train", "counting"}
    return counting


def steps(run: Run) -> list[int]:
    return list(run.points.filter(name="loss").values_list("step", flat=True).order_by("step"))


def test_a_paused_run_frees_its_place_and_goes_on_to_the_same_end(
    pausable: Any, until: Any, settle: Any, owner: Any, settings: Any
) -> None:
    settings.MAX_RUNS_AT_ONCE = 1
    whole = settle(pausable(steps=40))
    run, other = pausable(steps=40, hold_at=3), pausable(steps=20)
    until(lambda: ((run.dir.read_progress() or {}).get("done") or 0) >= 3)
    run.refresh_from_db()
    services.pause_run(run=run, by=owner)
    until(lambda: Run.objects.get(pk=run.pk).state == "paused")
    run.refresh_from_db()
    before = run.seconds
    assert run.done < 40
    (run.dir.path / "go-on").touch()
    assert settle(other).state == "succeeded"
    services.resume_run(run=run, by=owner)
    run = settle(run)
    assert run.state == "succeeded"
    assert run.result["sum"] == whole.result["sum"]
    assert steps(run) == list(range(1, 41))
    assert run.seconds > before > 0


def test_a_queued_run_is_paused_at_once_and_a_paused_one_can_be_cancelled(
    pausable: Any, settle: Any, owner: Any
) -> None:
    run = pausable(steps=5)
    services.pause_run(run=run, by=owner)
    run.refresh_from_db()
    assert run.state == "paused"
    services.cancel_run(run=run, by=owner)
    assert settle(run).state == "cancelled"
    assert run.attempt == 0


def test_a_failed_run_is_tried_again_from_its_checkpoint(
    pausable: Any, settle: Any, owner: Any
) -> None:
    run = settle(pausable(steps=20, crash_at=11))
    assert (run.state, run.error_code) == ("failed", "crashed")
    run.spec = {"steps": 20}
    run.save()
    services.retry_run(run=run, by=owner)
    run.refresh_from_db()
    assert (run.state, run.error, run.result, run.dir.result()) == ("queued", "", None, None)
    attempts, run = run.attempt, settle(run)
    assert run.state == "succeeded"
    assert run.attempt == attempts + 1
    assert run.done_at_start == 11


def test_what_cannot_be_asked_of_a_run_as_it_is_is_refused(
    counting: Any, pausable: Any, owner: Any, settings: Any
) -> None:
    run = pausable(steps=5)
    with pytest.raises(UserError, match="Only a failed run"):
        services.retry_run(run=run, by=owner)
    with pytest.raises(UserError, match="Only a paused run"):
        services.resume_run(run=run, by=owner)
    settings.PAUSABLE_RUNS = {"train"}
    with pytest.raises(UserError, match="Only training runs"):
        services.pause_run(run=run, by=owner)


def test_some_runs_wait_for_no_place(pausable: Any, until: Any, settings: Any) -> None:
    settings.MAX_RUNS_AT_ONCE = 0
    run = pausable(steps=3)
    settings.RUNS_WITHOUT_PLACE = {"counting"}
    until(lambda: Run.objects.get(pk=run.pk).state == "succeeded")


def test_the_queue_counts_all_projects_and_names_ones_own(project: Any, owner: Any) -> None:
    elsewhere = make_project(slug="elsewhere")
    start_run(project=elsewhere, kind="train", title="Theirs", spec={}, by=None)
    mine = start_run(project=project, kind="train", title="Mine", spec={}, by=owner)
    found = the_queue(project)
    assert [(one.run, one.place) for one in found["waiting"]] == [(mine, 2)]
    assert (found["queued"], found["busy"]) == (2, 0)


@pytest.mark.parametrize("verb", ["pause", "resume", "retry"])
def test_only_the_projects_staff_may(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any, verb: str
) -> None:
    run = start_run(project=project, kind="train", title="Train", spec={}, by=owner)
    Run.objects.filter(pk=run.pk).update(
        state={"pause": "queued", "resume": "paused", "retry": "failed"}[verb]
    )
    page = reverse(f"runs:run-{verb}", args=[project.slug, run.pk])
    call = f"/api/v1/projects/{project.slug}/runs/{run.pk}/{verb}"
    for user in (member, stranger):
        assert as_user(user).post(page).status_code == 404
        assert as_user(user).post(call).status_code == 404
    assert as_user(owner).post(page).status_code == 302
    again = as_user(owner).post(call)
    assert (again.status_code, again.json()["code"]) == (409, "run_state")


def test_the_queue_is_a_page_and_a_call_of_the_projects_staff(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any
) -> None:
    run = start_run(project=project, kind="train", title="Train it", spec={}, by=owner)
    page = reverse("runs:run-queue", args=[project.slug])
    call = f"/api/v1/projects/{project.slug}/queue"
    for user in (member, stranger):
        assert as_user(user).get(page).status_code == 404
        assert as_user(user).get(call).status_code == 404
    assert b"Train it" in as_user(owner).get(page).content
    found = as_user(owner).get(call).json()
    assert [(one["place"], one["run"]["id"]) for one in found["waiting"]] == [(1, run.pk)]
    assert b"other project" not in as_user(owner).get(page).content
    other = make_project(slug="other")
    start_run(project=other, kind="train", title="Secret", spec={}, by=owner)
    said = as_user(owner).get(page).content.decode()
    assert "1 run of another project waits too." in said
    assert "Secret" not in said


def test_cost_is_hours_times_gpus_times_price(project: Any, owner: Any, settings: Any) -> None:
    run = start_run(project=project, kind="train", title="Train", spec={}, by=owner)
    run.state, run.seconds_before, run.started_at = "paused", 1800, run.created_at
    run.devices = [0, 1]
    assert run.cost is None
    settings.GPU_HOUR_PRICE = 3.0
    assert run.cost == pytest.approx(3.0)
    run.devices = []
    assert run.cost is None


def test_what_a_process_uses_becomes_curves_of_its_run(
    pausable: Any, settle: Any, until: Any
) -> None:
    values = Meter().read()
    assert values["resource_rss_mib"] > 10
    assert values["resource_cpu_percent"] >= 0
    run = pausable(steps=3, hold_at=1)
    until(lambda: (run.dir.path / "progress.json").exists())
    run.dir.resources(**values)
    (run.dir.path / "go-on").touch()
    run = settle(run)
    # where it took long, the engine has told its own too
    assert run.points.filter(name="resource_rss_mib").exists()
