"""What the pages of a version show besides the version: tags and notes, statistics, differences,
lineage, and what goes beside its files."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import STAFF, get_project, get_visible
from steelyard.registry.cards import croissant, readme
from steelyard.registry.comparing import KINDS, Difference, compare
from steelyard.registry.downloads import download_file
from steelyard.registry.forms import NoteForm, TagForm
from steelyard.registry.lineage import versions_with_pair
from steelyard.registry.models import DatasetVersion
from steelyard.registry.statistics import matrix, statistics
from steelyard.registry.tagging import add_note, remove_tag, set_tag
from steelyard.registry.views import link_pairs

ROWS_A_PAGE = 20
KIND_NAMES = {
    "added": gettext_lazy("added"),
    "removed": gettext_lazy("removed"),
    "relabelled": gettext_lazy("another verdict"),
    "changed": gettext_lazy("same verdict, other votes or split"),
}


def version_statistics(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    version = get_version(request, project, pk)
    context = {"project": version.project, "version": version, "lost": bool(version.lost)}
    if not version.lost:
        found = statistics(version)
        models, table = matrix(found)
        names = {name for one, other, _rows in found["wins"] for name in (one, other)}
        context |= {
            "found": found,
            "models": models,
            "more_models": len(names) - len(models),
            "table": table,
            "bars": [
                (_("Share of votes that agree"), _bars(found["agreement"])),
                (_("Strength of winners"), _bars(found["strength"])),
            ],
        }
    return render(request, "registry/version_statistics.html", context)


def _bars(bins: list[list[float]]) -> list[tuple[str, int, float]]:
    """Words for each bin, rows, and the share of all rows."""
    total = sum(n for _low, n in bins) or 1
    ends = [f"– {high:g}" for high, _n in bins[1:]] + [""]
    return [
        (f"{low:g} {end}".strip(), int(n), n / total)
        for (low, n), end in zip(bins, ends, strict=True)
    ]


def version_diff(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """From another version of the project (``from``; the parent unless said) to this one."""
    version = get_version(request, project, pk)
    others = DatasetVersion.objects.filter(project=version.project).exclude(pk=version.pk)
    others = others.with_names()
    chosen = request.GET.get("from", "")
    old = others.filter(pk=chosen).first() if chosen.isdecimal() else version.parent
    context: dict[str, Any] = {"project": version.project, "version": version}
    context |= {"old": old, "others": others}
    if old is not None:
        context["lost"] = bool(old.lost or version.lost)
        if not context["lost"]:
            context |= _difference(request, compare(old, version))
    return render(request, "registry/version_diff.html", context)


def _difference(request: HttpRequest, found: Difference) -> dict[str, Any]:
    counts = found.counts
    kind = request.GET.get("kind", "")
    if kind not in KINDS:
        kind = next((name for name in KINDS if counts[name]), "added")
    page = Paginator(range(counts[kind]), ROWS_A_PAGE).get_page(request.GET.get("page"))
    start = max(page.start_index() - 1, 0)
    rows = found.rows(kind, start, start + ROWS_A_PAGE)
    for version, side in ((found.old, "old"), (found.new, "new")):
        link_pairs(request, version, [row[side] for row in rows if row[side]])
    return {
        "difference": found,
        "kinds": [(name, KIND_NAMES[name], counts[name]) for name in KINDS],
        "kind": kind,
        "page": page,
        "rows": rows,
    }


@require_POST
def version_tag(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Give the version a tag, or take one away (``remove``)."""
    version = get_version(request, project, pk)
    form = TagForm(request.POST)
    gone = request.POST.get("remove", "")
    try:
        if gone:
            remove_tag(version=version, name=gone, by=user_of(request))
        elif form.is_valid():
            set_tag(version=version, name=form.cleaned_data["name"], by=user_of(request))
    except UserError as error:
        messages.error(request, error.message)
    return redirect(version)


@require_POST
def version_note(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    version = get_version(request, project, pk)
    form = NoteForm(request.POST)
    if form.is_valid():
        add_note(version=version, text=form.cleaned_data["text"], by=user_of(request))
    else:
        messages.error(request, _("Write a note of at most 5000 characters."))
    return redirect(version)


def version_card(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    version = get_version(request, project, pk)
    response = HttpResponse(readme(version), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="README.md"'
    return response


def version_croissant(request: HttpRequest, project: str, pk: int) -> JsonResponse:
    version = get_version(request, project, pk)
    url = request.build_absolute_uri(version.get_absolute_url())
    response = JsonResponse(croissant(version, url), content_type="application/ld+json")
    response["Content-Disposition"] = 'attachment; filename="croissant.json"'
    return response


def version_file(request: HttpRequest, project: str, pk: int, name: str) -> HttpResponseBase:
    return download_file(request, get_version(request, project, pk), name)


def versions_of_pair(request: HttpRequest, project: str, key: str) -> HttpResponse:
    """A fragment for the pair's page: the versions that hold it."""
    found = get_project(user_of(request), project)
    rows = versions_with_pair(project=found, key=key)
    # of several projects, of which this one may not be the home
    homes = Project.objects.with_role(user_of(request), STAFF)
    homes = homes.filter(pk__in={version.project_id for version, _place in rows})
    open_to = set(homes.values_list("pk", flat=True))
    context = {"project": found, "versions": rows, "open_to": open_to}
    return render(request, "registry/versions.html#of-pair", context)


def get_version(request: HttpRequest, project: str, pk: int) -> DatasetVersion:
    rows = DatasetVersion.objects.with_names()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
