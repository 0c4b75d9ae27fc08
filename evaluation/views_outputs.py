"""Pages to let models make outputs, and to look at what they made."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from evaluation.forms_outputs import GenerationForm
from evaluation.grids import counts_of, grid_of
from evaluation.services import usual_seeds
from evaluation.services_round import next_seed, start_generation
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run


def generation_new(request: HttpRequest, project: str) -> HttpResponse:
    """Choose models, prompts and seeds; sent, a run makes the outputs in the background."""
    found = get_project(user_of(request), project)
    initial = {
        "seed": next_seed(found),
        "seeds": "same" if usual_seeds(found) else "own",
        **request.GET.dict(),
        "models": request.GET.getlist("model"),
    }
    form = GenerationForm(request.POST or None, project=found, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            run = start_generation(project=found, by=user_of(request), **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect("evaluation:generation-detail", found.slug, run.pk)
    runs = Run.objects.filter(project=found, kind="round").select_related("project")[:10]
    context = {"project": found, "form": form, "runs": runs}
    return render(request, "evaluation/generation_new.html", context)


def generation_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The outputs that there are, a row a prompt; to htmx that part alone."""
    rows = Run.objects.filter(kind="round").select_related("project", "created_by")
    run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    models = ModelVersion.objects.filter(project=run.project).select_related("project")
    named = models.in_bulk(run.spec["models"])
    context = {
        "project": run.project,
        "run": run,
        "models": [named[key] for key in run.spec["models"] if key in named],
        "page": grid_of(run, request.GET.get("page")),
        "counts": counts_of(run),
    }
    part = "#grid" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"evaluation/generation.html{part}", context)
