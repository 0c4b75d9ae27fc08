"""What a card of the ranking page shows, as the context of its template: a set to rank (``pair``,
as the labelling page's scripts call what is judged), one's own ranking again (``amend``), a set
with a known order (``training``), what was right of it (``feedback``), or why there is nothing
(``none``)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from annotation.forms.evidence import to_page
from annotation.forms.ranking import RankForm
from annotation.models import Annotator, Output, OutputSet, Ranking, RankingLease
from annotation.services.ranking_queue import why_no_set
from annotation.services.training_of_sets import (
    OrderFeedback,
    next_training_set,
    shown_in_training,
    status,
)
from annotation.tiers import ranks_of
from annotation.views.cards import LOOK_AGAIN_SECONDS, is_just_now
from steelyard.accounts.models import User
from steelyard.projects.models import Project
from steelyard.projects.policy import STAFF, role_in


def set_card(lease: RankingLease, form: RankForm | None = None) -> dict[str, Any]:
    """A set to rank: empty, or with what was said in a refused form."""
    said = _said_in(form) if form else {}
    draft = json.dumps(lease.draft) if lease.draft and not said else ""
    card = _shown(lease.project, lease.output_set, lease.shown, said)
    return {"kind": "pair", "draft": draft, "form": form, **card}


def amend_card(ranking: Ranking, form: RankForm | None = None) -> dict[str, Any]:
    """One's own ranking again, on the screen as it was then."""
    if form is None:
        ranks = ranks_of(ranking.tiers)
        said = {
            "rationale": ranking.rationale,
            "tags": ranking.tags,
            "evidence": _evidence_on_page(ranking),
            "skip": ranking.skipped,
            "skip_reason": ranking.skip_reason,
            **{f"rank_{pk}": str(rank) for pk, rank in ranks.items()},
        }
    else:
        said = _said_in(form)
    card = _shown(ranking.annotator.project, ranking.output_set, ranking.shown, said)
    amended = {"kind": "amend", "supersedes": ranking.uuid, "ranking": ranking}
    amended["just_now"] = is_just_now(ranking.created_at)
    return {"form": form, **card, **amended}


def training_card(annotator: Annotator, form: RankForm | None = None) -> dict[str, Any] | None:
    """The next set of the training round, None where there is none to give."""
    due = next_training_set(annotator)
    if due is None:
        return None
    at = status(annotator)
    said = _said_in(form) if form else {}
    card = _shown(annotator.project, due, shown_in_training(annotator, due), said)
    return {"form": form, **card, "kind": "training", "training": at, "nth": at.number}


def feedback_card(
    annotator: Annotator, output_set: OutputSet, feedback: OrderFeedback
) -> dict[str, Any]:
    """The known order beside the annotator's, in letters of the screen, and what differs."""
    shown = shown_in_training(annotator, output_set)
    letters = dict(zip(shown, ascii_uppercase, strict=False))
    after = feedback.status
    over = not after.needed or after.number == 1  # the next number is that of another round
    said, known = ranks_of(feedback.tiers), ranks_of(feedback.known_tiers)
    card = _shown(annotator.project, output_set, shown, {})
    card["shown"].sort(key=lambda one: (known[one["output"].pk], one["place"]))
    for one in card["shown"]:
        one["known"], one["said"] = known[one["output"].pk], said[one["output"].pk]
    return {
        **card,
        "kind": "feedback",
        "feedback": feedback,
        "rows": [
            (
                rank,
                _tier(feedback.known_tiers, rank, letters, said),
                _tier(feedback.tiers, rank, letters, known),
            )
            for rank in range(1, max(len(feedback.tiers), len(feedback.known_tiers)) + 1)
        ],
        "differences": [
            (
                _in_words(letters[one.one], letters[one.other], one.known),
                _in_words(letters[one.one], letters[one.other], one.said),
            )
            for one in feedback.differences
        ],
        "training": after,
        "nth": after.total if over else after.number - 1,
    }


def _evidence_on_page(ranking: Ranking) -> str:
    """As the page's hidden field holds it, with the letters of its screen as sides."""
    letters = dict(zip(ranking.shown, ascii_uppercase, strict=False))
    pointed = {item["output"] for item in ranking.evidence}
    texts = Output.objects.filter(pk__in=pointed).values_list("pk", "text")
    items = [{**item, "side": letters[item["output"]]} for item in ranking.evidence]
    return to_page(items, {letters[pk]: text for pk, text in texts})


def _tier(
    tiers: Sequence[Sequence[int]], rank: int, letters: dict[int, str], elsewhere: dict[int, int]
) -> list[tuple[str, bool]]:
    """Letters of a tier, and whether each has this rank in the other order too."""
    tier = tiers[rank - 1] if rank <= len(tiers) else []
    return sorted((letters[pk], elsewhere[pk] == rank) for pk in tier)


def _in_words(one: str, other: str, order: int) -> str:
    letters = {"one": one, "other": other}
    if order == 0:
        return _("%(one)s tied with %(other)s") % letters
    if order > 0:
        letters = {"one": other, "other": one}
    return _("%(one)s before %(other)s") % letters


def none_card(annotator: Annotator, user: User) -> dict[str, Any]:
    """Why there is nothing, and what to do about it."""
    why = why_no_set(annotator)
    return {
        "kind": "none",
        "why": why,
        "look_again": LOOK_AGAIN_SECONDS.get(why),
        "is_staff": SimpleLazyObject(lambda: role_in(user, annotator.project) in STAFF),
    }


def _said_in(form: RankForm) -> dict[str, Any]:
    """What a refused form holds."""
    return {**{name: form.data.get(name) for name in form.data}, "tags": form["tags"].value() or []}


def _shown(
    project: Project, output_set: OutputSet, shown: list[int], said: dict[str, Any]
) -> dict[str, Any]:
    rows = Output.objects.select_related("asset").prefetch_related("asset__renditions")
    found = rows.in_bulk(shown)
    for output in found.values():
        if output.asset:
            output.asset.project = project  # its URL names the project
    ranks = [str(rank) for rank in range(1, len(shown) + 1)]
    return {
        "output_set": output_set,
        "shown": [
            {"place": place, "output": found[pk], "rank": said.get(f"rank_{pk}", "")}
            for place, pk in zip(ascii_uppercase, shown, strict=False)
        ],
        "ranks": ranks,
        "uuid": said.get("uuid") or uuid.uuid4(),
        "said": said,
        "said_tags": said.get("tags", []),
        "scheme": project.scheme,
    }
