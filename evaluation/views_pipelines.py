"""How pipelines came to outputs, and the search for pipelines."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from annotation.models import Output
from evaluation.records import shown
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible


def output_record(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Who said what in which layer before an output of a pipeline was there."""
    rows = Output.objects.filter(record__isnull=False)
    rows = rows.select_related("project", "prompt__project", "model__project", "record")
    output = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    context = {
        "project": output.project,
        "output": output,
        "turns": shown(output.record.turns),
    }
    return render(request, "evaluation/output_record.html", context)
