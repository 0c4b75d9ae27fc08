"""Asking people where judges are unsure."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import ngettext

from evaluation.forms_routing import RoutingForm
from evaluation.models import Routing
from evaluation.services_routing import preview, route
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project


def routing_new(request: HttpRequest, project: str) -> HttpResponse:
    """The form, what it would come to, and the draws so far."""
    user = user_of(request)
    found = get_project(user, project)
    form = RoutingForm(request.POST or None, project=found, initial=request.GET.dict())
    seen = None
    if request.method == "POST" and form.is_valid():
        said = form.as_request()
        try:
            if "preview" in request.POST:
                seen = preview(project=found, **said)
            else:
                routing = route(project=found, by=user, **said)
                asked = routing.pairs.filter(drawn=True, probability__lt=1.0).count()
                words = ngettext(
                    "%(n)s pair came into the queue.", "%(n)s pairs came into the queue.", asked
                )
                messages.success(request, words % {"n": asked})
                return redirect(routing.evaluation or request.get_full_path())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    drawn = Count("pairs", filter=Q(pairs__drawn=True))
    routings = Routing.objects.filter(project=found).prefetch_related("judges")
    context = {
        "project": found,
        "form": form,
        "preview": seen,
        "routings": routings.select_related("evaluation").annotate(n=Count("pairs"), drawn=drawn),
    }
    return render(request, "evaluation/routing_new.html", context)
