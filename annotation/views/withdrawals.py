"""Votes that are no longer to count: which there are, what they are in, and taking back more."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.forms.withdrawals import WithdrawalForm
from annotation.models import Withdrawal
from annotation.services.withdrawals import lift, reach, withdraw
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible

_FIELDS = {"since": "first_day", "until": "last_day"}


def withdrawal_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    initial = {"annotator": request.GET.get("annotator"), "run": request.GET.get("run")}
    form = WithdrawalForm(request.POST or None, project=found, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = withdraw(project=found, by=user_of(request), **form.asked())
        except UserError as error:
            field = _FIELDS.get(error.field or "", error.field)
            form.add_error(field if field in form.fields else None, error.message)
        else:
            return redirect("annotation:withdrawal-detail", found.slug, made.pk)
    rows = Withdrawal.objects.filter(project=found)
    context = {
        "project": found,
        "form": form,
        "withdrawals": rows.select_related("annotator", "run__project", "created_by"),
    }
    return render(request, "annotation/withdrawals.html", context)


def withdrawal_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    found = _withdrawal(request, project, pk)
    context = {
        "project": found.project,
        "withdrawal": found,
        "reach": reach(found, user_of(request)),
    }
    return render(request, "annotation/withdrawal.html", context)


@require_POST
def withdrawal_lift(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    found = _withdrawal(request, project, pk)
    try:
        lift(withdrawal=found, by=user_of(request))
    except UserError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The votes count again in versions frozen from now on."))
    return redirect("annotation:withdrawal-detail", project, pk)


def _withdrawal(request: HttpRequest, project: str, pk: int) -> Withdrawal:
    rows = Withdrawal.objects.select_related(
        "project", "annotator", "run__project", "created_by", "lifted_by"
    )
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
