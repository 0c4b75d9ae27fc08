"""What a card of the labelling page shows, as the context of its template.

A card is one of: ``pair`` (to judge), ``amend`` (one's own verdict again), ``training`` (a pair
with a known answer), ``feedback`` (what was right of it), ``none`` (why there is nothing).
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from annotation import sides
from annotation.evidence import turned_evidence, turned_segments
from annotation.forms.evidence import to_page
from annotation.forms.verdict import VerdictForm, choices_of, steps_of
from annotation.models import Annotator, Assignment, Judgment, Pair
from annotation.services import prelabels, training_round
from annotation.services.queue import why_nothing
from annotation.services.training_round import TrainingFeedback
from steelyard.accounts.models import User
from steelyard.projects.models import Project
from steelyard.projects.policy import STAFF, role_in
from steelyard.runs.models import Run

MAKE_PAIRS = ("demo", "generate", "pair_up", "round")
"""Kinds of runs that bring pairs in when they get on."""

LOOK_AGAIN_SECONDS = {"making": 5, "with_others": 20, "paused": 30, "person_paused": 30}
"""How soon a page without a pair looks for one by itself."""


def pair_card(
    lease: Assignment, *, form: VerdictForm | None = None, said: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A pair to judge: empty, or with what was said in a refused form."""
    if form is not None:
        said = {name: form.data.get(name, "") for name in form.data}  # the last of several
        said["tags"] = form["tags"].value() or []
    draft = json.dumps(lease.draft) if lease.draft and not said else ""
    return {
        "kind": "pair",
        "draft": draft,
        "prelabel": prelabels.told_with(lease),
        **_shown(lease),
        **_bar(lease, form, said),
    }


def amend_card(judgment: Judgment, form: VerdictForm | None = None) -> dict[str, Any]:
    """One's own verdict again, on the screen as it was then."""
    lease = _as_lease(judgment.annotator, judgment.pair, bool(judgment.swapped))
    said = said_in(judgment) if form is None else None
    return {
        **pair_card(lease, form=form, said=said),
        "kind": "amend",
        "prelabel": prelabels.told_before(judgment),
        "supersedes": judgment.uuid,
        "judgment": judgment,
        "just_now": is_just_now(judgment.created_at),
    }


def is_just_now(at: datetime) -> bool:
    """Whether it is too short ago to be told in minutes."""
    return timezone.now() - at < timedelta(minutes=1)


def training_card(annotator: Annotator, form: VerdictForm | None = None) -> dict[str, Any] | None:
    """The next pair of the training round, None where there is none to give."""
    pair = training_round.next_training(annotator)
    if pair is None:
        return None
    lease = _as_lease(annotator, pair, training_round.swapped(annotator, pair))
    status = training_round.status(annotator)
    card = pair_card(lease, form=form)
    card["rest"] = [choice for choice in card["rest"] if choice is not sides.SKIP]
    return {**card, "kind": "training", "training": status, "nth": status.number}


def feedback_card(annotator: Annotator, pair: Pair, feedback: TrainingFeedback) -> dict[str, Any]:
    """The same pair with the known answer in words, in places of the screen."""
    lease = _as_lease(annotator, pair, training_round.swapped(annotator, pair))
    outcome, _strength = sides.turned(feedback.known_outcome, 0, lease.swapped)
    after = feedback.status
    over = not after.needed or after.number == 1  # the next number is that of another round
    return {
        "kind": "feedback",
        "feedback": feedback,
        "known": outcome,
        "training": after,
        "nth": after.total if over else after.number - 1,
        **_shown(lease),
    }


def none_card(annotator: Annotator, user: User) -> dict[str, Any]:
    """Why there is nothing, and what to do about it."""
    why = why_nothing(annotator)
    making = _making(annotator.project) if why in {"done", "with_others"} else None
    return {
        "kind": "none",
        "why": "making" if making else why,
        "making": making,
        "look_again": LOOK_AGAIN_SECONDS.get("making" if making else why),
        "is_staff": SimpleLazyObject(lambda: role_in(user, annotator.project) in STAFF),
    }


def said_in(judgment: Judgment) -> dict[str, Any]:
    """What the form's fields held when the verdict was given."""
    turn = bool(judgment.swapped)
    outcome, strength = sides.turned(judgment.outcome, judgment.strength, turn)
    names = judgment.annotator.project.scheme["aspects"]
    aspects = sides.turned_aspects(judgment.aspects, turn)
    texts = texts_by_place(judgment.pair, turn)
    return {
        "verdict": sides.value_of(outcome, strength),
        "rationale": judgment.rationale,
        "tags": judgment.tags,
        "skip_reason": judgment.skip_reason,
        "correction": judgment.correction.text if judgment.correction else "",
        "evidence": to_page(turned_evidence(judgment.evidence, turn), texts),
        "segments": json.dumps(turned_segments(judgment.segments, turn)),
        **{
            f"aspect_{number}": str(aspects[name])
            for number, name in enumerate(names)
            if name in aspects
        },
    }


def texts_by_place(pair: Pair, swapped: bool) -> dict[str, str]:
    a, b = pair.output_a.text, pair.output_b.text
    return {"a": b, "b": a} if swapped else {"a": a, "b": b}


def _as_lease(annotator: Annotator, pair: Pair, swapped: bool) -> Assignment:
    """A lease that is nowhere kept: the pair as this annotator is shown it."""
    until = timezone.now() + timedelta(seconds=annotator.project.lease_seconds)
    return Assignment(
        project=annotator.project,
        pair=pair,
        annotator=annotator,
        swapped=swapped,
        expires_at=until,
    )


def _shown(lease: Assignment) -> dict[str, Any]:
    return {
        "lease": lease,
        "pair": lease.pair,
        "shown": list(zip("AB", lease.shown, strict=True)),
    }


def _bar(
    lease: Assignment, form: VerdictForm | None, said: dict[str, Any] | None
) -> dict[str, Any]:
    """The form's parts, with what was said where something was."""
    project = lease.project
    said = said or {}
    bar = choices_of(project)
    return {
        "uuid": said.get("uuid") or uuid.uuid4(),
        "form": form,
        "said": said,
        "said_tags": said.get("tags", []),
        "supersedes": said.get("supersedes", ""),
        "scale": bar[: -1 - project.scheme["both_bad"]],
        "rest": bar[-1 - project.scheme["both_bad"] :],
        "scheme": project.scheme,
        "aspects": [
            {"number": n, "name": name, "said": said.get(f"aspect_{n}", "")}
            for n, name in enumerate(project.scheme["aspects"])
        ],
        "steps": steps_of(project),
    }


def _making(project: Project) -> Run | None:
    """The run that makes pairs at this moment, the oldest of several."""
    runs = Run.objects.filter(project=project, kind__in=MAKE_PAIRS)
    return runs.active().order_by("pk").first()
