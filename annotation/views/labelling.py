"""The labelling page: one request to hand in a verdict and get the next pair.

The page keeps the card that is looked at and two more; ``holding`` names the pairs that it has
already, so that an answer brings another. Without scripts the form is a plain one.

Headers for the page's script: ``Steelyard-Label``, what became of a verdict (``saved``,
``refused``: mend it and send it again, ``passed``: no longer needed; an answer without it is none
of ours, and the script keeps the verdict); ``Steelyard-Card``, what card is in the answer;
``Steelyard-Progress``, ``done/total``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation import sides
from annotation.forms.verdict import VerdictForm
from annotation.models import Annotator, Assignment, Judgment, Pair
from annotation.services import training_round
from annotation.services.queue import next_pair, progress_of
from annotation.services.verdicts import amend_shown, record_shown
from annotation.views import cards
from annotation.views.label_page import annotator_in, by_script, nothing_more, own, page_context
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError

RECOUNT_EVERY = 20
"""Verdicts between two counts of what is left; between them the page counts by itself."""

STATUS = {"saved": 200, "refused": 422, "passed": 409}


@never_cache
@require_GET
def label(request: HttpRequest, project: str) -> HttpResponse:
    """The page; ``?amend=UUID`` shows one's own verdict again, ``?amend=last`` the newest."""
    annotator = annotator_in(request, project)
    if annotator.project.scheme["task"] == "ranking":
        return redirect("annotation:rank", project)
    if asked := request.GET.get("amend"):
        judgment = _own(annotator, asked)
        if judgment is None:
            raise Http404("No such verdict of yours.")
        card = cards.amend_card(judgment)
    else:
        lease = next_pair(annotator=annotator)
        card = cards.pair_card(lease) if lease else _without_pair(request, annotator)
    return _answer(request, annotator, {**card, "progress": progress_of(annotator)})


@never_cache
@require_GET
def label_next(request: HttpRequest, project: str) -> HttpResponse:
    """One more card, for the page to keep ahead."""
    annotator = annotator_in(request, project)
    holding = _holding(request.GET.get("holding", ""))
    lease = next_pair(annotator=annotator, holding=holding)
    if lease is None and holding:
        return nothing_more()
    card = cards.pair_card(lease) if lease else _without_pair(request, annotator)
    counted = not holding or "count" in request.GET  # a page that goes on counts by itself
    progress = progress_of(annotator) if counted else {"done": 0, "total": 0, "left": 0}
    return _answer(request, annotator, {**card, "progress": progress})


@never_cache
def label_submit(request: HttpRequest, project: str) -> HttpResponse:
    """Records a verdict and answers the next card; a refused one comes back with its errors."""
    if request.method != "POST":
        return redirect("annotation:label", project)
    annotator = annotator_in(request, project)
    if request.POST.get("training"):
        return _submit_training(request, annotator)
    form = VerdictForm(request.POST, project=annotator.project)
    form.texts = lambda: _texts(annotator, form)
    became, problem = _record(annotator, form)
    if not by_script(request) and became != "refused":
        level = messages.SUCCESS if became == "saved" else messages.WARNING
        messages.add_message(request, level, problem or _("Saved."))
        return redirect("annotation:label", project)
    card = _refused(annotator, form) if became == "refused" else None
    progress = _progress(annotator, request, became)
    if card is None:
        holding = _holding(request.POST.get("holding", ""))
        card = _next_card(request, annotator, holding)
    if card is None:
        response = nothing_more()
    else:
        context = {**card, "problem": problem, "progress": progress}
        response = _answer(request, annotator, context, status=STATUS[became])
    response.status_code = STATUS[became]
    response["Steelyard-Label"] = became
    response["Steelyard-Problem"] = quote(problem)
    response["Steelyard-Progress"] = f"{progress['done']}/{progress['total']}"
    return response


