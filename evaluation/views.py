from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotation.models import Prompt
from evaluation.forms import EvaluationForm
from evaluation.models import Evaluation
from evaluation.services import start_evaluation
from evaluation.standings import SOURCES, standings, win_rates
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible


def evaluation_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    rows = (
        Evaluation.objects.filter(project=found)
        .with_progress()
        .select_related("baseline", "judge", "generation", "judging")
    )
    return render(request, "evaluation/evaluations.html", {"project": found, "evaluations": rows})


def evaluation_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = EvaluationForm(
        request.POST or None,
        project=found,
        initial={"candidates": request.GET.getlist("model"), **request.GET.dict()},
    )
    if request.method == "POST" and form.is_valid():
        try:
            evaluation = start_evaluation(project=found, by=user_of(request), **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(evaluation)
    held_out = Prompt.objects.filter(project=found, held_out=True).count()
    context = {"project": found, "form": form, "held_out": held_out}
    return render(request, "evaluation/evaluation_new.html", context)


def evaluation_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = Evaluation.objects.with_progress().select_related(
        "project", "baseline", "judge", "generation", "judging"
    )
    evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    comparisons = (
        evaluation.comparisons.with_sides()
        .prefetch_related("pair__judgments__annotator")
        .order_by("pk")
    )
    context = {
        "project": evaluation.project,
        "evaluation": evaluation,
        "win_rates": win_rates(evaluation),
        "page": Paginator(comparisons, 25).get_page(request.GET.get("page")),
        "working": evaluation.is_working,
    }
    part = "#standing" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"evaluation/evaluation.html{part}", context)


def leaderboard(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    source = request.GET.get("by", "people")
    category = request.GET.get("category", "")
    categories = (
        Prompt.objects.filter(project=found, pairs__isnull=False)
        .exclude(category="")
        .order_by("category")
        .values_list("category", flat=True)
        .distinct()
    )
    context = {
        "project": found,
        "source": source if source in SOURCES else "people",
        "sources": SOURCES,
        "category": category,
        "categories": categories,
        "standings": standings(found, source=source, category=category),
    }
    return render(request, "evaluation/leaderboard.html", context)


def evaluations_for_model(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the model's page."""
    found = get_project(user_of(request), project)
    rows = Evaluation.objects.filter(project=found, candidates=pk).distinct()
    context = {"project": found, "evaluations": rows, "model_pk": pk}
    return render(request, "evaluation/evaluations.html#brief", context)
