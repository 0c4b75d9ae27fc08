"""The ranking page: as annotation.views.labelling, with sets of outputs in place of pairs and the
same headers for its script."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.forms.ranking import RankForm
from annotation.models import Annotator, Output, OutputSet, Ranking, RankingLease
from annotation.services.ranking import amend_ranking, record_ranking
from annotation.services.ranking_queue import next_set, progress_in_sets, renew_sets
from annotation.services.training_of_sets import answer_set
from annotation.views import rank_cards
from annotation.views.label_page import (
    DRAFT_LIMIT,
    MINE_PER_PAGE,
    annotator_in,
    by_script,
    flag_from_page,
    nothing_more,
    own,
    page_context,
)
from annotation.views.labelling import STATUS
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError

ADDRESSES = ["rank", "rank-next", "rank-submit", "rank-keep", "rank-flag", "label-keys"]


@never_cache
@require_GET
def rank(request: HttpRequest, project: str) -> HttpResponse:
    """The page; ``?amend=UUID`` shows one's own ranking again."""
    annotator = annotator_in(request, project)
    if annotator.project.scheme["task"] != "ranking":
        return redirect("annotation:label", project)
    if asked := request.GET.get("amend"):
        ranking = _own(annotator, asked)
        if ranking is None:
            raise Http404("No such ranking of yours.")
        return _answer(request, annotator, rank_cards.amend_card(ranking))
    lease = next_set(annotator=annotator)
    card = rank_cards.set_card(lease) if lease else _without_set(request, annotator)
    return _answer(request, annotator, card)


@never_cache
@require_GET
def rank_next(request: HttpRequest, project: str) -> HttpResponse:
    """One more card, for the page to keep ahead."""
    annotator = annotator_in(request, project)
    card = _next_card(request, annotator, _numbers(request.GET.get("holding", "")))
    return _answer(request, annotator, card) if card else nothing_more()


@never_cache
def rank_submit(request: HttpRequest, project: str) -> HttpResponse:
    """Records a ranking and answers the next card; a refused one comes back with its errors."""
    if request.method != "POST":
        return redirect("annotation:rank", project)
    annotator = annotator_in(request, project)
    output_set = _set(annotator, request.POST.get("pair", ""))
    outputs = list(output_set.outputs.values_list("pk", flat=True)) if output_set else []
    form = RankForm(
        request.POST, project=annotator.project, outputs=outputs, texts=lambda: _texts(outputs)
    )
    if request.POST.get("training"):
        return _submit_training(request, annotator, output_set, form)
    became, problem = _record(annotator, output_set, form)
    if not by_script(request) and became != "refused":
        level = messages.SUCCESS if became == "saved" else messages.WARNING
        messages.add_message(request, level, problem or _("Saved."))
        return redirect("annotation:rank", project)
    card = _refused(annotator, form) if became == "refused" else None
    holding = _numbers(request.POST.get("holding", ""))
    card = card or _next_card(request, annotator, holding)
    progress = progress_in_sets(annotator)
    response = _answer(request, annotator, card, progress) if card else nothing_more()
    response.status_code = STATUS[became]
    response["Steelyard-Label"] = became
    response["Steelyard-Problem"] = quote(problem)
    response["Steelyard-Progress"] = f"{progress['done']}/{progress['total']}"
    return response


def _submit_training(
    request: HttpRequest, annotator: Annotator, output_set: OutputSet | None, form: RankForm
) -> HttpResponse:
    """The answer to an order is the known one, on the same set."""
    card = None
    if form.is_valid() and output_set is not None:
        try:
            feedback = answer_set(
                annotator=annotator,
                output_set=output_set,
                tiers=form.tiers,
                attempt=form.cleaned_data["training"],
            )
            card = rank_cards.feedback_card(annotator, output_set, feedback)
        except UserError as error:
            form.add_error(None, error.message)
    refused = card is None
    card = card or rank_cards.training_card(annotator, form) or _without_set(request, annotator)
    response = _answer(request, annotator, card)
    response.status_code = 422 if refused else 200
    response["Steelyard-Label"] = "refused" if refused else "saved"
    return response


@require_POST
def rank_keep(request: HttpRequest, project: str) -> JsonResponse:
    """Renews the leases of the sets that the page has, and keeps a draft of one of them."""
    annotator = annotator_in(request, project)
    text = request.POST.get("draft", "")
    try:
        draft = json.loads(text) if len(text.encode()) <= DRAFT_LIMIT and text else None
    except (ValueError, RecursionError):
        return JsonResponse({"error": _("draft is an object in JSON.")}, status=400)
    of = _numbers(request.POST.get("draft_of", ""))
    kept = draft if isinstance(draft, dict) and of else None
    held = renew_sets(
        annotator=annotator,
        sets=_numbers(request.POST.get("pairs", "")),
        draft=kept,
        draft_of=of[0] if kept is not None else None,
    )
    return JsonResponse({"held": held})


