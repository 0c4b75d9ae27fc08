from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import DatasetVersion
from training.engine.config import RECIPES, form_fields
from training.forms import TrainingForm, recipe_of
from training.models import TrainingJob
from training.services import start_training, suggested_name, summary_of, trainable_bases


def training_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    recipe = recipe_of(found)
    if recipe is None:
        return render(request, "training/training_new.html", {"project": found})
    form = TrainingForm(
        request.POST or None, project=found, recipe=recipe, initial=_initial(found, request)
    )
    if request.method == "POST" and form.is_valid():
        try:
            job = start_training(project=found, by=user_of(request), **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(job.run)
    context = {
        "project": found,
        "form": form,
        "summary": gettext(summary_of(recipe)),
        "has_versions": DatasetVersion.objects.filter(project=found).exists(),
        "has_bases": trainable_bases(found).exists(),
    }
    return render(request, "training/training_new.html", context)


def jobs_for_version(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the version's page."""
    found = get_project(user_of(request), project)
    jobs = TrainingJob.objects.filter(project=found, version=pk).with_parts()
    return render(request, "training/job.html#of-version", {"project": found, "jobs": jobs})


def job_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the run's page: what went in, and what came out."""
    rows = TrainingJob.objects.with_parts()
    job = get_visible(rows, user_of(request), run=pk, project__slug=project)
    defaults = {setting.name: setting.default for setting in form_fields(RECIPES[job.recipe])}
    settings = [
        (name, job.config[name], job.config[name] != default)
        for name, default in defaults.items()
        if name in job.config
    ]
    context = {"project": job.project, "job": job, "settings": settings}
    return render(request, "training/job.html#of-run", context)


def _initial(project: Project, request: HttpRequest) -> dict[str, Any]:
    """What the form is filled with: an earlier job's words, then what the URL names, then the
    newest version and the oldest base."""
    values: dict[str, Any] = {}
    job = TrainingJob.objects.filter(project=project, run=_number(request, "run")).first()
    if job:
        values = {**job.config, "version": job.version_id, "base": job.base_id}
    version = DatasetVersion.objects.filter(project=project, pk=_number(request, "version")).first()
    base = trainable_bases(project).filter(pk=_number(request, "base")).first()
    if job is None:
        version = version or DatasetVersion.objects.filter(project=project).first()
        base = base or trainable_bases(project).order_by("created_at").first()
    if version:
        values["version"] = version.pk
    if base:
        values["base"] = base.pk
    values["model_name"] = suggested_name(
        project=project, base=base or (job.base if job else None), version=version
    )
    return values


def _number(request: HttpRequest, name: str) -> int:
    """A primary key from the URL; 0, which no row has, where there is none."""
    value = request.GET.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 19 else 0
