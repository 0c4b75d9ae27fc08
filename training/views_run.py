"""Fragments of other rooms' pages: what a run wrote, and a model that is asked something."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality
from steelyard.projects.policy import get_visible
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run
from training.models import TrainingJob
from training.samples import media_samples_of, samples_of
from training.services_try import can_try, start_try


def samples_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What the model wrote or painted while it was trained, beside the untrained one's; asks again
    while the run goes on."""
    rows = TrainingJob.objects.select_related("run__project", "project")
    job = get_visible(rows, user_of(request), run=pk, project__slug=project)
    job.run.project = job.project
    context: dict[str, Any] = {"project": job.project, "run": job.run}
    if job.project.modality == Modality.TEXT:
        context["steps"] = samples_of(job.run)
    else:
        context["media"] = media_samples_of(job.run)
    return render(request, "training/samples.html", context)


@require_http_methods(["GET", "POST"])
def try_model(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The box to ask a model something; sent, a run that answers is queued."""
    rows = ModelVersion.objects.select_related("project", "base")
    model = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    context: dict[str, Any] = {"project": model.project, "model": model, "can_try": can_try(model)}
    if request.method == "POST":
        context["prompt"] = request.POST.get("prompt", "")
        try:
            context["run"] = start_try(
                model=model,
                prompt=context["prompt"],
                beside_base=bool(request.POST.get("beside_base")),
                by=user_of(request),
            )
        except UserError as error:
            context["error"] = error.message
    return render(request, "training/try.html", context)


def try_answer(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What it answered, once it has."""
    rows = Run.objects.filter(kind="try").select_related("project")
    run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    return render(request, "training/try.html#answer", {"project": run.project, "run": run})
