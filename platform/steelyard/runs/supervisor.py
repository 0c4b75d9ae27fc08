"""Brings the rows of active runs and their processes together.

The row in PostgreSQL is the truth. :func:`reconcile` may be called by anybody at any time, from any
number of workers: an advisory lock lets one work and the others return. Nothing here waits for a
run; what is not finished now is seen at the next call.
"""

from __future__ import annotations

import errno
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said, coded
from steelyard.runs import gpus, launchers
from steelyard.runs.models import MetricPoint, Run, RunState
from steelyard.runs.said import OF_RUNS, counted
from steelyard.webhooks.services import emit

logger = logging.getLogger(__name__)

MAX_FRUITLESS = 3
"""Crashes in a row without getting further, after which a run has failed."""
SILENT_SECONDS = 600
GRACE_SECONDS = 30
PAUSE_SECONDS = 300
"""How long a run that is to pause may take for its checkpoint."""
_LOCK = 0x5EE1_0001
_TOLD = {"metrics.jsonl", "events.jsonl", "resources.jsonl", "samples.jsonl", "workers.jsonl"}
"""What every run writes; other .jsonl files are work that is done, and not done twice."""


def reconcile() -> None:
    """One pass over the active runs: watch those that run, then start what waits for a place."""
    with _alone() as mine:
        if not mine:
            return
        launchers.reap()
        for run in Run.objects.started().select_related("project"):
            _guarded(_watch, run)
        pool = gpus.Pool()
        queued = Run.objects.queued().select_related("project")
        # of runs that want a GPU, those that somebody waits for come first
        for run in sorted(queued, key=lambda run: run.kind not in settings.ARENA_RUNS):
            if _has_place(run):
                _guarded(partial(_start, pool=pool), run)


def _has_place(run: Run) -> bool:
    if run.kind in settings.RUNS_WITHOUT_PLACE:
        return True
    if run.kind in settings.LIGHT_RUNS:
        return Run.objects.in_light_places().count() < settings.MAX_LIGHT_RUNS_AT_ONCE
    if run.kind in settings.ARENA_RUNS:
        return Run.objects.in_arena_places().count() < settings.MAX_ARENA_RUNS_AT_ONCE
    return Run.objects.in_places().count() < settings.MAX_RUNS_AT_ONCE


def handler_of(run: Run) -> ModuleType:
    """The runner module of the run's kind (see ``settings.RUN_KINDS``).

    It has ``engine`` (a module name), ``prepare(run)`` → what run.json says, ``finish(run,
    result)``; and where it needs them ``environment(run)``, ``gpus(run)``, how many it asks for,
    ``collect(run)`` while the run goes on, ``abandoned(run)`` when it failed or was cancelled and
    ``check_retry(run, by)``, which refuses to try it again.
    All but ``engine`` may be called again after a crash.
    """
    return import_module(settings.RUN_KINDS[run.kind])


@contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", [_LOCK])
        mine = cursor.fetchone()[0]
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("select pg_advisory_unlock(%s)", [_LOCK])


def _guarded(step: Callable[[Run], None], run: Run) -> None:
    """One run's trouble is its own: it fails with a reason and the others go on."""
    try:
        step(run)
    except UserError as error:
        _fail(run, error.code, error.message)
    except (OperationalError, InterfaceError):
        # the database's trouble is no run's fault: the next pass tries again
        logger.exception("run %s: the database did not answer", run.pk)
    except launchers.Unreachable as error:
        logger.warning("run %s: %s; the next pass asks again", run.pk, error)
    except OSError as error:
        logger.exception("run %s: the server's files", run.pk)
        _fail(run, *_reason_of(error))
    except Exception:
        logger.exception("run %s: our fault", run.pk)
        _fail(run, "internal_error", Said(OF_RUNS, "internal_error", number=run.pk))


def _reason_of(error: OSError) -> tuple[str, str]:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "disk_full", Said(OF_RUNS, "disk_full")
    file = error.filename or Said(OF_RUNS, "no_name")
    return "server_files", Said(OF_RUNS, "server_files", why=error.strerror or error, file=file)


def _start(run: Run, pool: gpus.Pool) -> None:
    handler = handler_of(run)
    wanted = handler.gpus(run) if hasattr(handler, "gpus") else 0
    devices = pool.take(wanted)
    queued = Run.objects.filter(pk=run.pk, state=RunState.QUEUED)
    if devices is None:
        words = Said(OF_RUNS, "waits", count=wanted)
        queued.update(**_status(run, words, words.as_dict()))
        return
    begun = {"state": RunState.RUNNING, "started_at": timezone.now(), **_status(run, "", {})}
    if not queued.update(devices=devices, **begun):
        return
    run.refresh_from_db()
    run.dir.create(handler.prepare(run))
    _launch(run)


