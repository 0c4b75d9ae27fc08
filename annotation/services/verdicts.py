"""Taking in verdicts: each is stored once, or refused with a reason.

Whoever writes holds the pair's row lock first, then touches leases and judgments; the queue does
the same, so nobody waits for anybody in a ring.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import leasing, places, sides
from annotation.evidence import turned_evidence, turned_segments
from annotation.models import Annotator, Assignment, Judgment, Outcome, Pair
from annotation.services.checking import Verdict, checked
from annotation.services.corrections import keep_correction, withdraw_correction
from annotation.services.recording import free_place, once
from annotation.signals import judged
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.web.prepared import Given, Prepared
from steelyard.webhooks.services import emit

__all__ = [
    "Verdict",
    "amend_judgment",
    "amend_shown",
    "pair_of",
    "record_judgment",
    "record_numbered",
    "record_shown",
]


def record_shown(*, annotator: Annotator, pair: Pair, verdict: Verdict) -> tuple[Judgment, bool]:
    """:func:`record_judgment` for a verdict that speaks of the screen: its a is what the annotator
    was shown first, its b what they were shown second.

    Raises:
        UserError: as there, and where the pair was never given to the annotator.
    """
    turned = _turned(verdict, _order_of(annotator, pair))
    return record_judgment(annotator=annotator, pair=pair, verdict=turned)


def record_judgment(*, annotator: Annotator, pair: Pair, verdict: Verdict) -> tuple[Judgment, bool]:
    """Store a verdict, once.

    The same UUID again is the same judgment (a client that lost the answer may simply ask again).
    A lease that has run out is no obstacle while the pair still wants a judgment and others who
    hold it have not begun, see :mod:`annotation.places`.

    Returns:
        the judgment, and whether it is new.

    Raises:
        UserError: the verdict contradicts itself or the label scheme, the UUID was used for
            another one, the annotator has judged the pair already, others have completed it
            meanwhile (``pair_taken``) or are at work on it (``pair_held``).
    """
    if found := _once(annotator, pair, verdict, partial(_store, annotator, pair)):
        return found
    judged = Judgment.objects.current().filter(pair=pair, annotator=annotator).exists()
    raise _already_judged() if judged else _no_lease()


def record_numbered(*, annotator: Annotator, pair: int, verdict: Verdict) -> tuple[Judgment, bool]:
    """:func:`record_judgment` for somebody who has no more of the pair than its number. It is
    read only with the lease on it, unless the verdict points into it.

    Raises:
        UserError: as there, and where the annotator's project has no such pair.
    """
    if verdict.evidence or verdict.segments or verdict.correction:
        known = pair_of(annotator.project, pair)
        return record_judgment(annotator=annotator, pair=known, verdict=verdict)
    unread = Pair.from_db(None, ["id"], [pair])
    try:
        return record_judgment(annotator=annotator, pair=unread, verdict=verdict)
    except UserError:
        pair_of(annotator.project, pair)
        raise


_PAIR = Prepared(lambda: Pair.objects.filter(project=Given("project"), pk=Given("pair")))


def pair_of(project: Project, pk: int) -> Pair:
    """The project's pair of that number.

    Raises:
        UserError: it has none.
    """
    pair = _PAIR.first(project=project.pk, pair=pk)
    if pair is None:
        raise UserError(
            _("This project has no pair %(number)s.") % {"number": pk},
            code="no_such_pair",
            field="pair",
        )
    return pair


def amend_shown(
    *, annotator: Annotator, judgment: Judgment, verdict: Verdict
) -> tuple[Judgment, bool]:
    """:func:`amend_judgment` for a verdict that speaks of the screen: the sides stand as they did
    when the first verdict was given."""
    turned = _turned(verdict, bool(judgment.swapped))
    return amend_judgment(annotator=annotator, judgment=judgment, verdict=turned)


def amend_judgment(
    *, annotator: Annotator, judgment: Judgment, verdict: Verdict
) -> tuple[Judgment, bool]:
    """Say something else of a pair that one has judged: a new judgment that supersedes the old.

    No lease is needed. A verdict that becomes a skip gives its place on the pair back; a skip that
    becomes a verdict takes a place, if one is free. The same UUID again is the same judgment.

    Returns:
        the judgment that now stands, and whether it is new.

    Raises:
        UserError: as for :func:`record_judgment`; ``not_current`` (409) where the judgment is not
            the annotator's own, has been superseded already, or was made by a run.
    """
    if verdict.uuid == judgment.uuid:
        raise _uuid_taken()
    if "ranking" in judgment.details:
        raise UserError(
            _("That verdict comes of a ranking; change the ranking, and it changes with it."),
            code="of_ranking",
            status=409,
        )
    if "arena" in judgment.details:
        raise UserError(
            _("That verdict was given in an arena, before the names were told; it stays."),
            code="of_arena",
            status=409,
        )
    write = partial(_supersede, annotator, judgment)
    if found := _once(annotator, judgment.pair, verdict, write):
        return found
    raise UserError(
        _(
            "That is not your current verdict on this pair, so it cannot be changed. Open your "
            "verdicts again."
        ),
        code="not_current",
        status=409,
    )


def _once(
    annotator: Annotator,
    pair: Pair,
    verdict: Verdict,
    write: Callable[[Verdict], Judgment | None],
) -> tuple[Judgment, bool] | None:
    return once(
        check=lambda: checked(verdict, project=annotator.project, pair=pair),
        write=write,
        replayed=lambda: _replayed(annotator, pair, verdict),
    )


def _turned(verdict: Verdict, swapped: bool) -> Verdict:
    """From places of the screen to the pair's own sides."""
    if not swapped:
        return verdict
    outcome, strength = sides.turned(verdict.outcome, verdict.strength, swapped)
    return replace(
        verdict,
        outcome=outcome,
        strength=strength,
        aspects=sides.turned_aspects(verdict.aspects, swapped),
        evidence=turned_evidence(verdict.evidence, swapped),
        segments=turned_segments(verdict.segments, swapped),
        exposure=sides.turned_exposure(verdict.exposure, swapped),
    )


