from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from steelyard.accounts.people import user_of
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import ADMINS, STAFF, get_project, get_visible, role_in
from steelyard.registry.downloads import download
from steelyard.registry.forms import (
    KeyForm,
    ModelForm,
    NoteForm,
    PriceForm,
    RevisionsForm,
    RowsForm,
    TagForm,
    VersionsForm,
)
from steelyard.registry.layered import config_of, in_words
from steelyard.registry.model_files import files_of, serve_model_file
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion
from steelyard.registry.revised import revised_of, with_revisions
from steelyard.registry.searching import RowFilter, choices, search
from steelyard.registry.services import add_model, set_api_key, set_prices
from steelyard.registry.words import (
    counts_in_words,
    projects_in_words,
    recipe_in_words,
    warning_of,
)

ROWS_A_PAGE = 20


def version_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = VersionsForm(request.GET, project=found)
    asked = form.asked()
    rows = DatasetVersion.objects.filter(project=found).chosen(**asked)
    rows = rows.with_names().prefetch_related("tags")
    context = {
        "project": found,
        "page": Paginator(rows, 50).get_page(request.GET.get("page")),
        "form": form,
        "filtered": any(asked.values()),
    }
    return render(request, "registry/versions.html", context)


def version_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    version = _version(request, project, pk)
    lost = bool(version.lost)
    form = RowsForm(request.GET, choices=choices(version)) if not lost else None
    asked = form.asked() if form else RowFilter()
    rows = search(version, asked) if form else []
    page = Paginator(rows, ROWS_A_PAGE).get_page(request.GET.get("page"))
    _fill_prompt_assets(version, list(page))
    link_pairs(request, version, list(page))
    context = {
        "project": version.project,
        "version": version,
        "recipe": recipe_in_words(version.recipe)
        + projects_in_words(version.manifest.get("projects", ())),
        "counts": counts_in_words(version.counts),
        "warning": warning_of(version.recipe, version.counts),
        "lost": lost,
        "form": form,
        "filtered": bool(asked),
        "page": page,
        "children": version.children.select_related("project"),
        "tags": version.tags.all(),
        "notes": version.notes.select_related("created_by"),
        "tag_form": TagForm(),
        "note_form": NoteForm(),
        "models": version.models.select_related("project", "made_by__project"),
    }
    return render(request, "registry/version.html", context)


def _fill_prompt_assets(version: DatasetVersion, rows: list[dict[str, Any]]) -> None:
    """What prompts are about as ``prompt_assets`` of the rows that have such, with one query."""
    asked = [row for row in rows if row.get("prompt_media")]
    if not asked:
        return
    wanted = {sha256 for row in asked for sha256 in row["prompt_media"]}
    there = Asset.objects.filter(project=version.project, sha256__in=wanted)
    found = {one.sha256: one for one in there.select_related("project").with_renditions()}
    for row in asked:
        row["prompt_assets"] = [found[one] for one in row["prompt_media"] if one in found]


def link_pairs(request: HttpRequest, version: DatasetVersion, rows: list[dict[str, Any]]) -> None:
    """Where each row's pair is looked at as ``pair_in``: the project that gave it, empty where that
    is closed to the person."""
    home = version.project.slug
    others = {row["project"] for row in rows if "project" in row} - {home}
    open_to = {home}
    if others:
        mine = Project.objects.with_role(user_of(request), STAFF).filter(slug__in=others)
        open_to.update(mine.values_list("slug", flat=True))
    for row in rows:
        slug = row.get("project", home)
        row["pair_in"] = slug if slug in open_to else ""


def version_download(request: HttpRequest, project: str, pk: int, form: str) -> HttpResponseBase:
    return download(request, _version(request, project, pk), form)


def model_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    family = request.GET.get("family", "")
    rows = ModelVersion.objects.filter(project=found).with_origin()
    if family in ModelFamily.values:
        rows = rows.filter(family=family)
    context = {
        "project": found,
        "page": Paginator(rows, 50).get_page(request.GET.get("page")),
        "families": ModelFamily.choices,
        "family": family,
    }
    return render(request, "registry/models.html", context)


def model_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = ModelForm(request.POST or None, project=found)
    if request.method == "POST" and form.is_valid():
        try:
            model = add_model(project=found, by=user_of(request), **form.cleaned_data)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(model)
    context = {
        "project": found,
        "form": form,
        "is_admin": role_in(user_of(request), found) in ADMINS,
    }
    return render(request, "registry/model_new.html", context)


def model_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    model = _model(request, project, pk)
    context = {
        "project": model.project,
        "model": model,
        "ancestors": model.ancestors(),
        "descendants": model.descendants.as_they_are().select_related("project"),
        "revised": revised_of(model).values(),
        "revisions_form": RevisionsForm() if model.can_revise else None,
        "files": files_of(model),
        "layers": in_words(config_of(model)) if model.family == ModelFamily.PIPELINE else None,
        "pipelines": model.pipelines.order_by("name"),
        "key_form": KeyForm() if model.family == ModelFamily.ENDPOINT else None,
        "price_form": PriceForm(initial=model.options),
        "currency": settings.CURRENCY,
    }
    return render(request, "registry/model.html", context)


@require_POST
def model_revised(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The model with a number of revisions, to be evaluated like any other."""
    model = _model(request, project, pk)
    form = RevisionsForm(request.POST)
    try:
        if not form.is_valid():
            raise UserError(str(form.errors["revisions"][0]))
        return redirect(
            with_revisions(
                model=model, revisions=form.cleaned_data["revisions"], by=user_of(request)
            )
        )
    except UserError as error:
        messages.error(request, error.message)
        return redirect(model)


def model_file(request: HttpRequest, project: str, pk: int, name: str) -> HttpResponseBase:
    return serve_model_file(request, _model(request, project, pk), name)


@require_POST
def model_key(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Replace an endpoint's key, or take it away."""
    model = _model(request, project, pk)
    form = KeyForm(request.POST)
    if form.is_valid():
        set_api_key(model=model, api_key=form.cleaned_data["api_key"])
        kept = (
            _("%(name)s has a new key.")
            if form.cleaned_data["api_key"]
            else _("%(name)s has no key any more.")
        )
        messages.success(request, kept % {"name": model.name})
    return redirect(model)


@require_POST
def model_prices(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Say what an endpoint's tokens cost, or that nobody knows."""
    model = _model(request, project, pk)
    form = PriceForm(request.POST)
    if form.is_valid():
        set_prices(model=model, **form.cleaned_data)
        messages.success(request, _("Prices of %(name)s are kept.") % {"name": model.name})
    else:
        messages.error(request, _("A price is 0 to a million."))
    return redirect(model)


def _version(request: HttpRequest, project: str, pk: int) -> DatasetVersion:
    rows = DatasetVersion.objects.with_names()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _model(request: HttpRequest, project: str, pk: int) -> ModelVersion:
    rows = ModelVersion.objects.with_origin()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
