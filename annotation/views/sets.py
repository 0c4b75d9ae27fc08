"""Sets to rank as their owner sees them, and the known orders that make some of them lessons."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation.forms.ranking import KnownOrderForm
from annotation.models import OutputSet, Ranking
from annotation.review import shown_boxes, shown_marks
from annotation.services.known_orders import forget_known_order, set_known_order
from annotation.tiers import ranks_of
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible

PER_PAGE = 50


@require_safe
def set_list(request: HttpRequest, project: str) -> HttpResponse:
    """All sets, or with ``?training`` those of the round before the real work."""
    found = get_project(user_of(request), project)
    rows = OutputSet.objects.filter(project=found)
    training = "training" in request.GET
    shown = rows.filter(is_training=True) if training else rows
    shown = shown.order_by("-priority", "pk").select_related("prompt").prefetch_related("outputs")
    context = {
        "project": found,
        "page": Paginator(shown, PER_PAGE).get_page(request.GET.get("page")),
        "training": training,
        "n_training": rows.training().count(),
    }
    return render(request, "annotation/sets.html", context)


@require_safe
def set_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    return _detail(request, _set(request, project, pk))


@require_POST
def set_known(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Keeps the set for the training round with the order that is said; a wrong one comes back."""
    found = _set(request, project, pk)
    outputs = sorted(found.outputs.values_list("pk", flat=True))
    form = KnownOrderForm(request.POST, outputs=outputs)
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            set_known_order(output_set=found, tiers=form.tiers, reason=reason, by=user_of(request))
        except UserError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The set is for the training round, with this order."))
            return redirect("annotation:set-detail", project, pk)
    return _detail(request, found, form)


@require_POST
def set_unknown(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    forget_known_order(output_set=_set(request, project, pk), by=user_of(request))
    messages.success(request, _("The set is no longer in the training round; it is to be ranked."))
    return redirect("annotation:set-detail", project, pk)


def _set(request: HttpRequest, project: str, pk: int) -> OutputSet:
    rows = OutputSet.objects.select_related("project", "prompt", "group")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _rankings(output_set: OutputSet) -> list[Ranking]:
    """Those that stand, the newest first; so few people rank a set that they need no pages."""
    return list(output_set.rankings.current().select_related("annotator"))


def _said(ranking: Ranking, letters: dict[int, str]) -> dict[str, Any]:
    """An order in the page's letters, the best first, and that of the annotator's own screen, of
    which their reason speaks; nobody knows it where a file brought the order."""
    on_a_screen = ranking.annotator.user_id is not None
    # what shows a vote's evidence asks for its side; this row is only looked at
    ranking.evidence = [{**item, "side": letters[item["output"]]} for item in ranking.evidence]
    return {
        "ranking": ranking,
        "tiers": [sorted(letters[pk] for pk in tier) for tier in ranking.tiers],
        "screen": list(zip(ascii_uppercase, (letters[pk] for pk in ranking.shown), strict=False))
        if on_a_screen
        else [],
    }


def _detail(
    request: HttpRequest, output_set: OutputSet, form: KnownOrderForm | None = None
) -> HttpResponse:
    outputs = list(output_set.outputs.select_related("model", "asset").order_by("pk"))
    known = output_set.known_shown or [output.pk for output in outputs]
    by_number = {output.pk: output for output in outputs}
    ranks = ranks_of(output_set.known_tiers)
    said: Any = form.data if form else {f"rank_{pk}": str(rank) for pk, rank in ranks.items()}
    letters = dict(zip(known, ascii_uppercase, strict=False))
    rankings = [_said(ranking, letters) for ranking in _rankings(output_set)]
    evidence = [one["ranking"].evidence for one in rankings]
    texts = {letter: by_number[pk].text for pk, letter in letters.items()}
    context = {
        "project": output_set.project,
        "set": output_set,
        "form": form,
        "reason": form.data.get("reason", "") if form else output_set.known_reason,
        "outputs": [
            {"letter": letters[pk], "output": by_number[pk], "rank": said.get(f"rank_{pk}", "")}
            for pk in known
        ],
        "ranks": [str(rank) for rank in range(1, len(outputs) + 1)],
        "rankings": rankings,
        "is_ranked": bool(rankings),
        "marks": shown_marks(evidence, texts),
        "boxes": shown_boxes(evidence, texts),
    }
    for output in outputs:
        if output.asset:
            output.asset.project = output_set.project  # its URL names the project
    return render(request, "annotation/set.html", context, status=422 if form else 200)
