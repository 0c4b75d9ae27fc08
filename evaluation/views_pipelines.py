"""How pipelines came to outputs, and the search for pipelines."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.models import Output
from evaluation.forms_pipelines import KeepForm, SearchForm
from evaluation.records import shown
from evaluation.search_charts import row_of, trade_off
from evaluation.services_pipelines import KIND, found_by, keep_found, start_search
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.layered import members_of
from steelyard.runs.models import Run


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


def pipeline_search_new(request: HttpRequest, project: str) -> HttpResponse:
    """What is to be searched for; sent, a run does it in the background."""
    user = user_of(request)
    found = get_project(user, project)
    form = SearchForm(request.POST or None, project=found)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(start_search(project=found, by=user, **form.as_request()))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    runs = Run.objects.filter(project=found, kind=KIND).select_related("project")[:10]
    context = {"project": found, "form": form, "runs": runs, "names": list(members_of(found))}
    return render(request, "evaluation/pipeline_search_new.html", context)


def search_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the run's page: what was tried, and what none beats."""
    run = get_visible(Run, user_of(request), pk=pk, project__slug=project, kind=KIND)
    found = found_by(run)
    context = {
        "project": run.project,
        "run": run,
        "found": found,
        "best": next((one for one in found.front if one.fresh), None),
        "chart": trade_off(found),
        "fresh": [row_of(one) for one in found.front if one.fresh],
    }
    return render(request, "evaluation/_search_of_run.html", context)


@require_POST
def pipeline_search_keep(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Make a pipeline that was found a model."""
    user = user_of(request)
    run = get_visible(Run, user, pk=pk, project__slug=project, kind=KIND)
    form = KeepForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Give the pipeline a name."))
        return redirect(run)
    try:
        model, made = keep_found(run=run, by=user, **form.cleaned_data)
    except UserError as error:
        messages.error(request, error.message)
        return redirect(run)
    if not made:
        messages.info(request, _("This pipeline is a model already: %(name)s.") % {"name": model})
    return redirect(model)
