"""On a training run's page: whether new pairs are made with its model by itself."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from evaluation.services_following import REFUSED, WANTED, WISH, round_after, wish_for_round
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run, RunState


def new_pairs_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment; sent, the wish is noted or taken back."""
    rows = Run.objects.filter(kind="train").select_related("project")
    run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    if request.method == "POST":
        try:
            wish_for_round(run=run, wanted=request.POST.get("wanted") == "1")
        except UserError as error:
            messages.error(request, error.message)
        return redirect(run)
    context = {
        "project": run.project,
        "run": run,
        "wanted": run.spec.get(WISH) == WANTED,
        "goes_on": run.is_active or run.state == RunState.PAUSED,
        "round": round_after(run),
        "refused": run.spec.get(WISH) == REFUSED,
    }
    return render(request, "evaluation/_new_pairs_of_run.html", context)