def _launch(run: Run) -> None:
    """Start the process, once more where an earlier one died."""
    run.attempt += 1
    run.done_at_start = run.done
    run.save(update_fields=["attempt", "done_at_start", "fruitless"])
    handler = handler_of(run)
    env = handler.environment(run) if hasattr(handler, "environment") else {}
    if run.devices:
        env = {**env, "CUDA_VISIBLE_DEVICES": ",".join(map(str, run.devices))}
    at_work = Run.objects.started().count()
    process = launchers.launch(handler.engine, run.dir, env, at_work=at_work)
    Run.objects.filter(pk=run.pk).update(
        pid=process.pid, pid_started=process.started, heartbeat_at=timezone.now()
    )


def _watch(run: Run) -> None:
    if not (run.dir.path / "run.json").exists():
        _without_folder(run)
        return
    # before what it wrote is read: all that a dead one ever wrote is there then
    process = launchers.find(run.dir)
    alive = process is not None and process.is_alive()
    _carry_over(run)
    handler = handler_of(run)
    if hasattr(handler, "collect"):
        handler.collect(run)
    result = run.dir.result()
    if result is not None and not alive:
        _conclude(run, result)
    elif run.state == RunState.CANCELLING:
        _stop(run, process if alive else None)
    elif run.state == RunState.PAUSING:
        _pause(run, process if alive else None)
    elif process is None or not alive:
        _revive(run)
    elif result is not None:
        _see_off(run, process)
    elif _silence(run, process) > SILENT_SECONDS:
        run.dir.event(Said(OF_RUNS, "silent", seconds=SILENT_SECONDS), "error")
        process.signal(signal.SIGKILL)


def _without_folder(run: Run) -> None:
    """Not prepared yet, or gone since: only the first can be made good."""
    if run.state == RunState.CANCELLING:
        _end(run, RunState.CANCELLED)
    elif run.state == RunState.PAUSING and run.attempt == 0:
        Run.objects.filter(pk=run.pk, state=RunState.PAUSING).update(state=RunState.PAUSED)
    elif run.attempt == 0:
        # the worker died between taking the run and preparing it
        run.dir.create(handler_of(run).prepare(run))
        _launch(run)
    else:
        _fail(
            run,
            "run_folder_lost",
            Said(OF_RUNS, "folder_lost", path=run.dir.path),
        )


def _carry_over(run: Run) -> None:
    """Numbers, progress and heartbeat from the folder into the database."""
    for name, field in (("metrics", "metrics_offset"), ("resources", "resources_offset")):
        while True:
            known = getattr(run, field)
            lines, offset = run.dir.read_lines(f"{name}.jsonl", known)
            _store_points(run, lines)
            if offset == known:
                break
            Run.objects.filter(pk=run.pk).update(**{field: offset})
            setattr(run, field, offset)
    changes: dict[str, Any] = {}
    if progress := run.dir.read_progress():
        changes |= {
            "done": progress["done"],
            "total": progress["total"],
            "unit": progress["unit"],
            **_status(run, progress["text"], progress.get("said") or {}),
        }
        run.done = progress["done"]
    if beat := run.dir.last_beat():
        changes["heartbeat_at"] = datetime.fromtimestamp(beat, UTC)
    if changes:
        Run.objects.filter(pk=run.pk).update(**changes)


def _status(run: Run, text: str, said: dict[str, Any]) -> dict[str, Any]:
    """What a run is at: in English, and by code."""
    run.said = {name: one for name, one in run.said.items() if name != "status_text"}
    if said:
        run.said["status_text"] = said
    return {"status_text": text[:300], "said": run.said}


def _store_points(run: Run, lines: list[dict[str, Any]]) -> None:
    points = {}
    for line in lines:
        for name, value in line.get("values", {}).items():
            key = (str(name)[:60], int(line["step"]))
            points[key] = MetricPoint(
                run=run, name=key[0], step=key[1], value=value, time=float(line["time"])
            )
    MetricPoint.objects.bulk_create(
        points.values(),
        update_conflicts=True,
        unique_fields=["run", "name", "step"],
        update_fields=["value", "time"],
        batch_size=2000,
    )


def _conclude(run: Run, result: dict[str, Any]) -> None:
    status = result.get("status")
    if status == "succeeded":
        handler_of(run).finish(run, result)
        _end(run, RunState.SUCCEEDED, result=result)
    elif status == "cancelled" or run.state == RunState.CANCELLING:
        _end(run, RunState.CANCELLED, result=result)
    else:
        message = result.get("message") or Said(OF_RUNS, "failed")
        _fail(run, result.get("code", "failed"), message, result.get("said", {}).get("message"))


