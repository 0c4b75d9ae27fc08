"""Brings the rows of active runs and their processes together.

The row in PostgreSQL is the truth. :func:`reconcile` may be called by anybody at any time, from any
number of workers: an advisory lock lets one work and the others return. Nothing here waits for a
run; what is not finished now is seen at the next call.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from types import ModuleType
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from steelyard.lib.errors import UserError
from steelyard.runs import launchers
from steelyard.runs.models import MetricPoint, Run, RunState

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
SILENT_SECONDS = 600
GRACE_SECONDS = 30
_LOCK = 0x5EE1_0001


def reconcile() -> None:
    """One pass over the active runs: watch those that run, then start what waits for a place."""
    with _alone() as mine:
        if not mine:
            return
        launchers.reap()
        for run in Run.objects.started().select_related("project"):
            _guarded(_watch, run)
        for run in Run.objects.filter(state=RunState.QUEUED).order_by("created_at", "pk"):
            if Run.objects.started().count() >= settings.MAX_RUNS_AT_ONCE:
                break
            _guarded(_start, run)


def handler_of(run: Run) -> ModuleType:
    """The runner module of the run's kind (see ``settings.RUN_KINDS``)."""
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


def _guarded(step: Any, run: Run) -> None:
    """One run's trouble is its own: it fails with a reason and the others go on."""
    try:
        step(run)
    except UserError as error:
        _fail(run, error.code, error.message)
    except Exception:
        logger.exception("run %s: our fault", run.pk)
        _fail(
            run,
            "internal_error",
            f"Something in Steelyard broke, not in your input. The server's log has the details "
            f"under “run {run.pk}”.",
        )


def _start(run: Run) -> None:
    queued = Run.objects.filter(pk=run.pk, state=RunState.QUEUED)
    if not queued.update(state=RunState.RUNNING, started_at=timezone.now()):
        return
    run.refresh_from_db()
    run.dir.create(handler_of(run).prepare(run))
    _launch(run)


def _launch(run: Run) -> None:
    """Start the process, once more where an earlier one died."""
    Run.objects.filter(pk=run.pk).update(attempt=run.attempt + 1)
    run.attempt += 1
    handler = handler_of(run)
    env = handler.environment(run) if hasattr(handler, "environment") else {}
    process = launchers.launch(handler.engine, run.dir, env)
    Run.objects.filter(pk=run.pk).update(
        pid=process.pid, pid_started=process.started, heartbeat_at=timezone.now()
    )


def _watch(run: Run) -> None:
    if run.state == RunState.CANCELLING and not run.dir.path.exists():
        _end(run, RunState.CANCELLED)
        return
    if not (run.dir.path / "run.json").exists():
        # the worker died between taking the run and preparing it
        run.dir.create(handler_of(run).prepare(run))
    _carry_over(run)
    handler = handler_of(run)
    if hasattr(handler, "collect"):
        handler.collect(run)
    result = run.dir.result()
    process = launchers.find(run.dir)
    alive = process is not None and process.is_alive()
    if result is not None and not alive:
        _carry_over(run)
        _conclude(run, result)
    elif run.state == RunState.CANCELLING:
        _stop(run, process)
    elif not alive:
        _revive(run)
    elif process is not None and _silence(run) > SILENT_SECONDS:
        run.dir.event(f"no sign of life for {SILENT_SECONDS} s: killed", "error")
        process.signal(signal.SIGKILL)


def _carry_over(run: Run) -> None:
    """Numbers, progress and heartbeat from the folder into the database."""
    lines, offset = run.dir.read_lines("metrics.jsonl", run.metrics_offset)
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
    changes: dict[str, Any] = {"metrics_offset": offset}
    if progress := run.dir.read_progress():
        changes |= {
            "done": progress["done"],
            "total": progress["total"],
            "unit": progress["unit"],
            "status_text": progress["text"][:300],
        }
    if beat := run.dir.last_beat():
        changes["heartbeat_at"] = datetime.fromtimestamp(beat, UTC)
    Run.objects.filter(pk=run.pk).update(**changes)
    run.metrics_offset = offset


def _conclude(run: Run, result: dict[str, Any]) -> None:
    status = result.get("status")
    if status == "succeeded":
        handler_of(run).finish(run, result)
        _end(run, RunState.SUCCEEDED, result=result)
    elif status == "cancelled" or run.state == RunState.CANCELLING:
        _end(run, RunState.CANCELLED, result=result)
    else:
        _fail(run, result.get("code", "failed"), result.get("message", "It failed."))


def _stop(run: Run, process: launchers.Process | None) -> None:
    """Ask by file and SIGTERM, insist after a grace period."""
    if process is None or not process.is_alive():
        _end(run, RunState.CANCELLED)
        return
    mark = run.dir.path / "cancel"
    if not mark.exists():
        run.dir.request_cancel()
    asked = time.time() - mark.stat().st_mtime
    process.signal(signal.SIGKILL if asked > GRACE_SECONDS else signal.SIGTERM)


def _revive(run: Run) -> None:
    if run.attempt >= MAX_ATTEMPTS:
        tail = run.dir.log_tail(2000).strip() or "It printed nothing."
        _fail(run, "crashed", f"The process ended {run.attempt} times without a result.\n{tail}")
        return
    if run.attempt:
        run.dir.event(
            f"the process ended without a result; attempt {run.attempt + 1} goes on from the last "
            "checkpoint",
            "warning",
        )
    _launch(run)


def _silence(run: Run) -> float:
    """Seconds since the last sign of life; the start counts as one."""
    beat = run.dir.last_beat() or 0.0
    process = launchers.find(run.dir)
    return time.time() - max(beat, process.started if process else 0.0)


def _fail(run: Run, code: str, message: str) -> None:
    _end(run, RunState.FAILED, error_code=code[:60], error=message)


def _end(run: Run, state: RunState, **changes: Any) -> None:
    """Close the row once, then tell the kind's runner of a failure or a cancel."""
    ended = Run.objects.active().filter(pk=run.pk)
    if not ended.update(state=state, finished_at=timezone.now(), **changes):
        return
    run.refresh_from_db()
    handler = handler_of(run)
    if state != RunState.SUCCEEDED and hasattr(handler, "abandoned"):
        handler.abandoned(run)
