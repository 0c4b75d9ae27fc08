"""What is asked of an evaluation that is there: a judge for the rest, the outputs that are
missing."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from annotation.models import Annotator
from evaluation.models import Evaluation
from evaluation.services import ask_judge, resume_evaluation
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_visible


@require_POST
def evaluation_ask(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Ask a judge, of the evaluation's or another, about what it has not judged."""
    user = user_of(request)
    evaluation = get_visible(Evaluation, user, pk=pk, project__slug=project)
    chosen = request.POST.get("judge", "")
    judges = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    pk_of_judge = int(chosen) if chosen.isdecimal() and len(chosen) < 19 else 0
    judge = get_visible(judges, user, pk=pk_of_judge, project=evaluation.project_id)
    try:
        ask_judge(evaluation=evaluation, judge=judge, by=user)
    except UserError as error:
        messages.error(request, error.message)
    return redirect(evaluation)


@require_POST
def evaluation_resume(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    evaluation = get_visible(Evaluation, user_of(request), pk=pk, project__slug=project)
    try:
        resume_evaluation(evaluation=evaluation, by=user_of(request))
    except UserError as error:
        messages.error(request, error.message)
    return redirect(evaluation)
