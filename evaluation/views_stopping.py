"""Voting that is stopped, or goes on, by hand."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from evaluation.models import Evaluation
from evaluation.services_stopping import go_on, stop_evaluation
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_visible


@require_POST
def evaluation_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    user = user_of(request)
    evaluation = get_visible(Evaluation, user, ADMINS, pk=pk, project__slug=project)
    try:
        stop_evaluation(evaluation=evaluation, by=user)
    except UserError as error:
        messages.error(request, error.message)
    return redirect(evaluation)


@require_POST
def evaluation_go_on(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    user = user_of(request)
    evaluation = get_visible(Evaluation, user, ADMINS, pk=pk, project__slug=project)
    said = request.POST.get("budget", "").strip()
    try:
        if said and not (said.isdecimal() and len(said) < 10):
            raise UserError(_("The budget is a number of votes, 1 or more."), field="budget")
        go_on(evaluation=evaluation, by=user, budget=int(said) if said else None)
    except UserError as error:
        messages.error(request, error.message)
    return redirect(evaluation)