def _stop(run: Run, process: launchers.Job | None) -> None:
    """Ask by file and SIGTERM, insist after a grace period; one that has ended is None."""
    if process is None:
        _end(run, RunState.CANCELLED)
        return
    mark = run.dir.path / "cancel"
    if not mark.exists():
        run.dir.request_cancel()
    asked = time.time() - mark.stat().st_mtime
    process.signal(signal.SIGKILL if asked > GRACE_SECONDS else signal.SIGTERM)


def _pause(run: Run, process: launchers.Job | None) -> None:
    """Ask for a checkpoint by SIGTERM until the process has ended, which is None then; then the
    place is free."""
    mark = run.dir.path / "pause"
    if process is not None:
        if not mark.exists():
            mark.touch()
        asked = time.time() - mark.stat().st_mtime
        process.signal(signal.SIGKILL if asked > PAUSE_SECONDS else signal.SIGTERM)
        return
    mark.unlink(missing_ok=True)
    at = {"done": run.done, "total": run.total, "unit": counted(run.total, run.unit)}
    run.dir.event(Said(OF_RUNS, "paused" if run.unit else "paused_early", **at))
    Run.objects.filter(pk=run.pk, state=RunState.PAUSING).update(
        state=RunState.PAUSED, seconds_before=run.seconds or 0, pid=None, pid_started=None
    )


def _see_off(run: Run, process: launchers.Job) -> None:
    """The result is written, so the process has nothing left to do but to end."""
    written = (run.dir.path / "result.json").stat().st_mtime
    if time.time() - written > GRACE_SECONDS:
        process.signal(signal.SIGKILL)


def _revive(run: Run) -> None:
    """Start a dead process again; give up when it keeps dying at the same place.

    One that was told to stop, as on a shutdown, did not crash.
    """
    if run.attempt and not run.dir.stopped.exists():
        run.fruitless = 1 if run.done > run.done_at_start else run.fruitless + 1
    if run.fruitless >= MAX_FRUITLESS:
        tail = run.dir.log_tail(2000).strip() or Said(OF_RUNS, "printed_nothing")
        _fail(run, "crashed", Said(OF_RUNS, "crashed", times=run.fruitless, tail=tail))
        return
    if run.attempt:
        run.dir.event(Said(OF_RUNS, _from_where(run), start=run.attempt + 1), "warning")
    _launch(run)


def _from_where(run: Run) -> str:
    if any(run.dir.checkpoints.glob("[!.]*")):
        return "from_checkpoint"
    if any(path.name not in _TOLD for path in run.dir.path.glob("*.jsonl")):
        return "from_written"
    return "from_start"


def _silence(run: Run, process: launchers.Job) -> float:
    """Seconds since the last sign of life; the start counts as one."""
    return time.time() - max(run.dir.last_beat() or 0.0, process.started)


def _fail(run: Run, code: str, message: str, said: dict[str, Any] | None = None) -> None:
    """
    Args:
        said: code and values of a message that comes as plain text.
    """
    by_code = said or coded(message)
    kept = {"said": {**run.said, "error": by_code}} if by_code else {}
    _end(run, RunState.FAILED, error_code=code[:60], error=str(message), **kept)


def _end(run: Run, state: RunState, **changes: Any) -> None:
    """Close the row; before that, tell the kind's runner of a failure or a cancel.

    In this order a worker that dies in between leaves the row open, and the next pass does both.
    """
    if state != RunState.SUCCEEDED:
        _kill(run)
        for name, value in {"state": state, **changes}.items():
            setattr(run, name, value)
        _abandon(run)
    with transaction.atomic():
        active = Run.objects.active().filter(pk=run.pk)
        if active.update(state=state, finished_at=timezone.now(), **changes):
            told = {"run": run.pk, "kind": run.kind, "title": run.title, "state": str(state)}
            emit(project=run.project, event="run.finished", **told)


def _kill(run: Run) -> None:
    """A run that has ended must not work on: its folder may be gone, so the row is asked too."""
    process = launchers.find(run.dir)
    if process is None and run.pid:
        process = launchers.Process(run.pid, run.pid_started or 0.0, run.dir.path)
    if process is not None:
        process.signal(signal.SIGKILL)


def _abandon(run: Run) -> None:
    try:
        handler = handler_of(run)
        if hasattr(handler, "abandoned"):
            handler.abandoned(run)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("run %s: could not clear up after it", run.pk)
