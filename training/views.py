from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import DatasetVersion
from steelyard.registry.services import free_name
from steelyard.runs.models import Run
from training.controls import controls_of
from training.engine.config import RECIPES, config_of, form_fields
from training.forms import TrainingForm, recipes_for
from training.models import TrainingJob
from training.preflight import find_preflight, report_of
from training.presets import WHEN, preset, presets_of
from training.report import in_words
from training.services import (
    start_preflight,
    start_training,
    suggested_name,
    summary_of,
    trainable_bases,
)


def training_new(request: HttpRequest, project: str) -> HttpResponse:
    """The form; sent, it is looked at and what is found is shown. Sent again, it is started."""
    found = get_project(user_of(request), project)
    recipe = _recipe(found, request)
    form = TrainingForm(
        _sent(request), project=found, recipe=recipe, initial=_initial(found, request, recipe)
    )
    look = None
    if request.method == "POST" and form.is_valid():
        answer = _start(form, request)
        if isinstance(answer, TrainingJob):
            return redirect(answer.run)
        look = answer
    context = {
        "project": found,
        "form": form,
        "recipe": recipe,
        "look": look,
        **_report(found, look),
        **_choices(found, recipe),
    }
    return render(request, "training/training_new.html", context)


def preflight_report(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What a preflight found, a fragment of the form's page that asks again until it is there."""
    rows = Run.objects.filter(kind="preflight").select_related("project")
    run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    context = {"project": run.project, "look": run, **_report(run.project, run)}
    return render(request, "training/preflight.html", context)


def jobs_for_version(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the version's page."""
    found = get_project(user_of(request), project)
    jobs = TrainingJob.objects.filter(project=found, version=pk).making_models().with_parts()
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
    context = {"project": job.project, "job": job, "settings": settings, **controls_of(job)}
    return render(request, "training/job.html#of-run", context)


def _start(form: TrainingForm, request: HttpRequest) -> TrainingJob | Run | None:
    """The job where it could be started, else the look that comes first, else None: an error.

    Only a look that is fresh, of these very settings, without a stop and whose report this form's
    page has shown lets a job start: what is sent names it.
    """
    asked, by = form.as_question(), user_of(request)
    seen = request.POST.get("seen", "")
    wanted = request.POST.get("action", "start") == "start" and "apply" not in request.POST
    try:
        config = config_of(form.recipe, asked["config"]).as_dict()
        look = find_preflight(project=form.project, **{**asked, "config": config})
        report = report_of(look) if look else None
        if wanted and look and seen == str(look.pk) and report and report["level"] != "stop":
            return start_training(project=form.project, by=by, preflight=look, **form.as_request())
        again = request.POST.get("action") == "again"
        return start_preflight(project=form.project, by=by, again=again, **asked)
    except UserError as error:
        form.add_error(error.field if error.field in form.fields else None, error.message)
        return None


def _sent(request: HttpRequest) -> QueryDict | None:
    """What was sent, with a remedy's settings laid over it where its button was pressed."""
    if request.method != "POST":
        return None
    sent = request.POST.copy()
    try:
        applied = json.loads(request.POST.get("apply") or "{}")
    except ValueError:
        applied = {}
    for name, value in applied.items() if isinstance(applied, dict) else ():
        sent.pop(name, None)
        if value is not False:
            sent[name] = "on" if value is True else str(value)
    return sent


def _report(project: Project, look: Run | None) -> dict[str, Any]:
    report = report_of(look) if look else None
    return {"report": in_words(report) if report else None}


def _choices(project: Project, recipe: str) -> dict[str, Any]:
    """What else the page offers: other recipes, presets."""
    recipes = [
        {"name": name, "when": WHEN.get(name, ""), "current": name == recipe}
        for name in recipes_for(project)
    ]
    return {
        "recipes": recipes,
        "when": WHEN.get(recipe, ""),
        "presets": presets_of(recipe),
        "summary": gettext(summary_of(recipe)),
        "has_versions": DatasetVersion.objects.filter(project=project).exists(),
        "has_bases": trainable_bases(project).exists(),
    }


def _recipe(project: Project, request: HttpRequest) -> str:
    """The one that is asked for, that of the job to be cloned, or the first."""
    known = list(recipes_for(project))
    asked = request.POST.get("recipe") or request.GET.get("recipe")
    if not asked:
        job = TrainingJob.objects.filter(project=project, run=_number(request, "run")).first()
        asked = job.recipe if job else None
    return asked if asked in known else known[0]


def _initial(project: Project, request: HttpRequest, recipe: str) -> dict[str, Any]:
    """What the form is filled with: an earlier job's words or a preset's, then what the URL names,
    then the newest version and the oldest base."""
    values: dict[str, Any] = {}
    job = TrainingJob.objects.filter(project=project, run=_number(request, "run")).first()
    if job:
        values = {**job.config, "version": job.version_id, "base": job.base_id}
    control = request.GET.get("label_control", "")
    if control in ("random", "reversed"):
        values["label_control"] = control
    if chosen := preset(recipe, request.GET.get("preset", "")):
        values |= chosen.settings
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
        project=project,
        base=base or (job.base if job else None),
        version=version or (job.version if job else None),
        recipe=recipe,
    )
    if "label_control" in values and control:
        own = job.model_name if job else values["model_name"]
        values["model_name"] = free_name(project=project, name=f"{own} {control}")
    return values


def _number(request: HttpRequest, name: str) -> int:
    """A primary key from the URL; 0, which no row has, where there is none."""
    value = request.GET.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 19 else 0
