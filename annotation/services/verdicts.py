"""Taking in verdicts: each is stored once, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from annotation import sides
from annotation.models import Annotator, Assignment, Judgment, Outcome, Pair
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

MAX_STRENGTH = 3


@dataclass(frozen=True)
class Verdict:
    """What an annotator says of a pair, against item identity (a, b).

    Exposure: ``visible_ms``, ``device`` (``touch`` or ``pointer``), and under ``a`` and ``b`` the
    ``ms`` that the side could be seen and the share of a video ``watched``.
    """

    uuid: UUID
    outcome: str
    strength: int = 0
    """-3 to 3; negative means a is better. 0 with outcome a or b is taken as 1 step."""
    rationale: str = ""
    tags: list[str] = field(default_factory=list)
    aspects: dict[str, int] = field(default_factory=dict)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    """What the rationale points at, each item bound to a side (see annotation.evidence)."""
    segments: list[dict[str, Any]] = field(default_factory=list)
    """``{start, end, outcome, strength}``: verdicts on parts of a video, in seconds."""
    correction: str = ""
    """A better answer, in the annotator's words."""
    skip_reason: str = ""
    exposure: dict[str, Any] = field(default_factory=dict)
    duration_ms: int | None = None


def record_shown(*, annotator: Annotator, pair: Pair, verdict: Verdict) -> tuple[Judgment, bool]:
    """:func:`record_judgment` for a verdict that speaks of the screen: its a is what the annotator
    was shown first, its b what they were shown second.

    Raises:
        UserError: as there, and where the pair was never given to the annotator.
    """
    swapped = _order_of(annotator, pair)
    outcome, strength = sides.turned(verdict.outcome, verdict.strength, swapped)
    canonical = replace(
        verdict,
        outcome=outcome,
        strength=strength,
        aspects=sides.turned_aspects(verdict.aspects, swapped),
        exposure=sides.turned_exposure(verdict.exposure, swapped),
    )
    return record_judgment(annotator=annotator, pair=pair, verdict=canonical)


def _order_of(annotator: Annotator, pair: Pair) -> bool:
    """Whether they were shown b first, as their lease says, or the judgment that it became."""
    said = {"pair": pair, "annotator": annotator}
    for rows in (Assignment.objects.filter(**said), Judgment.objects.current().filter(**said)):
        if row := rows.only("swapped").first():
            return row.swapped
    raise _no_lease()


def record_judgment(*, annotator: Annotator, pair: Pair, verdict: Verdict) -> tuple[Judgment, bool]:
    """Store a verdict, once.

    The same UUID again is the same judgment (a client that lost the answer may simply ask again).
    A lease that has run out is no obstacle while the pair still wants a judgment.

    Returns:
        the judgment, and whether it is new.

    Raises:
        UserError: the verdict contradicts itself, the UUID was used for another one, the
            annotator has judged the pair already, or others have completed it meanwhile.
    """
    outcome, strength = checked(verdict, annotator.project)
    try:
        with transaction.atomic():
            return _store(annotator, pair, verdict, outcome, strength)
    except IntegrityError:
        # a second copy of the same request, or another with its UUID, was quicker
        if known := _replayed(annotator, pair, verdict, outcome):
            return known, False
        raise _already_judged() from None


