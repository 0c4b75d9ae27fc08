"""The supervisor with real processes: what runs, dies, hangs, is cancelled or lost."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from typing import Any

import psutil
import pytest
from django.db import OperationalError, connection

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.runs import launchers, supervisor
from steelyard.runs.models import Run
from steelyard.runs.queue import the_queue
from steelyard.runs.services import cancel_run

pytestmark = pytest.mark.django_db(transaction=True)


def process_of(run: Any) -> launchers.Process:
    process = launchers.find(run.dir)
    assert process is not None
    return process


def is_at(run: Any, step: int) -> bool:
    return ((run.dir.read_progress() or {}).get("done") or 0) >= step


def at_work(run: Any) -> bool:
    """Whether its process is past starting up and listens to signals."""
    holder = launchers._read(run.dir, "lock")
    return holder is not None and holder.is_alive() and is_at(run, 1)


def let_go(run: Any) -> None:
    """It was held so that it could not end before its test had done something to it."""
    (run.dir.path / "go-on").touch()


def times(run: Any, what: str) -> int:
    path = run.dir.path / what
    return len(path.read_text().splitlines()) if path.exists() else 0


def look_and_let_it_end(run: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass of the supervisor, in which an engine that is held ends right after it was seen to
    be alive and its progress was read."""
    process, real = process_of(run), supervisor._carry_over

    def carry_over(run: Any) -> None:
        real(run)
        let_go(run)
        until(lambda: not process.is_alive(), watch=False)

    with monkeypatch.context() as patched:
        patched.setattr(supervisor, "_carry_over", carry_over)
        supervisor.reconcile()


def losses_of(run: Any) -> Any:
    """Without what one that lived for long said of the machine."""
    return run.points.filter(name="loss")


def the_sum(steps: int) -> float:
    total = 0.0
    for step in range(1, steps + 1):
        total += stable_uniform("count", step)
    return total


def test_a_run_goes_through_to_its_result(counting: Any, settle: Any) -> None:
    run = settle(counting(steps=7))
    assert run.state == "succeeded"
    assert run.result == {"status": "succeeded", "sum": the_sum(7)}
    assert list(losses_of(run).values_list("step", flat=True)) == [1, 2, 3, 4, 5, 6, 7]
    assert (run.done, run.total, run.attempt) == (7, 7, 1)
    assert run.started_at <= run.heartbeat_at
    assert run.finished_at is not None
    assert times(run, "finished") == 1


def test_a_killed_engine_goes_on_from_its_checkpoint_to_the_same_result(
    counting: Any, settle: Any, until: Any
) -> None:
    run = counting(steps=30, hold_at=12)
    until(lambda: is_at(run, 12))
    os.kill(process_of(run).pid, signal.SIGKILL)
    let_go(run)
    run = settle(run)
    assert run.state == "succeeded"
    assert run.attempt == 2
    assert run.result["sum"] == the_sum(30)
    assert run.points.filter(name="loss").count() == 30
    assert "goes on from the last checkpoint" in str(run.dir.last_events(50))


def test_an_engine_killed_before_its_first_checkpoint_begins_again_and_says_so(
    counting: Any, settle: Any, until: Any
) -> None:
    run = counting(steps=12, hold_at=3, checkpoint_every=100)
    until(lambda: is_at(run, 3))
    os.kill(process_of(run).pid, signal.SIGKILL)
    let_go(run)
    run = settle(run)
    assert run.result["sum"] == the_sum(12)
    told = str(run.dir.last_events(50))
    assert "start 2 begins again" in told
    assert "last checkpoint" not in told


def test_reconciling_many_times_at_once_does_nothing_twice(counting: Any) -> None:
    run = counting(steps=20, pause=0.02)

    def hammer() -> None:
        end = time.monotonic() + 240
        try:
            while time.monotonic() < end:
                supervisor.reconcile()
                run_now = type(run).objects.get(pk=run.pk)
                if not run_now.is_active:
                    return
                time.sleep(0.02)
        finally:
            connection.close()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert run.attempt == 1
    assert times(run, "finished") == 1


def test_a_queued_run_is_cancelled_without_ever_starting(
    counting: Any, settle: Any, owner: Any
) -> None:
    run = counting()
    cancel_run(run=run, by=owner)
    run = settle(run)
    assert (run.state, run.attempt) == ("cancelled", 0)


