"""What the reasons of a project are about."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from evaluation.reasons import reasons_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project

BY = {"people": _("people"), "judges": _("AI judges")}
OUTCOMES = {
    "": _("all"),
    "winner": _("one is better"),
    "tie": _("tie"),
    "both_bad": _("both bad"),
}


def reason_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    by, outcome = request.GET.get("by", ""), request.GET.get("outcome", "")
    by, outcome = by if by in BY else "people", outcome if outcome in OUTCOMES else ""
    context = {
        "project": found,
        "reasons": reasons_of(found, by, outcome),
        "by": by,
        "outcome": outcome,
        "bys": BY.items(),
        "outcomes": OUTCOMES.items(),
    }
    return render(request, "evaluation/reasons.html", context)