@require_POST
def rank_flag(request: HttpRequest, project: str) -> JsonResponse:
    """Tells the owner that something is wrong with a set."""
    return flag_from_page(request, project, OutputSet)


@never_cache
@require_GET
def rank_mine(request: HttpRequest, project: str) -> HttpResponse:
    """The person's own rankings, the newest first, each with a way to change it."""
    annotator = annotator_in(request, project)
    rows = Ranking.objects.current().filter(annotator=annotator)
    rows = rows.select_related("output_set__prompt")
    page = Paginator(rows, MINE_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": annotator.project,
        "page": page,
        "rankings": [(ranking, _in_letters(ranking)) for ranking in page],
    }
    return render(request, "annotation/rank/mine.html", context)


def _in_letters(ranking: Ranking) -> str:
    """The order in letters of the person's screen: B, A = C, D."""
    letters = {pk: chr(ord("A") + place) for place, pk in enumerate(ranking.shown)}
    return ", ".join(" = ".join(sorted(letters[pk] for pk in tier)) for tier in ranking.tiers)


def _answer(
    request: HttpRequest,
    annotator: Annotator,
    card: dict[str, Any],
    progress: dict[str, int | None] | None = None,
) -> HttpResponse:
    """The card alone to the page's script, the page with it to others."""
    progress = progress or progress_in_sets(annotator)
    context = {**card, "project": annotator.project, "progress": progress}
    template = "annotation/rank/_card.html"
    if not by_script(request):
        template = "annotation/rank.html"
        context |= page_context(user_of(request), annotator, ADDRESSES)
    response = render(request, template, context)
    response["Steelyard-Card"] = card["kind"]
    return response


def _next_card(
    request: HttpRequest, annotator: Annotator, holding: list[int]
) -> dict[str, Any] | None:
    """The next card; None where the page has others and there is none beyond them."""
    if lease := next_set(annotator=annotator, holding=holding):
        return rank_cards.set_card(lease)
    return None if holding else _without_set(request, annotator)


def _without_set(request: HttpRequest, annotator: Annotator) -> dict[str, Any]:
    card = rank_cards.none_card(annotator, user_of(request))
    return (rank_cards.training_card(annotator) or card) if card["why"] == "training" else card


def _refused(annotator: Annotator, form: RankForm) -> dict[str, Any] | None:
    """The card of a form with errors; None where its set is the annotator's no more."""
    if superseded := form["supersedes"].value():
        ranking = _own(annotator, superseded)
        return rank_cards.amend_card(ranking, form) if ranking else None
    leases = RankingLease.objects.filter(annotator=annotator)
    lease = leases.select_related("output_set__prompt").filter(output_set=form.cleaned_data["pair"])
    if (found := lease.first()) is None:
        return None
    found.project = annotator.project
    return rank_cards.set_card(found, form)


def _record(annotator: Annotator, output_set: OutputSet | None, form: RankForm) -> tuple[str, str]:
    """What became of the ranking, and what to tell the annotator."""
    if not form.is_valid():
        gone = any(form.has_error(name) for name in ("pair", "uuid", "supersedes"))
        if gone or output_set is None:
            return "passed", _("That was no ranking of this page.")
        return "refused", ""
    if output_set is None:
        return "passed", _("That set is not in the project any more.")
    try:
        if superseded := form.cleaned_data["supersedes"]:
            ranking = _own(annotator, str(superseded), any_time=True)
            if ranking is None:
                return "passed", _("There is no such ranking of yours.")
            amend_ranking(annotator=annotator, ranking=ranking, order=form.as_order())
        else:
            record_ranking(annotator=annotator, output_set=output_set, order=form.as_order())
    except UserError as error:
        if error.status == 409:
            return "passed", error.message
        form.add_error(error.field if error.field in form.fields else None, error.message)
        return "refused", ""
    return "saved", ""


def _set(annotator: Annotator, pk: str) -> OutputSet | None:
    rows = OutputSet.objects.filter(project=annotator.project).select_related("prompt")
    found = _numbers(pk)
    return rows.filter(pk=found[0]).first() if found else None


def _texts(outputs: list[int]) -> dict[str, str]:
    rows = Output.objects.filter(pk__in=outputs).values_list("pk", "text")
    return {str(pk): text for pk, text in rows}


def _own(annotator: Annotator, asked: str, any_time: bool = False) -> Ranking | None:
    rows = Ranking.objects.select_related("output_set__prompt")
    found: Ranking | None = own(rows, annotator, asked, any_time=any_time)
    return found


def _numbers(text: str) -> list[int]:
    """Numbers of sets with commas between; whatever else stands there is nobody's set."""
    parts = [part for part in text.split(",")[:20] if part.isascii() and part.isdigit()]
    return [int(part) for part in parts if len(part) < 19]
