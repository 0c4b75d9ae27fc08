"""The owner's view of the labelling: how far it is, who does it, and what to settle for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from annotation import tables
from annotation.forms.people import PersonForm
from annotation.models import Annotator
from annotation.services import overview, people
from annotation.services.groups import work_of
from annotation.services.overview import Person, Tally
from annotation.sorting import Column, sort
from steelyard.accounts.models import User
from steelyard.accounts.people import user_of
from steelyard.projects.models import Project, Role
from steelyard.projects.policy import ADMINS, get_project, get_visible, role_in
from steelyard.projects.services import set_paused

FLAGS_SHOWN = 5


@require_safe
def coverage(request: HttpRequest, project: str) -> HttpResponse:
    """The page; where there is much to count, it comes at once and asks for the figures behind."""
    user = user_of(request)
    found = get_project(user, project)
    ranking = found.scheme["task"] == "ranking"
    context = {
        "project": found,
        "ranking": ranking,
        "may_act": role_in(user, found) == Role.ADMIN,
    }
    if getattr(request, "htmx", False):
        context["figures"] = _figures(request, found)
        return render(request, "annotation/coverage.html#figures", context)
    flagged, flagged_sets = overview.flagged(found), overview.flagged_sets(found)
    at_once = "whole" in request.GET or overview.is_quick(found)
    context |= {
        "now": overview.at_work(found),
        "has_pairs": found.pairs.exists(),
        "sets": overview.sets_of(found) if ranking else None,
        "n_flagged": flagged.count() + flagged_sets.count(),
        "flagged": _shown(flagged),
        "flagged_sets": _shown(flagged_sets),
        "figures": _figures(request, found) if at_once else None,
    }
    return render(request, "annotation/coverage.html", context)


def _shown(flagged: Any) -> Any:
    return flagged.select_related("prompt").prefetch_related("flags__annotator")[:FLAGS_SHOWN]


def _figures(request: HttpRequest, project: Project) -> dict[str, Any]:
    """What the counts say, each table sorted as the URL says."""
    counted, done = overview.coverage(project), overview.people(project)
    persons, person_columns = sort(done.value, _person_columns(), request.GET.get("sort", ""))
    categories, category_columns = sort(
        counted.value.by_category.items(), _category_columns(), request.GET.get("categories", "")
    )
    return {
        "coverage": counted,
        "categories": categories,
        "category_columns": category_columns,
        "throughput": overview.throughput(project),
        "people": done,
        "persons": persons,
        "person_columns": person_columns,
        "has_training": work_of(project).training().exists(),
    }


@require_safe
def coverage_now(request: HttpRequest, project: str) -> HttpResponse:
    """A fragment: who is on it at this moment."""
    user = user_of(request)
    found = get_project(user, project)
    context = {
        "project": found,
        "ranking": found.scheme["task"] == "ranking",
        "now": overview.at_work(found),
        "may_act": role_in(user, found) == Role.ADMIN,
    }
    return render(request, "annotation/coverage.html#now", context)


@require_POST
def coverage_pause(request: HttpRequest, project: str) -> HttpResponse:
    by = user_of(request)
    found = get_project(by, project, ADMINS)
    paused = request.POST.get("paused") == "yes"
    set_paused(project=found, by=by, paused=paused)
    said = _("Labelling is paused.") if paused else _("Labelling goes on.")
    messages.success(request, said)
    return redirect("annotation:coverage", found.slug)


@require_POST
def person_change(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    by = user_of(request)
    annotator = _person(by, project, pk)
    form = PersonForm(request.POST)
    if form.is_valid():
        people.set_person(annotator=annotator, by=by, **form.cleaned_data)
        messages.success(request, _("Saved for %(name)s.") % {"name": annotator})
    else:
        for name, errors in form.errors.items():
            label = form.fields[name].label
            messages.error(request, f"{annotator}, {label}: {' '.join(map(str, errors))}")
    return redirect("annotation:coverage", project)


@require_POST
def person_pause(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    by = user_of(request)
    annotator = _person(by, project, pk)
    paused = request.POST.get("paused") == "yes"
    people.set_person(annotator=annotator, by=by, paused=paused)
    if annotator.project.scheme["task"] == "ranking":
        no_more, again = _("%(name)s is given no more sets."), _("%(name)s is given sets again.")
    else:
        no_more, again = _("%(name)s is given no more pairs."), _("%(name)s is given pairs again.")
    said = no_more if paused else again
    messages.success(request, said % {"name": annotator})
    return redirect("annotation:coverage", project)


@require_POST
def person_release(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    by = user_of(request)
    annotator = _person(by, project, pk)
    n = people.take_back(annotator=annotator, by=by)
    if annotator.project.scheme["task"] == "ranking":
        said = ngettext(
            "%(n)s set of %(name)s goes to others.", "%(n)s sets of %(name)s go to others.", n
        )
    else:
        said = ngettext(
            "%(n)s pair of %(name)s goes to others.", "%(n)s pairs of %(name)s go to others.", n
        )
    messages.success(request, said % {"n": n, "name": annotator})
    return redirect("annotation:coverage", project)


@require_safe
def progress_download(request: HttpRequest, project: str) -> StreamingHttpResponse:
    """Every pair, or every set to rank, with how far it is, as CSV."""
    found = get_project(user_of(request), project)
    return _csv(tables.progress_csv(found), f"{found.slug}-progress.csv")


@require_safe
def people_download(request: HttpRequest, project: str) -> StreamingHttpResponse:
    """What each person has done, as CSV."""
    found = get_project(user_of(request), project)
    return _csv(tables.people_csv(overview.people(found).value), f"{found.slug}-people.csv")


def _csv(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _person(user: User, project: str, pk: int) -> Annotator:
    rows = Annotator.objects.filter(kind=Annotator.Kind.PERSON).select_related("project")
    return get_visible(rows, user, ADMINS, pk=pk, project__slug=project)


def _person_columns() -> list[Column[Person]]:
    return [
        Column("name", _("Name"), lambda one: one.annotator.name.casefold()),
        Column("verdicts", _("Verdicts"), lambda one: one.verdicts, num=True),
        Column("skips", _("Skips"), lambda one: one.skips, num=True),
        Column("amended", _("Amended"), lambda one: one.amended, num=True),
        Column("seconds", _("Median time"), lambda one: one.seconds, num=True),
        Column("known", _("Known answers"), lambda one: one.known_share, num=True),
        Column("training", _("Training")),
        Column("last", _("Last verdict"), lambda one: one.last),
    ]


def _category_columns() -> list[Column[tuple[str, Tally]]]:
    return [
        Column("name", _("Category"), lambda row: row[0].casefold()),
        Column("pairs", _("Pairs"), lambda row: row[1].pairs, num=True),
        Column("share", _("Complete"), lambda row: row[1].share, num=True),
        Column("open", _("Open"), lambda row: row[1].open, num=True),
        Column("closed", _("Taken out"), lambda row: row[1].closed, num=True),
        Column("raised", _("Raised"), lambda row: row[1].raised, num=True),
        Column("verdicts", _("Verdicts"), lambda row: row[1].verdicts, num=True),
    ]
