"""What a card of the ranking page shows, as the context of its template: a set to rank (``pair``,
as the labelling page's scripts call what is judged), one's own ranking again (``amend``), or why
there is nothing (``none``)."""

from __future__ import annotations

import json
import uuid
from string import ascii_uppercase
from typing import Any

from django.utils.functional import SimpleLazyObject

from annotation.forms.ranking import RankForm
from annotation.models import Annotator, Output, OutputSet, Ranking, RankingLease
from annotation.services.ranking_queue import why_no_set
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