def _submit_training(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """The answer to an answer is the right one, on the same pair."""
    form = VerdictForm(request.POST, project=annotator.project)
    pair = _pair(annotator, form["pair"].value(), content=True)
    card = None
    if form.is_valid() and pair is not None:
        choice = form.choices[form.cleaned_data["verdict"]]
        try:
            swapped = training_round.swapped(annotator, pair)
            outcome, strength = sides.turned(choice.outcome, choice.strength, swapped)
            feedback = training_round.answer(
                annotator=annotator,
                pair=pair,
                outcome=outcome,
                strength=strength,
                attempt=form.cleaned_data["training"],
            )
            card = cards.feedback_card(annotator, pair, feedback)
        except UserError as error:
            form.add_error("verdict", error.message)
    refused = card is None
    card = card or cards.training_card(annotator, form) or _without_pair(request, annotator)
    response = _answer(
        request,
        annotator,
        {**card, "progress": progress_of(annotator)},
        status=422 if refused else 200,
    )
    response["Steelyard-Label"] = "refused" if refused else "saved"
    return response


def _answer(
    request: HttpRequest, annotator: Annotator, card: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The card alone to the page's script, the page with it to others."""
    context = {**card, "project": annotator.project, "annotator": annotator}
    if by_script(request):
        template = "annotation/label/_card.html"
    else:
        template = "annotation/label.html"
        context.update(page_context(user_of(request), annotator))
    response = render(request, template, context, status=status)
    response["Steelyard-Card"] = card["kind"]
    return response


def _next_card(
    request: HttpRequest, annotator: Annotator, holding: list[int]
) -> dict[str, Any] | None:
    """The card after this one; None where the page has others and there is none beyond them."""
    lease = next_pair(annotator=annotator, holding=holding)
    if lease:
        return cards.pair_card(lease)
    return None if holding else _without_pair(request, annotator)


def _without_pair(request: HttpRequest, annotator: Annotator) -> dict[str, Any]:
    card = cards.none_card(annotator, user_of(request))
    return (cards.training_card(annotator) or card) if card["why"] == "training" else card


def _refused(annotator: Annotator, form: VerdictForm) -> dict[str, Any] | None:
    """The card of a form with errors; None where its pair is the annotator's no more."""
    if superseded := form["supersedes"].value():
        judgment = _own(annotator, superseded)
        return cards.amend_card(judgment, form) if judgment else None
    leases = Assignment.objects.filter(annotator=annotator, pair=form.cleaned_data["pair"])
    lease = leases.with_content().first()
    if lease is None:
        return None
    lease.project = annotator.project
    return cards.pair_card(lease, form=form)


def _record(annotator: Annotator, form: VerdictForm) -> tuple[str, str]:
    """What became of the verdict, and what to tell the annotator."""
    if not form.is_valid():
        gone = form.has_error("pair") or form.has_error("uuid") or form.has_error("supersedes")
        return ("passed", _("That was no verdict of this page.")) if gone else ("refused", "")
    try:
        if superseded := form.cleaned_data["supersedes"]:
            judgment = _own(annotator, str(superseded), any_time=True)
            if judgment is None:
                return "passed", _("There is no such verdict of yours.")
            amend_shown(annotator=annotator, judgment=judgment, verdict=form.as_verdict())
        else:
            pair = _pair(annotator, form.cleaned_data["pair"])
            if pair is None:
                return "passed", _("That pair is not in the project any more.")
            record_shown(annotator=annotator, pair=pair, verdict=form.as_verdict())
    except UserError as error:
        if error.status == 409:
            return "passed", _passed(error)
        form.add_error(error.field if error.field in form.fields else "verdict", error.message)
        return "refused", ""
    return "saved", ""


def _passed(error: UserError) -> str:
    judged = _("You have judged that pair already, and that verdict stands.")
    return {
        "uuid_taken": judged,
        "already_judged": judged,
        "not_current": _("That verdict was changed elsewhere meanwhile, and the change stands."),
        "no_lease": _("That pair is no longer kept for you. Here is the next one."),
        "pair_taken": _(
            "That pair wants no more verdicts: others have judged it meanwhile. "
            "Here is the next one."
        ),
        "pair_held": _(
            "You no longer held that pair, and somebody else is at work on it now. "
            "Here is the next one."
        ),
    }.get(error.code, error.message)


def _pair(annotator: Annotator, pk: Any, content: bool = False) -> Pair | None:
    """The project's pair of that number; with its content where something of it is shown."""
    rows = Pair.objects.filter(project=annotator.project)
    rows = rows.with_content() if content else rows
    return rows.filter(pk=pk).first() if _is_number(str(pk)) else None


def _own(annotator: Annotator, asked: str, any_time: bool = False) -> Judgment | None:
    """The annotator's own judgment of a UUID, or the ``last``; None where there is none."""
    rows = Judgment.objects.select_related(
        "annotator", "pair__prompt", "pair__output_a__asset", "pair__output_b__asset", "correction"
    )
    if asked == "last":
        mine = rows.current().filter(annotator=annotator).order_by("-created_at", "-pk")
        asked = str(mine.values_list("uuid", flat=True).first())
    found: Judgment | None = own(rows, annotator, asked, any_time=any_time)
    return found


def _texts(annotator: Annotator, form: VerdictForm) -> dict[str, str]:
    """What was shown as A and B; nothing where the pair was never shown."""
    pair = _pair(annotator, form["pair"].value(), content=True)
    if pair is None:
        return {}
    said = {"pair": pair, "annotator": annotator}
    for rows in (Assignment.objects.filter(**said), Judgment.objects.current().filter(**said)):
        if row := rows.only("swapped").first():
            return cards.texts_by_place(pair, bool(row.swapped))
    return {}


def _holding(text: str) -> list[int]:
    """Numbers of pairs; whatever else stands there is nobody's pair."""
    return [int(part) for part in text.split(",")[:20] if _is_number(part)]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 18


def _progress(annotator: Annotator, request: HttpRequest, became: str) -> dict[str, Any]:
    """The numbers that the page had, one further; counted anew now and then."""
    try:
        done, total = (int(request.POST[name]) for name in ("done", "total"))
    except (KeyError, ValueError):
        return progress_of(annotator)
    skipped = request.POST.get("verdict") == "skip"
    done += became == "saved" and not skipped
    total -= became == "passed" or skipped
    counted = became == "saved" and not request.POST.get("supersedes")
    if not counted or done % RECOUNT_EVERY == 0 or not 0 <= done < total:
        return progress_of(annotator)
    return {"done": done, "total": total, "left": total - done}
