from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_POST

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.curves import as_json, curves, in_words, panels
from steelyard.runs.models import Run, RunState
from steelyard.runs.queue import the_queue
from steelyard.runs.said import said
from steelyard.runs.services import cancel_run, pause_run, resume_run, retry_run

KINDS = {
    "train": pgettext_lazy("kind of run", "Training"),
    "preflight": gettext_lazy("Preflight"),
    "try": gettext_lazy("Try-out"),
    "judge": gettext_lazy("Judging"),
    "score": gettext_lazy("Scoring"),
    "check_judge": gettext_lazy("Checking a judge"),
    "tune_judge": gettext_lazy("Tuning a judge"),
    "explain": gettext_lazy("Reasons by a machine"),
    "freeze": gettext_lazy("Freezing"),
    "import": gettext_lazy("Import"),
    "export": gettext_lazy("Export"),
    "generate": gettext_lazy("Generation"),
    "pair_up": gettext_lazy("Outputs put side by side"),
    "round": gettext_lazy("New pairs"),
    "pipeline_search": gettext_lazy("Search for pipelines"),
    "revisions": gettext_lazy("Revisions compared"),
    "arena": gettext_lazy("Arena"),
    "demo": gettext_lazy("Demo"),
}
LEVELS = {"warning": gettext_lazy("warning"), "error": gettext_lazy("error")}
LOG_LINES = 200
PASSING = frozenset(
    {"disk_full", "server_files", "ray_unreachable", "ray_queue_timeout", "endpoint_unreachable"}
)
"""Why a run failed, where the same run may succeed later; what else fails it wants mending."""


def run_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    rows = Run.objects.filter(project=found).select_related("project", "created_by")
    if kind in KINDS:
        rows = rows.filter(kind=kind)
    if state == "active":
        rows = rows.active()
    elif state in RunState.values:
        rows = rows.filter(state=state)
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    context = {
        "project": found,
        "page": page,
        "lines": [(run, KINDS.get(run.kind, run.kind)) for run in page],
        "kinds": KINDS,
        "states": RunState.choices,
        "kind": kind,
        "state": state,
        "active": Run.objects.filter(project=found).active().count(),
    }
    part = "#rows" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"runs/runs.html{part}", context)


def run_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The page; to htmx the state alone, or a wish to load the page anew once the run has ended."""
    run = _run(request, project, pk)
    if request.htmx:  # type: ignore[attr-defined]
        context = {"project": run.project, "run": run, "currency": settings.CURRENCY}
        response = render(request, "runs/run.html#state", context)
        if not run.is_active:
            response["HX-Refresh"] = "true"
        return response
    context = {
        "project": run.project,
        "run": run,
        "kind": KINDS.get(run.kind, run.kind),
        "currency": settings.CURRENCY,
        "charts": _charts(run),
        "result": _result(run),
        "may_pass": run.error_code in PASSING,
        **_log(run),
    }
    return render(request, "runs/run.html", context)


@require_POST
def run_cancel(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    run = _run(request, project, pk)
    cancel_run(run=run, by=user_of(request))
    messages.info(request, _("“%(run)s” is being cancelled.") % {"run": run.called})
    return redirect(run)


@require_POST
def run_pause(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    run = _run(request, project, pk)
    pause_run(run=run, by=user_of(request))
    messages.info(request, _("“%(run)s” pauses after its checkpoint.") % {"run": run.called})
    return redirect(run)


@require_POST
def run_resume(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    run = _run(request, project, pk)
    resume_run(run=run, by=user_of(request))
    messages.info(request, _("“%(run)s” waits for a place and goes on.") % {"run": run.called})
    return redirect(run)


@require_POST
def run_retry(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    run = _run(request, project, pk)
    retry_run(run=run, by=user_of(request))
    messages.info(request, _("“%(run)s” is tried again.") % {"run": run.called})
    return redirect(run)


def run_queue(request: HttpRequest, project: str) -> HttpResponse:
    """What is at work and what waits; to htmx the tables alone."""
    found = get_project(user_of(request), project)
    context = {"project": found, "kinds": KINDS, **the_queue(found)}
    part = "#rows" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"runs/queue.html{part}", context)


def run_metrics(request: HttpRequest, project: str, pk: int) -> JsonResponse:
    """The curves from a step on, for the page's script."""
    run = _run(request, project, pk)
    after = request.GET.get("after", "")
    known = after.isdecimal() and len(after) < 10
    return JsonResponse(as_json(run, after=int(after) if known else None))


def run_log(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The last lines of the log, a fragment of the run's page."""
    run = _run(request, project, pk)
    context = {"project": run.project, "run": run, **_log(run)}
    return render(request, "runs/run.html#log", context)


def _run(request: HttpRequest, project: str, pk: int) -> Run:
    rows = Run.objects.select_related("project", "created_by")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _charts(run: Run) -> list[dict[str, Any]]:
    """Each panel with its series, for the charts that stand there before the script draws."""
    found = curves(run)
    return [
        {
            "title": panel.title,
            "names": ",".join(panel.names),
            "series": [(in_words(name), found[name]) for name in panel.names],
        }
        for panel in panels(list(found))
    ]


def _result(run: Run) -> list[tuple[str, Any]]:
    """What the engine measured last, then what it counted; in words."""
    said = run.result or {}
    measured, counted = said.get("metrics") or {}, said.get("counts") or {}
    names = [name for panel in panels(list(measured)) for name in panel.names]
    rows = [(name, measured[name]) for name in names] + sorted(counted.items())
    shown = [(in_words(name), value) for name, value in rows]
    if beta := said.get("beta"):
        # of pictures and clips: as it was set, and as it compares between models and sizes
        shown.append((_("beta on mean errors"), beta["mean"]))
        shown.append((_("beta on summed errors"), beta["sum"]))
    return shown


def _log(run: Run) -> dict[str, Any]:
    """What the engine said; and what its process printed where that may tell why it failed."""
    events = run.dir.last_events(LOG_LINES)
    return {
        "events": [
            {
                **event,
                "at": datetime.fromtimestamp(event.get("time", 0), UTC),
                "text": said(run.kind, event.get("said"), event.get("text", "")),
                "level_words": LEVELS.get(event.get("level", ""), ""),
            }
            for event in events
        ],
        "printed": run.dir.log_tail() if run.state == RunState.FAILED else "",
    }
