from __future__ import annotations

import csv
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import DatasetVersion
from training.forms import recipes_for
from training.services import suggested_name, summary_of, trainable_bases
from training.sweeps.charts import by_trial, trade_off
from training.sweeps.figures import (
    area_of,
    final_figures,
    in_words,
    measures_in,
    progress_of,
    rows_as_csv,
    space_in_words,
    table_of,
    trials_of,
)
from training.sweeps.forms import SweepForm
from training.sweeps.models import Sweep
from training.sweeps.runner import hours_spent
from training.sweeps.services import cancel_sweep, pause_sweep, start_sweep


def sweep_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    rows = Sweep.objects.filter(project=found).with_parts().with_counts()
    context = {"project": found, "page": Paginator(rows, 50).get_page(request.GET.get("page"))}
    return render(request, "training/sweeps.html", context)


def sweep_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    recipes = list(recipes_for(found))
    asked = request.POST.get("recipe") or request.GET.get("recipe", "")
    recipe = asked if asked in recipes else recipes[0]
    form = SweepForm(request.POST or None, project=found, recipe=recipe, initial=_initial(found))
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(start_sweep(project=found, by=user_of(request), **form.as_sweep()))
        except UserError as error:
            form.add_refusal(error.field, error.message)
    context = {
        "project": found,
        "form": form,
        "recipe": recipe,
        "recipes": recipes,
        "summary": _(summary_of(recipe)),
        "has_versions": DatasetVersion.objects.filter(project=found).exists(),
        "has_bases": trainable_bases(found).exists(),
    }
    return render(request, "training/sweep_new.html", context)


def sweep_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The page; to htmx what changes while the sweep goes on."""
    sweep = _sweep(request, project, pk)
    context = {"project": sweep.project, "sweep": sweep, **_page_of(sweep)}
    part = "#now" if request.htmx else ""  # type: ignore[attr-defined]
    response = render(request, f"training/sweep.html{part}", context)
    if part and not sweep.is_active:
        response["HX-Refresh"] = "true"
    return response


def sweep_trials(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The tuning figures as CSV."""
    sweep = _sweep(request, project, pk)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="sweep-{sweep.pk}-tuning.csv"'
    csv.writer(response).writerows(rows_as_csv(sweep, trials_of(sweep)))
    return response


@require_POST
def sweep_pause(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Begin no more runs, or with ``paused=0`` go on."""
    sweep = _sweep(request, project, pk)
    paused = request.POST.get("paused") != "0"
    _asked(request, lambda: pause_sweep(sweep=sweep, paused=paused))
    return redirect(sweep)


@require_POST
def sweep_cancel(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    sweep = _sweep(request, project, pk)
    _asked(request, lambda: cancel_sweep(sweep=sweep, by=user_of(request)))
    return redirect(sweep)


def _page_of(sweep: Sweep) -> dict[str, Any]:
    trials = trials_of(sweep)
    rows = table_of(sweep, trials)
    charts = [by_trial(sweep, rows, place) for place in range(len(sweep.objectives))]
    return {
        "measures": (measures := measures_in(sweep)),
        "space": space_in_words(sweep),
        "fixed": in_words(sweep.fixed),
        "rows": rows,
        "best": [(r, zip(measures, r.figures, strict=True)) for r in rows if r.best],
        "finals": final_figures(sweep, trials),
        "progress": progress_of(sweep, trials),
        "seconds": 3600 * hours_spent(sweep),
        "charts": [chart for chart in charts if chart],
        "trade_off": trade_off(sweep, rows),
        "area": area_of(sweep, trials),
        "weights": _weights(sweep),
    }


def _sweep(request: HttpRequest, project: str, pk: int) -> Sweep:
    rows = Sweep.objects.with_parts()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _asked(request: HttpRequest, what: Any) -> None:
    try:
        what()
    except UserError as error:
        messages.error(request, error.message)


def _weights(sweep: Sweep) -> list[tuple[Any, list[tuple[str, float]]]]:
    """For each objective what its figures depend on, the most first."""
    return [
        (measure, sorted(shares.items(), key=lambda one: -one[1]))
        for (measure, _way), shares in zip(measures_in(sweep), sweep.importances, strict=False)
        if shares
    ]


def _initial(project: Project) -> dict[str, Any]:
    """The newest version and the oldest base, and free names."""
    version = DatasetVersion.objects.filter(project=project).first()
    base = trainable_bases(project).order_by("created_at").first()
    name = suggested_name(project=project, base=base, version=version)
    return {
        "version": version and version.pk,
        "base": base and base.pk,
        "model_name": name and f"{name[:140]}-tuned",
        "name": _("Sweep %(number)s")
        % {"number": Sweep.objects.filter(project=project).count() + 1},
        "search_learning_rate": True,
    }
