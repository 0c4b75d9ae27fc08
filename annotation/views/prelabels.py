"""Whether people see what a judge has said before they say it themselves."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation.forms.prelabels import PrelabelForm
from annotation.services.prelabels import set_prelabelling, setting_of
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_project


def prelabels(request: HttpRequest, project: str) -> HttpResponse:
    by = user_of(request)
    found = get_project(by, project, ADMINS)
    setting = setting_of(found)
    initial = {"judge": request.GET["judge"]} if "judge" in request.GET else {}
    form = PrelabelForm(request.POST or None, project=found, setting=setting, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            setting = set_prelabelling(project=found, by=by, **form.cleaned_data)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            said = (
                _("People see the verdicts of %(judge)s now.") % {"judge": setting.judge}
                if (setting)
                else _("People see no verdict of a machine now.")
            )
            messages.success(request, said)
            return redirect("annotation:prelabels", found.slug)
    context = {"project": found, "form": form, "setting": setting}
    return render(request, "annotation/prelabels.html", context)
