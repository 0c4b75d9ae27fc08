from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project
from training.compare import MOST, compared
from training.models import TrainingJob

OFFERED = 100


def compare(request: HttpRequest, project: str) -> HttpResponse:
    """Training runs of a project, chosen by ``?run=`` again and again, side by side."""
    found = get_project(user_of(request), project)
    asked = [int(n) for n in request.GET.getlist("run") if n.isdecimal() and len(n) < 19]
    jobs = TrainingJob.objects.filter(project=found).with_parts()
    by_run = {job.run_id: job for job in jobs.filter(run__in=asked)}
    chosen = [by_run[pk] for pk in dict.fromkeys(asked) if pk in by_run]
    context = {
        "project": found,
        "jobs": jobs[:OFFERED],
        "chosen": {job.run_id for job in chosen},
        "too_many": len(chosen) > MOST,
        "most": MOST,
        "unknown": _unknown(request.GET.getlist("run"), set(by_run)),
        **(compared(chosen[:MOST]) if len(chosen) > 1 else {}),
    }
    return render(request, "training/compare.html", context)


def _unknown(asked: list[str], known: set[int]) -> list[str]:
    """What was asked for and is no training run here, as it was written."""
    found = [word[:40] for word in dict.fromkeys(asked) if not _is_in(word, known)]
    return found[:MOST]


def _is_in(word: str, known: set[int]) -> bool:
    return word.isdecimal() and len(word) < 19 and int(word) in known