def _order_of(annotator: Annotator, pair: Pair) -> bool:
    """Whether they were shown b first, as their lease says, or the judgment that it became."""
    said = {"pair": pair, "annotator": annotator}
    for rows in (Assignment.objects.filter(**said), Judgment.objects.current().filter(**said)):
        if row := rows.only("swapped").first():
            return bool(row.swapped)
    raise _no_lease()


def _store(annotator: Annotator, pair: Pair, said: Verdict) -> Judgment | None:
    """Write the judgment, count it and give the lease back, all or nothing; None where there is
    no lease to give back."""
    lease = _LEASE_LOCKING_PAIR.first(pair=pair.pk, annotator=annotator.pk)
    if lease is None:
        return None
    locked, counts = lease.pair, said.outcome != Outcome.SKIP
    idle: list[int] | None = []
    refused: UserError | None = None
    if counts:
        free = locked.wanted - locked.judged
        if free <= 0:
            refused = _pair_taken()
        elif lease.expires_at <= timezone.now():
            idle = places.claim(Assignment.objects.of_others(locked, annotator), free=free)
            refused = _pair_held() if idle is None else None
    # whoever waited for the lock sees the pair anew, but the lease as it was before the wait
    if refused and leasing.give_back(lease.pk):
        raise refused
    judgment = Judgment(
        **_values(annotator, locked, said),
        uuid=said.uuid,
        swapped=lease.swapped,
        prelabel=lease.prelabel,
    )
    if refused or not leasing.exchange(lease.pk, judgment, counts=counts):
        transaction.set_rollback(True)  # a better answer may have been kept already
        return None
    locked.judged += counts
    _settle(locked, annotator, counted=counts)
    if idle:
        others = Assignment.objects.of_others(locked, annotator)
        places.make_room(others, idle, free=locked.wanted - locked.judged)
    return judgment


_LEASE_LOCKING_PAIR = Prepared(
    lambda: (
        Assignment.objects.filter(pair=Given("pair"), annotator=Given("annotator"))
        .select_related("pair")
        .select_for_update(of=("pair",), no_key=True)
    )
)


