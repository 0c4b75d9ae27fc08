"""Who is at work and who waits. There is one queue for the whole server: a project sees its own
runs by name, and of the others' only how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from steelyard.projects.models import Project
from steelyard.runs.models import Run, RunState


@dataclass(frozen=True)
class Waiting:
    run: Run
    place: int
    """1 is next, of all projects' runs that wait for places of the same sort."""


def the_queue(project: Project) -> dict[str, Any]:
    """``at_work``, ``waiting`` and ``paused`` runs of the project, and how full the server is."""
    rows = Run.objects.select_related("project", "created_by")
    queued = list(Run.objects.queued().values_list("pk", "kind"))
    places: dict[int, int] = {}
    own = [settings.LIGHT_RUNS, settings.ARENA_RUNS]
    heavy = {kind for _pk, kind in queued}.difference(*own)
    for kinds in (heavy, *own):
        same = [pk for pk, kind in queued if kind in kinds]
        places |= {pk: place for place, pk in enumerate(same, 1)}
    waiting = rows.filter(project=project, state=RunState.QUEUED).order_by("created_at")
    busy = Run.objects.in_places().count()
    mine = list(rows.filter(project=project).started().order_by("started_at"))
    return {
        "places": settings.MAX_RUNS_AT_ONCE,
        "busy": busy,
        "light_places": settings.MAX_LIGHT_RUNS_AT_ONCE,
        "light_busy": Run.objects.in_light_places().count(),
        "arena_places": settings.MAX_ARENA_RUNS_AT_ONCE,
        "arena_busy": Run.objects.in_arena_places().count(),
        "queued": len(queued),
        "at_work": mine,
        "waiting": [Waiting(run, places[run.pk]) for run in waiting if run.pk in places],
        "paused": list(rows.filter(project=project, state=RunState.PAUSED)),
        "others_waiting": len(queued) - sum(run.pk in places for run in waiting),
        "others_at_work": Run.objects.started().exclude(project=project).count(),
    }
