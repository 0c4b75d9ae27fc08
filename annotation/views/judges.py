"""AI judges: who they are, how far they agree with people, and asking them."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotation.agreement import among_people, judge_reports
from annotation.forms.judges import JudgeForm, JudgeRunForm, ScorerForm
from annotation.models import Annotator
from annotation.services.judging import (
    WHICH,
    create_judge,
    pairs_for,
    pairs_left,
    start_judging,
)
from annotation.services.scoring import create_scorer
from steelyard.accounts.people import user_of
from steelyard.inference.scorers.base import KINDS
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.models import Run


def judge_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    context = {
        "project": found,
        "reports": judge_reports(found),
        "among_people": among_people(found),
        "runs": Run.objects.filter(project=found, kind__in=["judge", "score"]).order_by(
            "-created_at"
        )[:10],
        "reads_text": found.modality == Modality.TEXT,
    }
    return render(request, "annotation/judges.html", context)


def judge_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = JudgeForm(request.POST or None, project=found, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        try:
            judge = create_judge(project=found, **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect("annotation:judge-run", found.slug, judge.pk)
    return render(request, "annotation/judge_new.html", {"project": found, "form": form})


def judge_new_scorer(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = ScorerForm(request.POST or None, project=found)
    if request.method == "POST" and form.is_valid():
        try:
            judge = create_scorer(project=found, by=user_of(request), **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect("annotation:judge-run", found.slug, judge.pk)
    context = {
        "project": found,
        "form": form,
        "kinds": KINDS.values(),
        "commands": list(settings.SCORERS),
        "looks": found.modality != Modality.TEXT,
    }
    return render(request, "annotation/judge_new_scorer.html", context)


def judge_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE).select_related("project", "model")
    judge = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    form = JudgeRunForm(request.POST or None, project=judge.project)
    if request.method == "POST" and form.is_valid():
        try:
            pairs = pairs_for(judge=judge, **form.as_request())
            run = start_judging(judge=judge, pairs=pairs, by=user_of(request))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(run)
    counts = {which: pairs_left(judge, which).count() for which in WHICH}
    context = {"project": judge.project, "judge": judge, "form": form, "counts": counts}
    return render(request, "annotation/judge_run.html", context)
