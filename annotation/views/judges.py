"""AI judges: who they are, how far they agree with people, and asking them."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.agreement import among_people, judge_reports
from annotation.forms.judges import JudgeForm, JudgeRunForm, LimitsForm, ScorerForm
from annotation.forms.rewards import RewardForm
from annotation.models import Annotator
from annotation.services.estimating import estimate
from annotation.services.judging import (
    WHICH,
    create_judge,
    new_judge_version,
    pairs_for,
    pairs_left,
    set_limits,
    start_check,
    start_judging,
)
from annotation.services.rewards import create_reward
from annotation.services.scoring import OF_PICTURES, create_scorer
from steelyard.accounts.people import user_of
from steelyard.inference.scorers.base import KINDS
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality
from steelyard.projects.policy import ADMINS, get_project, get_visible, role_in
from steelyard.runs.models import Run


def judge_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    context = {
        "project": found,
        "reports": judge_reports(found),
        "among_people": among_people(found),
        "runs": Run.objects.filter(
            project=found, kind__in=["judge", "score", "check_judge", "tune_judge", "explain"]
        ).order_by("-created_at")[:10],
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
    reads = found.modality == Modality.TEXT
    form = (RewardForm if reads else ScorerForm)(request.POST or None, project=found)
    if request.method == "POST" and form.is_valid():
        said = form.as_request()
        try:
            if reads:
                judge = create_reward(project=found, **said)
            else:
                judge = create_scorer(project=found, by=user_of(request), **said)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect("annotation:judge-run", found.slug, judge.pk)
    context = {
        "project": found,
        "form": form,
        "kinds": [KINDS[kind] for kind in OF_PICTURES],
        "commands": list(settings.SCORERS),
        "looks": not reads,
    }
    return render(request, "annotation/judge_new_scorer.html", context)


def judge_version_new(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    judge = _judge(request, project, pk)
    form = JudgeForm(request.POST or None, project=judge.project, judge=judge)
    if request.method == "POST" and form.is_valid():
        try:
            made = new_judge_version(judge=judge, **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect("annotation:judge-run", judge.project.slug, made.pk)
    context = {"project": judge.project, "form": form, "judge": judge}
    return render(request, "annotation/judge_new.html", context)


def judge_limits(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    judge = _judge(request, project, pk)
    form = LimitsForm(request.POST or None, initial=judge.limits)
    if request.method == "POST" and form.is_valid():
        try:
            set_limits(judge=judge, limits=form.limits())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.success(request, _("The limits of %(judge)s are kept.") % {"judge": judge})
            return redirect("annotation:judge-run", judge.project.slug, judge.pk)
    context = {"project": judge.project, "form": form, "judge": judge}
    return render(request, "annotation/judge_limits.html", context)


@require_POST
def judge_check(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    return redirect(start_check(judge=_judge(request, project, pk), by=user_of(request)))


def judge_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    judge = _judge(request, project, pk)
    form = JudgeRunForm(request.POST or None, project=judge.project)
    found = None
    if request.method == "POST" and form.is_valid():
        try:
            pairs = pairs_for(judge=judge, **form.as_request())
            if "estimate" in request.POST:
                found = estimate(judge=judge, pairs=pairs)
            else:
                return redirect(start_judging(judge=judge, pairs=pairs, by=user_of(request)))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    context = {
        "project": judge.project,
        "judge": judge,
        "form": form,
        "counts": {which: pairs_left(judge, which).count() for which in WHICH},
        "estimate": found,
        "spent": judge.spent,
        "currency": settings.CURRENCY,
        "line": judge.line.select_related("parent"),
        "may_check": role_in(user_of(request), judge.project) in ADMINS,
    }
    return render(request, "annotation/judge_run.html", context)


def _judge(request: HttpRequest, project: str, pk: int) -> Annotator:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    rows = rows.select_related("project", "model__project", "parent")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
