"""What a project holds: prompts, pairs and judgments, and the way to bring them in."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import tables
from annotation.forms.material import ImportForm, JudgmentFilter, PairFilter, PromptFilter
from annotation.models import Flag, Judgment, Pair, Prompt, Retrieved
from annotation.paging import ByKeys
from annotation.querysets import JudgmentQuerySet, PairQuerySet, PromptQuerySet
from annotation.review import shown_boxes, shown_marks
from annotation.services.files import EXAMPLES, import_file
from annotation.services.importing import Imported
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible

PER_PAGE = 50
COUNTED = 20_000
"""Of so many judgments the list says how many count in ratings."""
AFTER_IMPORT = {
    "pairs": "annotation:pair-list",
    "rankings": "annotation:coverage",
    "held_out": "annotation:prompt-list",
    "passages": "annotation:judge-list",
}
"""Where what was brought in is seen."""


def import_page(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    kind = "rankings" if found.scheme["task"] == "ranking" else "pairs"
    form = ImportForm(request.POST or None, request.FILES or None, initial={"kind": kind})
    if request.method == "POST" and form.is_valid():
        kind = form.cleaned_data["kind"]
        try:
            done = import_file(project=found, kind=kind, data=form.given, by=user_of(request))
        except UserError as error:
            pasted = error.field == "file" and form.cleaned_data["text"]
            field = "text" if pasted else error.field
            form.add_error(field if field in form.fields else None, error.message)
        else:
            messages.success(request, _imported(done, kind))
            return redirect(AFTER_IMPORT[kind], found.slug)
    context = {
        "project": found,
        "form": form,
        "examples": EXAMPLES,
        "n_pairs": found.pairs.count(),
        "n_held_out": found.prompts.filter(held_out=True).count(),
    }
    return render(request, "annotation/import.html", context)


def _imported(done: Imported, kind: str) -> str:
    if kind == "held_out":
        read = ngettext("%d prompt", "%d prompts", done.records) % done.records
        return _("%(read)s read, %(new)d of them new.") % {"read": read, "new": done.prompts}
    if kind == "passages":
        read = ngettext("%d passage", "%d passages", done.records) % done.records
        found = ngettext("%d output", "%d outputs", done.searched) % done.searched
        return _("%(read)s read; some were found for %(found)s.") % {"read": read, "found": found}
    if kind == "rankings":
        new = {
            "read": ngettext("%d line", "%d lines", done.records) % done.records,
            "sets": ngettext("%d set", "%d sets", done.sets) % done.sets,
            "rankings": ngettext("%d ranking", "%d rankings", done.rankings) % done.rankings,
        }
        return _("%(read)s read. New: %(sets)s, %(rankings)s.") % new
    new = {
        "read": ngettext("%d line", "%d lines", done.records) % done.records,
        "pairs": ngettext("%d pair", "%d pairs", done.pairs) % done.pairs,
        "prompts": ngettext("%d prompt", "%d prompts", done.prompts) % done.prompts,
        "judgments": ngettext("%d judgment", "%d judgments", done.judgments) % done.judgments,
    }
    return _("%(read)s read. New: %(pairs)s, %(prompts)s, %(judgments)s.") % new


def prompt_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    chosen = PromptFilter(request.GET, project=found)
    rows = ByKeys(
        _prompts(found, chosen).order_by("pk"), _with_assets, at_once="q" in chosen.chosen
    )
    return _list(request, found, chosen, rows, "annotation/prompts.html")


def _with_assets(rows: QuerySet[Prompt]) -> list[Prompt]:
    prompts = list(cast("PromptQuerySet", rows).with_counts())
    Prompt.fill_assets(prompts)
    return prompts


def pair_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    chosen = PairFilter(request.GET, project=found)
    rows = ByKeys(
        _pairs(found, chosen).order_by("-priority", "pk"),
        lambda rows: cast("PairQuerySet", rows).with_judges_votes().with_content(),
        at_once="q" in chosen.chosen,
    )
    return _list(request, found, chosen, rows, "annotation/pairs.html")


def pair_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = Pair.objects.with_content().select_related("project")
    pair = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    votes = pair.judgments.current().with_content().order_by("created_at")
    votes = votes.select_related("correction")
    texts = {"a": pair.output_a.text, "b": pair.output_b.text}
    evidence = list(votes.values_list("evidence", flat=True))
    context = {
        "project": pair.project,
        "pair": pair,
        "sides": [("a", pair.output_a), ("b", pair.output_b)],
        "passages": _passages(pair),
        "sources": [(_("People"), votes.by_people()), (_("AI judges"), votes.by_judges())],
        "machine_rationales": pair.machine_rationales.select_related("judge"),
        "held": pair.assignments.live().count(),
        "marks": shown_marks(evidence, texts),
        "boxes": shown_boxes(evidence, texts),
    }
    return render(request, "annotation/pair.html", context)


def _passages(pair: Pair) -> list[tuple[str, list[dict[str, Any]]]]:
    """What a search has found for the outputs, where they are queries; by side, the best first."""
    rows = Retrieved.objects.filter(output__in=[pair.output_a_id, pair.output_b_id])
    found = dict(rows.values_list("output", "passages"))
    sides = (("a", pair.output_a_id), ("b", pair.output_b_id))
    return [(side, found.get(output, [])) for side, output in sides] if found else []


def judgment_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    chosen = JudgmentFilter(request.GET, project=found)
    rows = _judgments(found, chosen)
    listed = ByKeys(
        rows.order_by("-pk"), lambda rows: cast("JudgmentQuerySet", rows).with_content()
    )
    # of more it takes seconds to tell
    n_rated = rows.rated().count() if listed.count() <= COUNTED else None
    return _list(request, found, chosen, listed, "annotation/judgments.html", n_rated=n_rated)


def judgment_download(request: HttpRequest, project: str) -> StreamingHttpResponse:
    """The filtered judgments as CSV, with the names of the models."""
    found = get_project(user_of(request), project)
    rows = _judgments(found, JudgmentFilter(request.GET, project=found)).with_content()
    name = f'attachment; filename="{found.slug}-judgments.csv"'
    return StreamingHttpResponse(
        tables.judgments_csv(rows.order_by("pk")),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": name},
    )


def _list(
    request: HttpRequest,
    project: Project,
    chosen: PromptFilter | PairFilter | JudgmentFilter,
    rows: ByKeys[Any],
    template: str,
    **context: object,
) -> HttpResponse:
    page = Paginator(cast("Any", rows), PER_PAGE).get_page(request.GET.get("page"))
    filtered = bool(chosen.chosen)
    context |= {"project": project, "filter": chosen, "filtered": filtered, "page": page}
    return render(request, template, context)


def _prompts(project: Project, chosen: PromptFilter) -> PromptQuerySet:
    rows, said = Prompt.objects.filter(project=project), chosen.chosen
    if "q" in said:
        rows = rows.saying(said["q"])
    if "category" in said:
        rows = rows.filter(category=said["category"])
    if "use" in said:
        rows = rows.filter(held_out=said["use"] == "held_out")
    return rows


def _pairs(project: Project, chosen: PairFilter) -> PairQuerySet:
    rows, said = Pair.objects.filter(project=project), chosen.chosen
    if "q" in said:
        rows = rows.filter(prompt__in=Prompt.objects.filter(project=project).saying(said["q"]))
    if "category" in said:
        rows = rows.filter(prompt__category=said["category"])
    if "model" in said:
        rows = rows.of_model(said["model"])
    if "origin" in said:
        rows = rows.filter(origin=said["origin"])
    if "state" in said:
        rows = _in_state(rows, said["state"])
    return rows


def _in_state(rows: PairQuerySet, state: str) -> PairQuerySet:
    if state == "closed":
        return rows.filter(closed=True)
    if state == "flagged":
        waiting = Flag.objects.filter(pair=OuterRef("pk"), state=Flag.State.OPEN)
        return rows.filter(Exists(waiting))
    return rows.open() if state == "open" else rows.complete()


def _judgments(project: Project, chosen: JudgmentFilter) -> JudgmentQuerySet:
    return Judgment.objects.filter(project=project).chosen(**chosen.chosen)
