"""What a training run has revised, on its page, and what judges say of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from evaluation.services_revisions import (
    Told,
    chains_of,
    judges_for,
    start_revisions,
    told_of_run,
)
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run
from steelyard.web.plotting import Point, Series


def revisions_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for a training run's page; sent, a judge is asked."""
    rows = Run.objects.filter(kind="train").select_related("project")
    run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    if request.method == "POST":
        chosen = request.POST.get("judge", "")
        number = int(chosen) if chosen.isdecimal() and len(chosen) < 19 else 0
        judge = get_visible(judges_for(run.project), user_of(request), pk=number)
        try:
            return redirect(start_revisions(run=run, judge=judge, by=user_of(request)))
        except UserError as error:
            messages.error(request, error.message)
            return redirect(run)
    told = told_of_run(run)
    context: dict[str, Any] = {
        "project": run.project,
        "run": run,
        "chains": chains_of(run),
        "told": told,
        "curves": _curves(told),
        "judges": judges_for(run.project),
        "reviser": next(
            (m for m in run.models.order_by("-pk") if m.can_revise and not m.step), None
        ),
        "waiting": any(one.run.is_active for one in told),
    }
    return render(request, "evaluation/_revisions_of_run.html", context)


def _curves(told: list[Told]) -> list[Series]:
    """A line a judge, of its newest answers."""
    newest: dict[str, Told] = {}
    for one in told:
        if any("rate" in rate for rate in one.rates):
            newest.setdefault(one.judge, one)
    return [
        Series(
            name,
            [
                Point(rate["revision"], rate["rate"], rate["lo"], rate["hi"], rate["prompts"])
                for rate in one.rates
                if "rate" in rate
            ],
            colour,
            "joined",
        )
        for colour, (name, one) in enumerate(sorted(newest.items()))
    ]
