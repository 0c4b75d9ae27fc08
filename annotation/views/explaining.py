"""Having a judge say why people's verdicts are right."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotation.forms.explaining import ExplainForm
from annotation.models import Annotator, MachineRationale
from annotation.services.explaining import estimate_explaining, start_explaining, waiting
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_visible


def judge_explain(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    rows = rows.select_related("project", "model__project")
    judge = get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
    form = ExplainForm(request.POST or None)
    found = None
    if request.method == "POST" and form.is_valid():
        said = form.as_request()
        try:
            if "estimate" in request.POST:
                verdicts = waiting(judge=judge, **said).verdicts
                found = estimate_explaining(judge=judge, verdicts=verdicts, style=said["style"])
            else:
                return redirect(start_explaining(judge=judge, by=user_of(request), **said))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    context = {
        "project": judge.project,
        "judge": judge,
        "form": form,
        "estimate": found,
        "currency": settings.CURRENCY,
        "n_written": MachineRationale.objects.filter(judge=judge).count(),
    }
    return render(request, "annotation/judge_explain.html", context)
