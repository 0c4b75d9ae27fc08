"""What stands around the card: the page's settings for its script, and its smaller requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from annotation import sides
from annotation.forms.verdict import choices_of
from annotation.models import Annotator, Judgment, OutputSet, Pair
from annotation.querysets import JudgmentQuerySet, RankingQuerySet
from annotation.services.flags import raise_flag
from annotation.services.label_keys import save_label_keys
from annotation.services.queue import annotator_for, let_go, renew
from steelyard.accounts.models import User
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.lib.plain_json import read_json
from steelyard.projects.policy import ANY_ROLE, STAFF, get_project, get_visible, role_in

MINE_PER_PAGE = 50
DRAFT_LIMIT = 100_000
"""Bytes of a draft; what is longer stays in the browser alone."""

Mine = TypeVar("Mine", JudgmentQuerySet, RankingQuerySet)
Flagged = TypeVar("Flagged", Pair, OutputSet)

ADDRESSES = ["label", "label-next", "label-submit", "label-keep", "label-flag", "label-keys"]


def page_context(
    user: User, annotator: Annotator, addresses: Sequence[str] = ADDRESSES
) -> dict[str, Any]:
    """What the page of pairs and that of rankings need around their cards."""
    project = annotator.project
    scheme = project.scheme
    return {
        "is_staff": SimpleLazyObject(lambda: role_in(user, project) in STAFF),
        "flag_reasons": scheme["flag_reasons"],
        "settings": {
            "project": project.slug,
            "modality": project.modality,
            "annotator": annotator.pk,
            "urls": {
                name: reverse(f"annotation:{name}", args=[project.slug]) for name in addresses
            },
            "lease_seconds": project.lease_seconds,
            "break_minutes": project.break_minutes,
            "rationale_required": scheme["rationale_required"],
            "rationale_min": scheme["rationale_min"],
            "evidence": scheme["evidence"],
            "ties": scheme["tie"],
            "choices": [
                {"value": choice.value, "key": choice.key, "label": str(choice.label)}
                for choice in choices_of(project)
            ],
            "keys": user.preferences.get("label_keys", {}),
        },
    }


@require_POST
def label_keep(request: HttpRequest, project: str) -> JsonResponse:
    """Renews the leases of the pairs that the page has, and keeps a draft of one of them; a page
    that is closed says which pairs it leaves to others."""
    annotator = annotator_in(request, project)
    text = request.POST.get("draft", "")
    try:
        pairs, leaving = (_numbers(request.POST.get(name, "")) for name in ("pairs", "leaving"))
        draft = read_json(text) if text and len(text.encode()) <= DRAFT_LIMIT else None
        [of] = _numbers(request.POST["draft_of"]) if isinstance(draft, dict) else [None]
    except (KeyError, ValueError):
        return _refusal(_("pairs and draft_of are numbers of pairs, draft is an object in JSON."))
    if leaving:
        let_go(annotator=annotator, pairs=leaving)
    kept = draft if of else None
    held = renew(annotator=annotator, pairs=pairs, draft=kept, draft_of=of)
    return JsonResponse({"held": held})


def _numbers(text: str) -> list[int]:
    """
    Raises:
        ValueError: there is something else than numbers of rows.
    """
    numbers = [int(part) for part in text.split(",") if part][:20]
    if not all(0 < number < 2**63 for number in numbers):
        raise ValueError(text)
    return numbers


@require_POST
def label_flag(request: HttpRequest, project: str) -> JsonResponse:
    """Tells the owner that something is wrong with a pair."""
    return flag_from_page(request, project, Pair)


def flag_from_page(request: HttpRequest, project: str, model: type[Flagged]) -> JsonResponse:
    """The same for pairs and for sets to rank, which the page's script calls ``pair`` as well."""
    annotator = annotator_in(request, project)
    said = request.POST
    try:
        uuid, pk = UUID(said.get("uuid", "")), int(said.get("pair", ""))
    except ValueError:
        return _refusal(_("A flag needs the number of its pair and a UUID."))
    if not 0 < pk < 2**63:
        return _refusal(_("A flag needs the number of its pair and a UUID."))
    of = get_visible(model, user_of(request), ANY_ROLE, pk=pk, project=annotator.project)
    try:
        _flag, created = raise_flag(
            annotator=annotator,
            of=of,
            reason=said.get("reason", ""),
            note=said.get("note", ""),
            uuid=uuid,
        )
    except UserError as error:
        return _refusal(error.message, error.status)
    return JsonResponse({"created": created}, status=201 if created else 200)


@require_POST
def label_keys(request: HttpRequest, project: str) -> JsonResponse:
    """Keeps the person's own keys: a JSON object of action and key."""
    annotator_in(request, project)
    try:
        keys = read_json(request.POST.get("keys", ""))
    except ValueError:
        return _refusal(_("keys is an object in JSON."))
    try:
        save_label_keys(user=user_of(request), keys=keys)
    except UserError as error:
        return _refusal(error.message, error.status)
    return JsonResponse({"keys": keys})


@never_cache
def label_mine(request: HttpRequest, project: str) -> HttpResponse:
    """The person's own verdicts, the newest first, each with a way to change it."""
    annotator = annotator_in(request, project)
    rows = Judgment.objects.current().filter(annotator=annotator)
    rows = rows.select_related("pair__prompt").order_by("-created_at", "-pk")
    page = Paginator(rows, MINE_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": annotator.project,
        "page": page,
        "verdicts": [(judgment, _in_words(judgment)) for judgment in page],
    }
    return render(request, "annotation/label/mine.html", context)


def _in_words(judgment: Judgment) -> Any:
    """What the person said, in places of their screen."""
    outcome, strength = sides.turned(judgment.outcome, judgment.strength, bool(judgment.swapped))
    rest = [sides.BOTH_BAD, sides.SKIP]
    words = {choice.value: choice.label for choice in [*sides.scale(7, tie=True), *rest]}
    return words[sides.value_of(outcome, strength)]


def own(rows: Mine, annotator: Annotator, asked: str, *, any_time: bool = False) -> Any:
    """The annotator's own verdict or ranking of that UUID, None where there is none.

    Args:
        any_time: also one that has been superseded, so that a retry finds what it spoke of.
    """
    rows = rows.filter(annotator=annotator)
    try:
        found = (rows if any_time else rows.current()).filter(uuid=UUID(asked)).first()
    except ValueError:
        return None
    if found:
        found.annotator = annotator
    return found


def annotator_in(request: HttpRequest, slug: str) -> Annotator:
    user = user_of(request)
    return annotator_for(user=user, project=get_project(user, slug, ANY_ROLE))


def _refusal(words: str, status: int = 400) -> JsonResponse:
    return JsonResponse({"error": words}, status=status)


def by_script(request: HttpRequest) -> bool:
    """Whether the page's script asks, which wants the card alone."""
    return request.headers.get("Steelyard-Part") == "card"


def nothing_more() -> HttpResponse:
    """To a page that has cards still: there is none beyond those."""
    return HttpResponse(headers={"Steelyard-Card": "none"})