def test_a_running_one_is_cancelled_and_its_process_ends(
    counting: Any, settle: Any, until: Any, owner: Any
) -> None:
    run = counting(steps=10_000)
    until(lambda: is_at(run, 3))
    cancel_run(run=run, by=owner)
    run = settle(run)
    assert run.state == "cancelled"
    assert times(run, "abandoned") == 1
    assert not process_of(run).is_alive()


def test_what_it_had_written_when_it_ended_is_kept_though_it_was_to_be_cancelled(
    counting: Any, settle: Any, until: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = counting(steps=6, hold_at=3, stubborn=True)
    until(lambda: is_at(run, 3))
    cancel_run(run=run, by=owner)
    look_and_let_it_end(run, until, monkeypatch)
    run = settle(run)
    assert run.result == {"status": "succeeded", "sum": the_sum(6)}


def test_one_that_ignores_being_asked_is_made_to_stop(
    counting: Any, settle: Any, until: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 1)
    run = counting(steps=10_000, stubborn=True)
    until(lambda: is_at(run, 3))
    asked = time.monotonic()
    cancel_run(run=run, by=owner)
    run = settle(run)
    assert time.monotonic() - asked >= 1
    assert run.state == "cancelled"
    assert not process_of(run).is_alive()


def test_cancelling_what_has_ended_is_refused(counting: Any, settle: Any, owner: Any) -> None:
    run = settle(counting(steps=1))
    with pytest.raises(UserError, match="succeeded already"):
        cancel_run(run=run, by=owner)


def test_inputs_that_cannot_be_prepared_fail_the_run_with_what_to_mend(
    counting: Any, settle: Any
) -> None:
    run = settle(counting(unprepared="The version has no rows; label some pairs."))
    assert (run.state, run.error_code) == ("failed", "unprepared")
    assert run.error == "The version has no rows; label some pairs."
    assert run.attempt == 0


def test_what_the_engine_refuses_is_told_as_it_says_it(counting: Any, settle: Any) -> None:
    run = settle(counting(refuse="The model has no chat template."))
    assert (run.state, run.error_code) == ("failed", "refused")
    assert run.error == "The model has no chat template."


def test_a_fault_of_ours_fails_that_run_alone(counting: Any, settle: Any) -> None:
    broken, whole = counting(broken=True), counting(steps=3)
    assert settle(whole).state == "succeeded"
    broken.refresh_from_db()
    assert (broken.state, broken.error_code) == ("failed", "internal_error")
    assert f"run {broken.pk}" in broken.error
    assert "a fault of ours" not in broken.error


def test_one_that_keeps_dying_at_the_same_place_has_failed_with_its_last_words(
    counting: Any, settle: Any
) -> None:
    run = settle(counting(crash_at=3))
    assert (run.state, run.error_code, run.attempt) == ("failed", "crashed", 3)
    assert "the wheels came off at step 3" in run.error
    assert times(run, "abandoned") == 1


def test_what_it_wrote_between_two_looks_counts_where_it_died_meanwhile(
    counting: Any, settle: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = counting(steps=10, hold_at=3, crash_at=4)
    until(lambda: is_at(run, 3))
    look_and_let_it_end(run, until, monkeypatch)
    run = settle(run)
    assert (run.state, run.error_code, run.attempt) == ("failed", "crashed", 3)


def test_crashes_do_not_count_while_it_gets_further(counting: Any, settle: Any) -> None:
    run = settle(counting(steps=30, crash_once_at=[6, 11, 16, 21, 26], pause=0.02))
    assert run.state == "succeeded", run.error
    assert run.attempt == 6
    assert run.result["sum"] == the_sum(30)


def test_being_stopped_with_the_server_is_no_crash(counting: Any, settle: Any, until: Any) -> None:
    run = counting(steps=20, hold_at=3)
    for _ in range(4):
        until(lambda: at_work(run))
        process = process_of(run)
        process.signal(signal.SIGTERM)
        until(lambda process=process: not process.is_alive(), watch=False)
    let_go(run)
    run = settle(run)
    assert run.state == "succeeded", run.error
    assert run.fruitless == 0
    assert run.result["sum"] == the_sum(20)


def test_not_a_number_becomes_a_point_without_a_value(counting: Any, settle: Any) -> None:
    run = settle(counting(steps=5, nan_at=3))
    assert losses_of(run).get(step=3).value is None
    assert losses_of(run).get(step=2).value is not None


def test_a_pid_that_passed_to_somebody_else_is_not_taken_for_ours(
    counting: Any, settle: Any, until: Any, bystander: int
) -> None:
    run = counting(steps=20, hold_at=6)
    until(lambda: is_at(run, 6))
    os.kill(process_of(run).pid, signal.SIGKILL)
    let_go(run)
    for name in ("pid", "lock"):
        (run.dir.path / name).write_text(f"{bystander} {time.time() - 1e6}")
    run = settle(run)
    assert (run.state, run.attempt) == ("succeeded", 2)
    assert psutil.pid_exists(bystander)


def test_a_worker_that_dies_before_it_notes_the_pid_leaves_no_second_process(
    counting: Any, settle: Any, until: Any
) -> None:
    run = counting(steps=20, hold_at=2)
    until(lambda: is_at(run, 2))
    (run.dir.path / "pid").unlink()
    supervisor.reconcile()
    let_go(run)
    run = settle(run)
    assert (run.state, run.attempt) == ("succeeded", 1)


def test_a_worker_that_dies_while_preparing_is_made_up_for(counting: Any, settle: Any) -> None:
    run = counting(steps=3)
    type(run).objects.filter(pk=run.pk).update(state="running")
    assert settle(run).state == "succeeded"


def test_a_lost_folder_fails_the_run_and_ends_its_process(
    counting: Any, settle: Any, until: Any
) -> None:
    run = counting(steps=10_000)
    until(lambda: is_at(run, 2))
    process = process_of(run)
    shutil.rmtree(run.dir.path, ignore_errors=True)
    run = settle(run)
    assert (run.state, run.error_code) == ("failed", "run_folder_lost")
    until(lambda: not process.is_alive())


def test_a_frozen_process_is_killed_and_started_again(
    counting: Any, settle: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = counting(steps=25, hold_at=6)
    until(lambda: is_at(run, 6))
    process_of(run).signal(signal.SIGSTOP)
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 1)
    run.refresh_from_db()
    until(lambda: type(run).objects.get(pk=run.pk).attempt == 2)
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 600)
    let_go(run)
    run = settle(run)
    assert run.state == "succeeded"
    assert "no sign of life" in str(run.dir.last_events(50))


def test_a_process_that_will_not_end_after_its_result_is_seen_off(
    counting: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 1)
    run = settle(counting(steps=2, linger=300), timeout=240)
    assert run.state == "succeeded"


def test_the_databases_trouble_is_not_the_runs(
    counting: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = iter([OperationalError("gone away"), OperationalError("gone away")])

    def store(run: Any, lines: Any, real: Any = supervisor._store_points) -> None:
        for trouble in troubles:
            raise trouble
        real(run, lines)

    monkeypatch.setattr(supervisor, "_store_points", store)
    run = settle(counting(steps=5))
    assert run.state == "succeeded"
    assert losses_of(run).count() == 5


def test_no_more_runs_work_at_once_than_there_are_places(
    counting: Any, settle: Any, settings: Any
) -> None:
    settings.MAX_RUNS_AT_ONCE = 1
    first, second = counting(steps=10, pause=0.05), counting(steps=2)
    supervisor.reconcile()
    second.refresh_from_db()
    assert second.state == "queued"
    assert settle(first).finished_at <= settle(second).started_at


def test_light_runs_have_places_of_their_own(
    counting: Any, settle: Any, settings: Any, project: Any
) -> None:
    settings.MAX_RUNS_AT_ONCE = settings.MAX_LIGHT_RUNS_AT_ONCE = 1
    settings.RUN_KINDS = {**settings.RUN_KINDS, "light": "counting_runner"}
    settings.LIGHT_RUNS = {"light"}
    heavy = counting(steps=10_000, pause=0.05)
    waits = counting(steps=1)
    light, next_light = counting(steps=2), counting(steps=2)
    Run.objects.filter(pk__in=[light.pk, next_light.pk]).update(kind="light")
    supervisor.reconcile()
    states = {run.pk: run.state for run in Run.objects.all()}
    assert [states[run.pk] for run in (heavy, waits)] == ["running", "queued"]
    assert [states[run.pk] for run in (light, next_light)] == ["running", "queued"]
    found = the_queue(project)
    assert [(one.run, one.place) for one in found["waiting"]] == [(waits, 1), (next_light, 1)]
    assert (found["busy"], found["light_busy"]) == (1, 1)
    assert settle(next_light).state == "succeeded"
    heavy.refresh_from_db()
    assert heavy.state == "running"
