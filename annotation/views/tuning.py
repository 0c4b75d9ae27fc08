"""Tuning a judge by people's reasons: what it would be tuned on, and what a run has come to."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotation.forms.tuning import TuneForm
from annotation.models import Annotator
from annotation.services.tuned import tuned_by
from annotation.services.tuning import problem_of, split, start_tuning
from annotation.wording import changes
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run


def judge_tune(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    rows = rows.select_related("project", "model__project", "parent")
    judge = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    found = split(judge)
    form = TuneForm(request.POST or None, project=judge.project, found=found)
    if request.method == "POST" and form.is_valid():
        try:
            run = start_tuning(judge=judge, by=user_of(request), **form.cleaned_data)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(run)
    context = {
        "project": judge.project,
        "judge": judge,
        "form": form,
        "found": found,
        "problem": problem_of(judge, found),
        "calls": found.calls(judge, found.budget),
        "runs": Run.objects.filter(
            project=judge.project, kind="tune_judge", spec__judge=judge.pk
        ).order_by("-created_at")[:10],
    }
    return render(request, "annotation/judge_tune.html", context)


def tuning_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the run's page: the texts, how each differs, and what came of the best."""
    run = get_visible(Run, user_of(request), pk=pk, project__slug=project, kind="tune_judge")
    tuned = tuned_by(run)
    context = {
        "project": run.project,
        "run": run,
        "tuned": tuned,
        "texts": [(text, changes(text.before, text.criteria)) for text in tuned.texts],
    }
    return render(request, "annotation/_tuning_of_run.html", context)
