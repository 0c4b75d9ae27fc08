"""What is asked of runs: start one, cancel one, pause it and go on, try a failed one again."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import coded
from steelyard.projects.models import Project
from steelyard.runs.models import Run, RunState
from steelyard.runs.tasks import wake_reconciler


@transaction.atomic
def start_run(
    *, project: Project, kind: str, title: str, spec: dict[str, Any], by: User | None
) -> Run:
    """Queue a run. It starts when a place is free; the reconciler is woken after commit.

    Args:
        kind: a key of ``settings.RUN_KINDS``.
        title: a :class:`Said` of the words that the kind's runner names, to be read in every
            language.
        spec: what the kind's runner needs to find its inputs; plain JSON.
    """
    if kind not in settings.RUN_KINDS:
        raise ValueError(f"unknown run kind {kind!r}")
    run = new_run(project=project, kind=kind, title=title, spec=spec, by=by)
    run.save()
    wake_reconciler()
    return run


def new_run(
    *, project: Project, kind: str, title: str, spec: dict[str, Any], by: User | None
) -> Run:
    """A row that is not stored yet, for what is done at once."""
    said = {"title": coded(title)} if coded(title) else {}
    return Run(project=project, kind=kind, title=title[:200], said=said, spec=spec, created_by=by)


@transaction.atomic
def cancel_run(*, run: Run, by: User | None) -> None:
    """Ask a run to stop. A queued one is cancelled at once; a running one is asked, then made to.

    Raises:
        UserError: the run has ended already.
    """
    waiting = Run.objects.filter(pk=run.pk, state__in=[RunState.QUEUED, RunState.PAUSED])
    if waiting.update(state=RunState.CANCELLING):
        wake_reconciler()
        return
    running = Run.objects.filter(pk=run.pk, state__in=[RunState.RUNNING, RunState.PAUSING])
    if not running.update(state=RunState.CANCELLING):
        run.refresh_from_db()
        if run.state != RunState.CANCELLING:
            raise UserError(
                _("This run has %(state)s already.") % {"state": run.get_state_display().lower()},
                code="run_ended",
                status=409,
            )
        return
    if run.dir.path.exists():
        run.dir.request_cancel()
    wake_reconciler()


@transaction.atomic
def pause_run(*, run: Run, by: User) -> None:
    """Stop a run after its next checkpoint, until it is resumed; its place is free meanwhile.

    Raises:
        UserError: it is of a kind that has no checkpoints, or not at work.
    """
    _check(run, "pause")
    if Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(state=RunState.PAUSED):
        return
    if not Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(state=RunState.PAUSING):
        raise _not_now(run, "pause")
    wake_reconciler()


@transaction.atomic
def resume_run(*, run: Run, by: User) -> None:
    """Put a paused run back into the queue; it goes on from its checkpoint.

    Raises:
        UserError: it is not paused.
    """
    if not Run.objects.filter(pk=run.pk, state=RunState.PAUSED).update(state=RunState.QUEUED):
        raise _not_now(run, "resume")
    wake_reconciler()


@transaction.atomic
def retry_run(*, run: Run, by: User) -> None:
    """Queue a failed run once more: a new attempt of the same run, from its last checkpoint or
    after what it has written; keys and limits are those of now.

    Raises:
        UserError: it has not failed, is of a kind that is started anew instead, or cannot end
            any more as it was to.
    """
    _check(run, "retry")
    if check := getattr(import_module(settings.RUN_KINDS[run.kind]), "check_retry", None):
        check(run, by)
    failed = Run.objects.filter(pk=run.pk, state=RunState.FAILED)
    if not failed.update(
        state=RunState.QUEUED,
        seconds_before=run.seconds or 0,
        error="",
        error_code="",
        said={name: one for name, one in run.said.items() if name != "error"},
        result=None,
        fruitless=0,
        finished_at=None,
    ):
        raise _not_now(run, "retry")
    run.dir.forget_end()
    wake_reconciler()


def _check(run: Run, verb: str) -> None:
    run.refresh_from_db()
    if verb not in run.may:
        raise _not_now(run, verb)


def _not_now(run: Run, verb: str) -> UserError:
    run.refresh_from_db()
    if verb == "retry" and run.kind not in settings.PAUSABLE_RUNS | settings.RETRIABLE_RUNS:
        return UserError(
            _(
                "Only runs that train, judge, explain or tune a judge can be tried again. Start "
                "this as a new run."
            ),
            code="not_retriable",
            status=409,
        )
    if verb != "retry" and run.kind not in settings.PAUSABLE_RUNS:
        return UserError(
            _("Only training runs can be paused or resumed."),
            code="not_pausable",
            status=409,
        )
    needed = {
        "pause": _("Only a run that is queued or running can be paused; this one is %(state)s."),
        "resume": _("Only a paused run can be resumed; this one is %(state)s."),
        "retry": _("Only a failed run can be tried again; this one is %(state)s."),
    }
    state = str(run.get_state_display()).lower()
    return UserError(needed[verb] % {"state": state}, code="run_state", status=409)