def _supersede(annotator: Annotator, judgment: Judgment, said: Verdict) -> Judgment | None:
    """Write the new judgment and mend the count; None where the old one does not stand."""
    pair = Pair.objects.select_for_update(no_key=True).get(pk=judgment.pair_id)
    mine = Judgment.objects.current().filter(pk=judgment.pk, annotator=annotator, run=None)
    if not mine.update(is_current=False):
        return None
    was, now = (outcome != Outcome.SKIP for outcome in (judgment.outcome, said.outcome))
    if now and not was:
        others = Assignment.objects.of_others(pair, annotator)
        free_place(pair, others, taken=_pair_taken, held=_pair_held)
    if was != now:
        _count(pair, 1 if now else -1)
    amended = Judgment.objects.create(
        **_values(annotator, pair, said),
        uuid=said.uuid,
        swapped=judgment.swapped,
        prelabel=judgment.prelabel,
        supersedes=judgment,
    )
    former = judgment.correction
    if former and former.pk != amended.correction_id:
        withdraw_correction(output=former)
    _settle(pair, annotator, counted=now and not was)
    return amended


def _values(annotator: Annotator, pair: Pair, said: Verdict) -> dict[str, Any]:
    """All of a judgment that its verdict decides."""
    correction = None
    if said.correction:
        correction = keep_correction(annotator=annotator, pair=pair, text=said.correction)
    return {
        "project_id": annotator.project_id,
        "pair": pair,
        "annotator": annotator,
        "outcome": said.outcome,
        "strength": said.strength,
        "aspects": said.aspects,
        "rationale": said.rationale,
        "tags": said.tags,
        "evidence": said.evidence,
        "segments": said.segments,
        "correction": correction,
        "skip_reason": said.skip_reason,
        "exposure": said.exposure,
        "duration_ms": said.duration_ms,
    }


def _replayed(annotator: Annotator, pair: Pair, said: Verdict) -> Judgment | None:
    """The judgment of that UUID, if it is there."""
    known = Judgment.objects.filter(uuid=said.uuid).select_related("pair").first()
    if known is None:
        return None
    same = (known.annotator_id, known.pair_id, known.outcome)
    if same != (annotator.pk, pair.pk, said.outcome):
        raise _uuid_taken()
    return known


def _count(pair: Pair, change: int) -> None:
    """On the row and on the object, whose lock the caller holds."""
    leasing.count(pair=pair.pk, change=change)
    pair.judged += change


def _settle(pair: Pair, annotator: Annotator, *, counted: bool) -> None:
    """What becomes of a pair after a verdict on it, which ``counted`` towards those that it wants
    or not. The caller holds the pair's lock."""
    judged.send(sender=Pair, pair=pair)
    if not _widen(pair, annotator) and counted and pair.judged >= pair.wanted:
        told = {"pair": pair.pk, "judged": pair.judged, "wanted": pair.wanted}
        emit(project=annotator.project, event="pair.completed", **told)


def _widen(pair: Pair, annotator: Annotator) -> bool:
    """A complete pair on which no verdict has more than half of the people wants one judgment more,
    up to the project's limit. The caller holds the pair's lock."""
    if not pair.wanted <= pair.judged or pair.wanted >= annotator.project.overlap_max:
        return False
    said = Counter(
        Judgment.objects.decisive().by_people().filter(pair=pair).values_list("outcome", flat=True)
    )
    if not said or max(said.values()) * 2 > said.total():
        return False
    Pair.objects.filter(pk=pair.pk).update(wanted=F("wanted") + 1)
    pair.wanted += 1
    return True


def _uuid_taken() -> UserError:
    return UserError(
        _("This UUID belongs to another judgment; make a new one for each verdict."),
        code="uuid_taken",
        status=409,
        field="uuid",
    )


def _already_judged() -> UserError:
    return UserError(_("You have judged this pair already."), code="already_judged", status=409)


def _no_lease() -> UserError:
    return UserError(
        _(
            "You do not hold this pair: it was never given to you, or it was taken back. "
            "Ask for the next one."
        ),
        code="no_lease",
        status=409,
    )


def _pair_taken() -> UserError:
    return UserError(
        _(
            "Others have judged this pair meanwhile; your verdict is not needed any more. "
            "Go on with the next pair."
        ),
        code="pair_taken",
        status=409,
    )


def _pair_held() -> UserError:
    return UserError(
        _(
            "You no longer hold this pair, and somebody else is at work on it now. "
            "Go on with the next pair."
        ),
        code="pair_held",
        status=409,
    )
