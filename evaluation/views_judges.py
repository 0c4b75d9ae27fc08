"""A judge's card: what is known of it, before and after it is put to use."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Annotator
from evaluation.judge_card import OUTCOMES, Card, card_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible
from steelyard.web.plotting import Row

_WORDS = {
    "a": gettext_lazy("a is better"),
    "tie": gettext_lazy("tie"),
    "both_bad": gettext_lazy("both bad"),
    "b": gettext_lazy("b is better"),
}


def judge_card(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The page; with ``brief`` in its address a fragment for pages that put the judge to use."""
    judges = Annotator.objects.filter(kind=Annotator.Kind.JUDGE)
    rows = judges.select_related("project", "model__project", "model__base", "parent")
    judge = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    card = card_of(judge)
    context = {"project": judge.project, "judge": judge, "card": card}
    if "brief" in request.GET:
        return render(request, "evaluation/judge_card.html#brief", context)
    context |= {
        "versions": judge.line.select_related("project"),
        "forest": agreement_rows(card),
        "outcomes": [(name, _WORDS[name]) for name in OUTCOMES],
        "confusion": confusion_rows(card),
    }
    return render(request, "evaluation/judge_card.html", context)


def agreement_rows(card: Card) -> list[Row]:
    """The judge with people, people with each other, and the judge by category."""
    rows = []
    if card.ceiling and card.ceiling.items:
        people, judge = card.ceiling.people, card.ceiling.judge
        rows.append(
            Row(_("People with the other people"), people.value, people.lo, people.hi, colour=1)
        )
        rows.append(Row(_("The judge with the same people"), judge.value, judge.lo, judge.hi))
    if card.agrees:
        found = card.agrees
        rows.append(
            Row(_("With each vote of a person"), found.rate, found.lo, found.hi, card.people)
        )
    for one in card.by_category:
        name = str(one.name) or _("(no category)")
        rate = one.rate
        rows.append(
            Row(
                name,
                rate.rate,
                rate.lo,
                rate.hi,
                rate.votes,
                note=_("stands out") if one.stands_out else "",
                marked=one.stands_out,
                colour=2,
            )
        )
    return rows


def confusion_rows(card: Card) -> list[tuple[Any, list[int], int]]:
    """What people said, and beside it how often the judge said what, and in all."""
    rows = []
    for said in OUTCOMES:
        counts = [card.confusion.get((said, other), 0) for other in OUTCOMES]
        if sum(counts):
            rows.append((_WORDS[said], counts, sum(counts)))
    return rows
