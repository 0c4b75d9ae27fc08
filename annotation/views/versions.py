"""Freezing a version: the recipe, what it would keep at this moment, and publishing it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.forms.versions import PublishForm, RecipeForm
from annotation.recipe import Recipe
from annotation.services.versions import DROPPED, preview, publish_version
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project

PASSED_OVER = {
    "unlabelled": gettext_lazy("without a vote that counts"),
    "held_out": gettext_lazy("on held-out prompts"),
    "other_category": gettext_lazy("of other categories"),
    "closed": gettext_lazy("taken out"),
}


def version_new(request: HttpRequest, project: str) -> HttpResponse:
    """GET previews the recipe in the URL (htmx asks for the fragment alone); POST publishes."""
    found = get_project(user_of(request), project)
    if request.method == "POST" and "preview" not in request.POST:
        return _publish(request, found)
    values = request.POST if request.method == "POST" else request.GET
    form = PublishForm(values if values else None, project=found)
    part = "#preview" if request.htmx else ""  # type: ignore[attr-defined]
    context = {"project": found, "form": form, **_preview(found, values)}
    if values:
        _forget_what_is_not_asked(form)
    return render(request, f"annotation/version_new.html{part}", context)


def _publish(request: HttpRequest, project: Project) -> HttpResponse:
    form = PublishForm(request.POST, project=project)
    if form.is_valid():
        try:
            version = publish_version(
                project=project,
                dataset_name=form.cleaned_data["dataset_name"],
                recipe=form.as_recipe(),
                note=form.cleaned_data["note"],
                by=user_of(request),
            )
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(version)
    context = {"project": project, "form": form, **_preview(project, request.POST)}
    return render(request, "annotation/version_new.html", context)


def _preview(project: Project, values: QueryDict) -> dict[str, Any]:
    """What the recipe in a form's values would freeze, or why it is no recipe."""
    recipe, problem = Recipe(), ""
    if values:
        form = RecipeForm(values, project=project)
        if not form.is_valid():
            return {"problem": _("The counts appear when the fields marked in red are right.")}
        try:
            recipe = form.as_recipe()
        except UserError as error:
            return {"problem": error.message}
    found = preview(project=project, recipe=recipe)
    if found.problem:
        problem = found.problem.message
    dropped = {name: found.counts[f"dropped_{name}"] for name in DROPPED}
    return {
        "preview": found,
        "problem": problem,
        "counts": found.counts,
        "left_out": [(DROPPED[name], n) for name, n in dropped.items() if n],
        "passed_over": [(PASSED_OVER[name], n) for name, n in found.passed_over.items() if n],
    }


def _forget_what_is_not_asked(form: PublishForm) -> None:
    """A preview does not ask for the version's name."""
    form.full_clean()
    for name in ("dataset_name", "note"):
        form.errors.pop(name, None)
