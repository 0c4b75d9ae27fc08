"""The arena's pages for those who run it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.models import Annotator
from annotation.services.withdrawals import withdraw
from evaluation.arena import change_arena, open_arena, standing_of
from evaluation.forms_arena import ArenaForm
from evaluation.models_arena import Arena, Battle
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_project, get_visible, role_in

PER_PAGE = 25


def arena_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    arenas = Arena.objects.filter(project=found).annotate(
        n_votes=Count("battles", filter=Q(battles__judgment__isnull=False), distinct=True),
        n_contestants=Count("contestants", distinct=True),
    )
    context = {"project": found, "arenas": arenas, "is_admin": _is_admin(request, found)}
    return render(request, "evaluation/arenas.html", context)


def arena_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project, ADMINS)
    initial = {"contestants": request.GET.getlist("model")}
    form = ArenaForm(request.POST or None, project=found, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(open_arena(project=found, by=user_of(request), **form.as_request()))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    context = {"project": found, "form": form}
    return render(request, "evaluation/arena_new.html", context)


def arena_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """How it stands: contestants, voters with those who vote oddly first, and its battles."""
    rows = Arena.objects.select_related("project", "run__project", "created_by")
    arena = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    battles = Battle.objects.filter(arena=arena).select_related(
        "left", "right", "judgment__annotator", "judgment__pair", "visitor__annotator"
    )
    shown = {
        "open": Q(judgment=None),
        "voted": Q(judgment__isnull=False),
        "named": Q(is_blind=False),
    }
    chosen = request.GET.get("show", "")
    battles = battles.filter(shown[chosen]) if chosen in shown else battles
    context: dict[str, Any] = {
        "project": arena.project,
        "arena": arena,
        "standing": standing_of(arena),
        "link": request.build_absolute_uri(arena.path),
        "page": Paginator(battles.prefetch_related("turns"), PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "show": chosen,
        "is_admin": _is_admin(request, arena.project),
    }
    return render(request, "evaluation/arena_detail.html", context)


@require_POST
def arena_change(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Close it, open it again, or give it a new link."""
    arena = get_visible(Arena, user_of(request), ADMINS, pk=pk, project__slug=project)
    verbs: dict[str, dict[str, bool]] = {
        "open": {"is_open": True},
        "close": {"is_open": False},
        "new-link": {"new_link": True},
    }
    if asked := verbs.get(request.POST.get("do", "")):
        change_arena(arena=arena, by=user_of(request), **asked)  # type: ignore[arg-type]
    return redirect("evaluation:arena-detail", project, pk)


@require_POST
def arena_withdraw(request: HttpRequest, project: str, pk: int, voter: int) -> HttpResponse:
    """Withdraw all votes of a guest; what a member has labelled besides is for the page of
    withdrawals, which asks for days."""
    arena = get_visible(Arena, user_of(request), ADMINS, pk=pk, project__slug=project)
    guests = Annotator.objects.filter(
        project=arena.project, user=None, judgments__arena_battle__arena=arena
    )
    annotator = get_object_or_404(guests.distinct(), pk=voter)
    reason = _("Votes unlike the others in the arena “%(arena)s”.") % {"arena": arena.name}
    withdraw(project=arena.project, annotator=annotator, reason=reason, by=user_of(request))
    messages.success(request, _("The votes of %(who)s are withdrawn.") % {"who": annotator.name})
    return redirect("evaluation:arena-detail", project, pk)


def _is_admin(request: HttpRequest, project: Any) -> bool:
    return role_in(user_of(request), project) in ADMINS