def checked(verdict: Verdict, project: Project) -> tuple[str, int]:
    """The outcome and the strength, if they agree with each other and with the label scheme.

    Raises:
        UserError: naming the field and what would be right.
    """
    outcome, strength = verdict.outcome, verdict.strength
    if outcome not in Outcome.values:
        raise UserError(
            f"outcome is {outcome!r}; it must be one of {', '.join(Outcome.values)}.",
            field="outcome",
        )
    if not -MAX_STRENGTH <= strength <= MAX_STRENGTH:
        raise UserError(f"strength is {strength}; it must be from -3 to 3.", field="strength")
    if outcome in {Outcome.A, Outcome.B}:
        sign = -1 if outcome == Outcome.A else 1
        strength = strength or sign
        if strength * sign < 0:
            raise UserError(
                f"outcome {outcome} does not go with strength {strength}: negative means that a "
                "is better.",
                field="strength",
            )
    elif strength:
        raise UserError(f"outcome {outcome} has no strength; leave it 0.", field="strength")
    scheme = project.scheme
    for name, value in verdict.aspects.items():
        if name not in scheme["aspects"]:
            known = ", ".join(scheme["aspects"]) or "none"
            raise UserError(f"There is no aspect “{name}”; there are {known}.", field="aspects")
        if not -MAX_STRENGTH <= value <= MAX_STRENGTH:
            raise UserError(f"{name} is {value}; it must be from -3 to 3.", field="aspects")
    for name in ("tie", "both_bad"):
        if outcome == name and not scheme[name]:
            raise UserError(f"This project does not use “{outcome}”.", field="outcome")
    if scheme["rationale_required"] and outcome != Outcome.SKIP and not verdict.rationale.strip():
        raise UserError(
            "Say why: this project asks for a rationale with every verdict.",
            code="rationale_required",
            field="rationale",
        )
    return outcome, strength


def _replayed(annotator: Annotator, pair: Pair, verdict: Verdict, outcome: str) -> Judgment | None:
    known = Judgment.objects.filter(uuid=verdict.uuid).select_related("pair").first()
    if known is None:
        return None
    same = (known.annotator_id, known.pair_id, known.outcome) == (annotator.pk, pair.pk, outcome)
    if not same:
        raise UserError(
            "This UUID belongs to another judgment; make a new one for each verdict.",
            code="uuid_taken",
            status=409,
            field="uuid",
        )
    return known


def _store(
    annotator: Annotator, pair: Pair, verdict: Verdict, outcome: str, strength: int
) -> tuple[Judgment, bool]:
    """Write the judgment, count it and give the lease back, all or nothing.

    The pair's row is locked first, so that counting and the check against its overlap are one.
    """
    locked = Pair.objects.select_for_update().get(pk=pair.pk, project=annotator.project_id)
    if known := _replayed(annotator, pair, verdict, outcome):
        return known, False
    lease = Assignment.objects.filter(pair=locked, annotator=annotator).first()
    if lease is None:
        judged = Judgment.objects.current().filter(pair=locked, annotator=annotator).exists()
        raise _already_judged() if judged else _no_lease()
    if outcome != Outcome.SKIP:
        _count(locked, lease, annotator)
    judgment = Judgment.objects.create(
        uuid=verdict.uuid,
        project_id=annotator.project_id,
        pair=locked,
        annotator=annotator,
        outcome=outcome,
        strength=strength,
        aspects=verdict.aspects,
        rationale=verdict.rationale,
        tags=verdict.tags,
        exposure=verdict.exposure,
        duration_ms=verdict.duration_ms,
        swapped=lease.swapped,
    )
    lease.delete()
    return judgment, True


def _already_judged() -> UserError:
    return UserError("You have judged this pair already.", code="already_judged", status=409)


def _no_lease() -> UserError:
    return UserError(
        "This pair was not given to you. Ask for the next one.", code="no_lease", status=409
    )


def _count(pair: Pair, lease: Assignment, annotator: Annotator) -> None:
    """Take one of the pair's places. A live lease has kept one; a lease that ran out takes a free
    place if there still is one."""
    places = pair.wanted - pair.judged
    if lease.expires_at <= timezone.now():
        others = Assignment.objects.live().filter(pair=pair)
        places -= others.exclude(annotator=annotator).count()
    if places <= 0:
        raise UserError(
            "Your lease on this pair ran out and others have judged it meanwhile; your verdict is "
            "not needed any more. Go on with the next pair.",
            code="pair_taken",
            status=409,
        )
    Pair.objects.filter(pk=pair.pk).update(judged=F("judged") + 1)
