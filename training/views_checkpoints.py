"""Checkpoints of a training run: a fragment of the run's page, keeping some, letting one go."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_visible, role_in
from training.keeping import checkpoints_of, evaluation_link, keep_checkpoints, let_go
from training.models import TrainingJob


def checkpoints(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What there is, what is kept, and the way to an evaluation of it all."""
    job = _job(request, project, pk)
    found = checkpoints_of(job)
    context = {
        "project": job.project,
        "job": job,
        "checkpoints": found,
        "can_keep": any(one.model is None for one in found),
        "evaluation_link": evaluation_link(job),
        "is_admin": role_in(user_of(request), job.project) in ADMINS,
    }
    return render(request, "training/checkpoints.html", context)


@require_POST
def keep(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    job = _job(request, project, pk)
    steps = [
        int(word) for word in request.POST.getlist("step") if word.isdecimal() and len(word) < 10
    ]
    try:
        kept = keep_checkpoints(job=job, steps=steps, by=user_of(request))
    except UserError as error:
        messages.error(request, error.message)
    else:
        names = ", ".join(model.name for model in kept)
        words = ngettext("Kept as a model: %(names)s.", "Kept as models: %(names)s.", len(kept))
        messages.success(request, words % {"names": names})
    return redirect(job.run)


@require_POST
def let_one_go(request: HttpRequest, project: str, pk: int, step: int) -> HttpResponse:
    job = _job(request, project, pk)
    try:
        let_go(job=job, step=step, by=user_of(request))
    except UserError as error:
        messages.error(request, error.message)
    else:
        told = _("The model of step %(step)s is gone, and its files are deleted.")
        messages.success(request, told % {"step": step})
    return redirect(job.run)


def _job(request: HttpRequest, project: str, pk: int) -> TrainingJob:
    rows = TrainingJob.objects.with_parts()
    return get_visible(rows, user_of(request), run=pk, project__slug=project)
