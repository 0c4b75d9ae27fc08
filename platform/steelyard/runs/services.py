"""What is asked of runs: start one, cancel one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
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
        spec: what the kind's runner needs to find its inputs; plain JSON.
    """
    if kind not in settings.RUN_KINDS:
        raise ValueError(f"unknown run kind {kind!r}")
    run = Run.objects.create(
        project=project, kind=kind, title=title[:200], spec=spec, created_by=by
    )
    wake_reconciler()
    return run


@transaction.atomic
def cancel_run(*, run: Run, by: User) -> None:
    """Ask a run to stop. A queued one is cancelled at once; a running one is asked, then made to.

    Raises:
        UserError: the run has ended already.
    """
    if Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(state=RunState.CANCELLING):
        wake_reconciler()
        return
    running = Run.objects.filter(pk=run.pk, state=RunState.RUNNING)
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
