"""Juries: judges made of judges."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation.forms.juries import JuryForm
from annotation.services.juries import create_jury
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project


def jury_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = JuryForm(request.POST or None, project=found)
    if request.method == "POST" and form.is_valid():
        try:
            jury = create_jury(project=found, **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.success(request, _("%(jury)s sits.") % {"jury": jury})
            return redirect("evaluation:judge-card", found.slug, jury.pk)
    return render(request, "annotation/jury_new.html", {"project": found, "form": form})
