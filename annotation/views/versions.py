"""Freezing a version: the recipe, what it would keep at this moment, and publishing it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import freeze_runner
from annotation.forms.versions import PublishForm, RecipeForm
from annotation.freezing.drawn import drawn_from
from annotation.recipe import Recipe
from annotation.services.joining import joined
from annotation.services.versions import (
    DROPPED,
    DROPPED_IF_ASKED,
    is_large,
    preview,
    publish_version,
    start_freeze,
)
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.words import recipe_in_words
from steelyard.runs.models import Run

PASSED_OVER = {
    "unlabelled": gettext_lazy("without a vote that counts"),
    "held_out": gettext_lazy("on held-out prompts"),
    "other_category": gettext_lazy("of other categories"),
    "other_model": gettext_lazy("of other models"),
    "closed": gettext_lazy("taken out"),
}


def version_new(request: HttpRequest, project: str) -> HttpResponse:
    """GET previews the recipe in the URL (htmx asks for the fragment alone); POST publishes."""
    found = get_project(user_of(request), project)
    if request.method == "POST" and "preview" not in request.POST:
        return _publish(request, found)
    values = request.POST if request.method == "POST" else request.GET
    form = PublishForm(values if values else None, project=found, by=user_of(request))
    part = "#preview" if request.htmx else ""  # type: ignore[attr-defined]
    # the fields stay as they are then, without the names of projects that have just been chosen
    context = {"project": found, "form": form, "is_part": part, **_preview(request, found, values)}
    if values:
        _forget_what_is_not_asked(form)
    return render(request, f"annotation/version_new.html{part}", context)


def _publish(request: HttpRequest, project: Project) -> HttpResponse:
    """At once, or as a run where it takes long."""
    form = PublishForm(request.POST, project=project, by=user_of(request))
    if form.is_valid():
        try:
            recipe = form.as_recipe()
            large = is_large(*drawn_from(project, recipe))
            freeze = start_freeze if large else publish_version
            made = freeze(
                project=project,
                dataset_name=form.cleaned_data["dataset_name"],
                recipe=recipe,
                note=form.cleaned_data["note"],
                by=user_of(request),
            )
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(made)
    context = {"project": project, "form": form, **_preview(request, project, request.POST)}
    return render(request, "annotation/version_new.html", context)


def freeze_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the run's page: the recipe, and the version once there is one."""
    run = get_visible(Run, user_of(request), pk=pk, project__slug=project, kind="freeze")
    context = {
        "project": run.project,
        "run": run,
        "recipe": recipe_in_words(run.spec["recipe"]),
        "product": freeze_runner.product(run),
    }
    return render(request, "annotation/version_new.html#of-run", context)


def _preview(request: HttpRequest, project: Project, values: QueryDict) -> dict[str, Any]:
    """What the recipe in a form's values would freeze, or why it is no recipe."""
    recipe = Recipe()
    if values:
        form = RecipeForm(values, project=project, by=user_of(request))
        if not form.is_valid():
            return {"problem": _("The counts appear when the fields marked in red are right.")}
        try:
            recipe = joined(project=project, recipe=form.as_recipe(), by=user_of(request))
        except UserError as error:
            return {"problem": error.message}
    found = preview(project=project, recipe=recipe)
    words = DROPPED | DROPPED_IF_ASKED
    names = {one.slug: one.name for one in drawn_from(project, recipe)}
    dropped = {name: found.counts.get(f"dropped_{name}", 0) for name in words}
    return {
        "preview": found,
        "problem": found.problem.message if found.problem else "",
        "counts": found.counts,
        "by_project": [(names[slug], *counts) for slug, *counts in found.projects],
        "left_out": [(_(words[name]), n) for name, n in dropped.items() if n],
        "passed_over": [(PASSED_OVER[name], n) for name, n in found.passed_over.items() if n],
    }


def _forget_what_is_not_asked(form: PublishForm) -> None:
    """A preview does not ask for the version's name."""
    form.full_clean()
    for name in ("dataset_name", "note"):
        form.errors.pop(name, None)
