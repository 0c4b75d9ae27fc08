"""Pages that look closer: an evaluation's comparisons one by one, who agrees with whom, win rates
as training goes, and what choosing the best of n does."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from annotation.models import Judgment
from evaluation.agreeing import agreeing
from evaluation.choosing import ChoosingFilter, choosing
from evaluation.explorer import ExplorerFilter
from evaluation.models import Comparison, Evaluation
from evaluation.training_line import lines_of_run
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.models import Run

PER_PAGE = 10


def comparison_list(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The examples of an evaluation, side by side, with filters."""
    rows = Evaluation.objects.select_related("project", "baseline")
    evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    chosen = ExplorerFilter(request.GET, evaluation=evaluation)
    found = chosen.rows().with_content().with_votes(evaluation.project, unreadable=True)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": evaluation.project,
        "evaluation": evaluation,
        "filter": chosen,
        "page": page,
        "examples": [example_of(one) for one in page],
        "total": evaluation.comparisons.count(),
    }
    return render(request, "evaluation/comparisons.html", context)


def comparison_detail(request: HttpRequest, project: str, pk: int, number: int) -> HttpResponse:
    """One comparison, by an address of its own; the filter that it was found by is kept."""
    rows = Evaluation.objects.select_related("project", "baseline")
    evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    content = evaluation.comparisons.with_content().with_votes(evaluation.project, unreadable=True)
    comparison = get_object_or_404(content, pk=number)
    chosen = ExplorerFilter(request.GET, evaluation=evaluation)
    around = chosen.rows().order_by("pk")
    context = {
        "project": evaluation.project,
        "evaluation": evaluation,
        "example": example_of(comparison),
        "filter": chosen,
        "before": around.filter(pk__lt=number).order_by("-pk").first(),
        "after": around.filter(pk__gt=number).first(),
        "query": request.GET.urlencode(),
    }
    return render(request, "evaluation/comparison.html", context)


def example_of(comparison: Comparison) -> dict[str, Any]:
    """A comparison as its page shows it: the new model left, whatever side it has in the pair."""
    pair = comparison.pair
    for output in (pair.output_a, pair.output_b):
        if output.asset:
            output.asset.project = comparison.evaluation.project  # its URL names the project
    outputs = [pair.output_a, pair.output_b]
    if not comparison.candidate_is_a:
        outputs.reverse()
    votes = [said_of(comparison, vote) for vote in pair.votes]  # type: ignore[attr-defined]
    return {"comparison": comparison, "pair": pair, "outputs": outputs, "votes": votes}


def said_of(comparison: Comparison, vote: Judgment) -> dict[str, Any]:
    """A vote from the new model's side."""
    sign = -1 if comparison.candidate_is_a else 1
    orders = vote.details.get("orders") or [] if isinstance(vote.details, dict) else []
    told = [order.get("outcome") for order in orders if isinstance(order, dict)]
    decided = vote.outcome in ("a", "b")
    return {
        "vote": vote,
        "better": (vote.outcome == comparison.candidate_side) if decided else None,
        "strength": sign * vote.strength,
        "flipped": len(told) > 1 and None not in told[:2] and told[0] != told[1],
        "aspects": {name: sign * value for name, value in vote.aspects.items()},
    }


def agreement(request: HttpRequest, project: str) -> HttpResponse:
    """Who agrees with whom, and how far people agree at all."""
    found = get_project(user_of(request), project)
    context = {"project": found, "agreeing": agreeing(found)}
    return render(request, "evaluation/agreement.html", context)


def best_of_n(request: HttpRequest, project: str) -> HttpResponse:
    """What choosing the best of n answers by one scorer does to what another thinks of them."""
    found = get_project(user_of(request), project)
    chosen = ChoosingFilter(request.GET, project=found)
    model, proxy, gold = chosen.chosen
    curve = choosing(model, proxy, gold) if model and proxy and gold else None
    context = {"project": found, "filter": chosen, "choosing": curve, "model": model}
    return render(request, "evaluation/best_of_n.html", context)


def win_rates_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for a training run's page: win rates as training went."""
    run = get_visible(
        Run.objects.select_related("project"), user_of(request), pk=pk, project__slug=project
    )
    context = {"project": run.project, "lines": lines_of_run(run.project, run)}
    return render(request, "evaluation/_lines.html", context)
