"""What annotators have flagged, and the owner's word on it."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation.models import Flag
from annotation.services import flags, overview
from steelyard.accounts.people import user_of
from steelyard.projects.models import Role
from steelyard.projects.policy import ADMINS, get_project, get_visible, role_in
from steelyard.web.templatetags.steelyard import nav_url

PER_PAGE = 20
SETS_SHOWN = 100
"""Flagged sets on the page, the newest first."""


@require_safe
def flag_list(request: HttpRequest, project: str) -> HttpResponse:
    """Pairs with what was said of them; those that wait for a word, or those that have it."""
    user = user_of(request)
    found = get_project(user, project)
    decided = request.GET.get("state") == "decided"
    said = Flag.objects.select_related("annotator", "resolved_by").order_by("-created_at", "-pk")
    pairs = overview.flagged(found, decided=decided).with_content()
    pairs = pairs.prefetch_related(Prefetch("flags", said))
    page = Paginator(pairs, PER_PAGE).get_page(request.GET.get("page"))
    for pair in page:
        pair.sides = [("a", pair.output_a), ("b", pair.output_b)]
    sets = overview.flagged_sets(found, decided=decided).select_related("prompt")
    context = {
        "project": found,
        "page": page,
        "sets": sets.prefetch_related(Prefetch("flags", said), "outputs__model")[:SETS_SHOWN],
        "n_sets": sets.count(),
        "ranking": found.scheme["task"] == "ranking",
        "decided": decided,
        "may_act": role_in(user, found) == Role.ADMIN,
    }
    return render(request, "annotation/flags.html", context)


@require_POST
def flag_resolve(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Keep the pair or take it out; the pair's other open flags are decided with this one."""
    by = user_of(request)
    rows = Flag.objects.select_related("project")
    flag = get_visible(rows, by, ADMINS, pk=pk, project__slug=project)
    remove = request.POST.get("verdict") == "remove"
    flags.resolve(flag=flag, by=by, remove=remove)
    overview.forget(flag.project)
    if flag.pair_id:
        out = _("Pair %(n)s is taken out: nobody is given it; its verdicts stay.")
        said = out if remove else _("Pair %(n)s stays.")
    else:
        out = _("Set %(n)s is taken out: nobody is given it; its rankings stay.")
        said = out if remove else _("Set %(n)s stays.")
    messages.success(request, said % {"n": flag.pair_id or flag.output_set_id})
    state = "?state=decided" if request.POST.get("from") == "decided" else ""
    return redirect(nav_url("annotation:flag-list", project) + state)
