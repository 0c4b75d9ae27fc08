"""The labelling page: one pair at a time, one request to hand in a verdict and get the next."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache

from annotation import sides
from annotation.forms.verdict import ASPECT_STEPS, VerdictForm, choices_of
from annotation.models import Annotator, Pair
from annotation.services.queue import annotator_for, next_pair, progress_of
from annotation.services.verdicts import record_shown
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import ANY_ROLE, STAFF, get_project, role_in
from steelyard.runs.models import Run

MAKE_PAIRS = ("demo", "generate")
"""Kinds of runs that bring pairs in when they get on."""

RECOUNT_EVERY = 20
"""Verdicts between two counts of what is left; between them the page counts by itself."""


@never_cache
def label(request: HttpRequest, project: str) -> HttpResponse:
    user = user_of(request)
    found = get_project(user, project, ANY_ROLE)
    annotator = annotator_for(user=user, project=found)
    context = _card(annotator, progress_of(annotator))
    context["is_staff"] = SimpleLazyObject(lambda: role_in(user, found) in STAFF)
    part = "#card" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"annotation/label.html{part}", context)


@never_cache
def label_submit(request: HttpRequest, project: str) -> HttpResponse:
    """Records a verdict and answers the next card.

    The header ``Steelyard-Label`` tells the page's script what became of the verdict: ``saved``,
    ``refused`` (mend it and send it again), ``passed`` (no longer needed); an answer without it is
    none of ours, and the script keeps the verdict.
    """
    if request.method != "POST":
        return redirect("annotation:label", project)
    user = user_of(request)
    annotator = annotator_for(user=user, project=get_project(user, project, ANY_ROLE))
    form = VerdictForm(request.POST, project=annotator.project)
    became, problem = _record(annotator, form)
    if not request.htmx and became != "refused":  # type: ignore[attr-defined]
        level = messages.SUCCESS if became == "saved" else messages.WARNING
        messages.add_message(request, level, problem or "Saved.")
        return redirect("annotation:label", project)
    context = _card(annotator, _progress(annotator, request, became), form=form, became=became)
    context["problem"] = problem
    context["is_staff"] = SimpleLazyObject(lambda: role_in(user, annotator.project) in STAFF)
    part = "#card" if request.htmx else ""  # type: ignore[attr-defined]
    status = {"saved": 200, "refused": 422, "passed": 409}[became]
    response = render(request, f"annotation/label.html{part}", context, status=status)
    response["Steelyard-Label"] = became
    if became == "passed":
        # an error that is a card: without this the page would show it as a failure
        response["HX-Retarget"] = "#card"
    return response


def _record(annotator: Annotator, form: VerdictForm) -> tuple[str, str]:
    """What became of the verdict, and what to tell the annotator."""
    if not form.is_valid():
        gone = form.has_error("pair") or form.has_error("uuid")
        return ("passed", "That was no verdict of this page.") if gone else ("refused", "")
    pair = Pair.objects.filter(project=annotator.project, pk=form.cleaned_data["pair"]).first()
    if pair is None:
        return "passed", "That pair is not in the project any more."
    try:
        record_shown(annotator=annotator, pair=pair, verdict=form.as_verdict())
    except UserError as error:
        if error.status == 409:
            return "passed", _PASSED.get(error.code, error.message)
        form.add_error("rationale" if error.field == "rationale" else "verdict", error.message)
        return "refused", ""
    return "saved", ""


_PASSED = {
    "uuid_taken": "You have judged that pair already, and that verdict stands.",
    "already_judged": "You have judged that pair already, and that verdict stands.",
    "no_lease": "That pair is no longer kept for you. Here is the next one.",
    "pair_taken": "Your time for that pair ran out and others have judged it meanwhile. "
    "Here is the next one.",
}


def _progress(annotator: Annotator, request: HttpRequest, became: str) -> dict[str, int]:
    """The numbers that the page had, one further; counted anew now and then."""
    try:
        done, total = (int(request.POST[name]) for name in ("done", "total"))
    except (KeyError, ValueError):
        return progress_of(annotator)
    done += became == "saved" and request.POST.get("verdict") != "skip"
    total -= became == "passed" or request.POST.get("verdict") == "skip"
    if became != "saved" or done % RECOUNT_EVERY == 0 or not 0 <= done < total:
        return progress_of(annotator)
    return {"done": done, "total": total, "left": total - done}


def _card(
    annotator: Annotator,
    progress: dict[str, int],
    *,
    form: VerdictForm | None = None,
    became: str = "",
) -> dict[str, Any]:
    """All that the card shows. A refused form is shown again with what was said, if its pair still
    is the annotator's."""
    project = annotator.project
    lease = next_pair(annotator=annotator)
    if (
        form is None
        or became != "refused"
        or not lease
        or str(lease.pair_id) != form["pair"].value()
    ):
        form = None
    said = form.data if form else {}
    bar = choices_of(project)
    return {
        "project": project,
        "annotator": annotator,
        "progress": progress,
        "became": became,
        "lease": lease,
        "pair": lease.pair if lease else None,
        "making": None if lease else _making(project),
        "shown": list(zip("AB", lease.shown, strict=True)) if lease else [],
        "uuid": said.get("uuid") or uuid.uuid4(),
        "form": form,
        "said": said,
        "said_tags": form["tags"].value() if form else [],
        "scale": [choice for choice in bar if choice in sides.SCALE],
        "rest": [choice for choice in bar if choice in sides.REST],
        "aspects": [
            {"number": n, "name": name, "steps": ASPECT_STEPS, "said": said.get(f"aspect_{n}", "")}
            for n, name in enumerate(project.scheme["aspects"])
        ],
    }


def _making(project: Project) -> Run | None:
    """The run that makes pairs at this moment, the oldest of several."""
    runs = Run.objects.filter(project=project, kind__in=MAKE_PAIRS)
    return runs.active().order_by("pk").first()
