"""Taking in rankings: each is stored once, or refused with a reason, together with what it says of
each two of its outputs (annotation.services.ranked_pairs).

Whoever writes holds the set's row lock first, then the pairs', by their numbers; the queue locks
sets only, so nobody waits for anybody in a ring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import places
from annotation.evidence import checked_evidence
from annotation.models import Annotator, Outcome, Output, OutputSet, Ranking, RankingLease
from annotation.services.checking import Verdict, check_reasons, shown_of
from annotation.services.completion import tell_completed
from annotation.services.known_orders import check_order
from annotation.services.ranked_pairs import Ranked, expand
from annotation.services.recording import free_place, once
from annotation.tiers import are_at_odds
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project


@dataclass(frozen=True)
class Order:
    """What an annotator says of a set."""

    uuid: UUID
    tiers: list[list[int]] = field(default_factory=list)
    """Numbers of outputs, the best first; those in one list are tied. Empty for a skip."""
    skipped: bool = False
    skip_reason: str = ""
    rationale: str = ""
    tags: list[str] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    """As of a Verdict, with the number of an ``output`` in place of a side."""
    exposure: dict[str, Any] = field(default_factory=dict)
    """As of a Verdict, with outputs by their numbers under ``outputs`` in place of a and b."""
    duration_ms: int | None = None


def record_ranking(
    *, annotator: Annotator, output_set: OutputSet, order: Order
) -> tuple[Ranking, bool]:
    """Store a ranking and its judgments, once and all or nothing.

    The same UUID again is the same ranking. A lease that has run out is no obstacle while the set
    still wants a ranking.

    Returns:
        the ranking, and whether it is new.

    Raises:
        UserError: the tiers are none of the set's outputs or contradict the label scheme, the UUID
            was used for another one, the annotator has ranked the set already or was never given
            it, or others have completed it meanwhile.
    """
    if found := _once(annotator, output_set, order, partial(_store, annotator, output_set)):
        return found
    ranked = Ranking.objects.current().filter(output_set=output_set, annotator=annotator)
    if ranked.exists():
        raise UserError(_("You have ranked this set already."), code="already_ranked", status=409)
    raise UserError(
        _(
            "You do not hold this set: it was never given to you, or it was taken back. "
            "Ask for the next one."
        ),
        code="no_lease",
        status=409,
    )


def amend_ranking(*, annotator: Annotator, ranking: Ranking, order: Order) -> tuple[Ranking, bool]:
    """Put a set that one has ranked in another order: a new ranking that supersedes the old, with
    new judgments that supersede the old ones'.

    No lease is needed. A ranking that becomes a skip gives its place back; a skip that becomes a
    ranking takes a place, if one is free. The same UUID again is the same ranking.

    Raises:
        UserError: as for :func:`record_ranking`; ``not_current`` (409) where the ranking is not
            the annotator's own or has been superseded already.
    """
    if order.uuid == ranking.uuid:
        raise _uuid_taken()
    write = partial(_supersede, annotator, ranking)
    if found := _once(annotator, ranking.output_set, order, write):
        return found
    raise UserError(
        _("That is not your current ranking of this set, so it cannot be changed."),
        code="not_current",
        status=409,
    )


def checked(order: Order, *, project: Project, outputs: list[Output]) -> Order:
    """The order as it is to be stored, if the set and the label scheme allow it.

    Raises:
        UserError: naming the field and what would be right.
    """
    scheme = project.scheme
    outcome = Outcome.SKIP if order.skipped else Outcome.TIE
    words = Verdict(
        uuid=order.uuid,
        outcome=outcome,
        rationale=order.rationale,
        tags=order.tags,
        evidence=order.evidence,
        skip_reason=order.skip_reason,
    )
    if order.skipped and order.tiers:
        raise UserError(_("A skip puts nothing in order; leave tiers out."), field="tiers")
    if not order.skipped:
        check_order(order.tiers, [output.pk for output in outputs], ties=scheme["tie"])
    check_reasons(words, scheme)
    evidence = order.evidence
    if evidence:
        there = {output.pk: shown_of(output) for output in outputs}
        evidence = checked_evidence(evidence, there, where="output")
    return replace(order, tiers=[sorted(tier) for tier in order.tiers], evidence=evidence)


def _once(
    annotator: Annotator,
    output_set: OutputSet,
    order: Order,
    write: Callable[[Order, list[Output]], Ranking | None],
) -> tuple[Ranking, bool] | None:
    outputs = list(output_set.outputs.select_related("model", "asset").order_by("key"))
    return once(
        check=lambda: checked(order, project=annotator.project, outputs=outputs),
        write=lambda said: write(said, outputs),
        replayed=lambda: _replayed(annotator, output_set, order),
    )


def _replayed(annotator: Annotator, output_set: OutputSet, order: Order) -> Ranking | None:
    """The ranking of that UUID, if it is there."""
    known = Ranking.objects.filter(uuid=order.uuid).select_related("output_set").first()
    if known is None:
        return None
    same = (known.annotator_id, known.output_set_id, known.skipped)
    if same != (annotator.pk, output_set.pk, order.skipped):
        raise _uuid_taken()
    return known


def _store(
    annotator: Annotator, output_set: OutputSet, said: Order, outputs: list[Output]
) -> Ranking | None:
    """Write the ranking, count it and give the lease back; None where there is no lease."""
    locked = OutputSet.objects.select_for_update(no_key=True).get(pk=output_set.pk)
    lease = RankingLease.objects.filter(output_set=locked, annotator=annotator).first()
    if lease is None:
        return None
    idle: list[int] | None = []
    if not said.skipped:
        free = locked.wanted - locked.judged
        if free <= 0:
            raise _set_taken()
        if lease.expires_at <= timezone.now():
            idle = places.claim(RankingLease.objects.of_others(locked, annotator), free=free)
            if idle is None:
                raise _set_held()
        _count(locked, 1)
    lease.delete()
    ranking = ranking_of(annotator, locked, said, shown=lease.shown)
    _write(ranking, locked, outputs, counted=not said.skipped)
    if idle:
        others = RankingLease.objects.of_others(locked, annotator)
        places.make_room(others, idle, free=locked.wanted - locked.judged)
    return ranking


def _supersede(
    annotator: Annotator, ranking: Ranking, said: Order, outputs: list[Output]
) -> Ranking | None:
    """Write the new ranking and mend the count; None where the old one does not stand."""
    locked = OutputSet.objects.select_for_update(no_key=True).get(pk=ranking.output_set_id)
    mine = Ranking.objects.current().filter(pk=ranking.pk, annotator=annotator)
    if not mine.update(is_current=False):
        return None
    takes_place = ranking.skipped and not said.skipped
    if takes_place:
        others = RankingLease.objects.of_others(locked, annotator)
        free_place(locked, others, taken=_set_taken, held=_set_held)
    _count(locked, ranking.skipped - said.skipped)
    amended = ranking_of(annotator, locked, said, shown=ranking.shown, supersedes=ranking)
    return _write(amended, locked, outputs, counted=takes_place)


def _write(ranking: Ranking, locked: OutputSet, outputs: list[Output], *, counted: bool) -> Ranking:
    """Store it with its judgments; ``counted``: it took one of the set's places."""
    ranking.save(force_insert=True)
    judgments = expand(ranked=[Ranked(ranking, outputs)])
    if not _widen(locked, ranking.annotator) and counted and locked.judged >= locked.wanted:
        tell_completed(project=ranking.annotator.project, judgments=judgments)
    return ranking


def _widen(locked: OutputSet, annotator: Annotator) -> bool:
    """A complete set on whose order people are at odds wants one ranking more, up to the project's
    limit, as a pair does. The caller holds the set's lock."""
    if locked.judged < locked.wanted or locked.wanted >= annotator.project.overlap_max:
        return False
    rows = Ranking.objects.decisive().filter(output_set=locked, annotator__kind="person")
    if not are_at_odds(list(rows.values_list("tiers", flat=True))):
        return False
    OutputSet.objects.filter(pk=locked.pk).update(wanted=F("wanted") + 1)
    locked.wanted += 1
    return True


def ranking_of(
    annotator: Annotator,
    output_set: OutputSet,
    said: Order,
    *,
    shown: list[int],
    supersedes: Ranking | None = None,
) -> Ranking:
    """The row alone, not stored yet; whoever calls holds the set's lock, counts and expands."""
    return Ranking(
        uuid=said.uuid,
        project_id=output_set.project_id,
        output_set=output_set,
        annotator=annotator,
        tiers=said.tiers,
        skipped=said.skipped,
        skip_reason=said.skip_reason,
        rationale=said.rationale.strip(),
        tags=said.tags,
        evidence=said.evidence,
        shown=shown,
        exposure=said.exposure,
        duration_ms=said.duration_ms,
        supersedes=supersedes,
    )


def _count(output_set: OutputSet, change: int) -> None:
    """On the row and on the object, whose lock the caller holds."""
    if change:
        OutputSet.objects.filter(pk=output_set.pk).update(judged=F("judged") + change)
        output_set.judged += change


def _uuid_taken() -> UserError:
    return UserError(
        _("This UUID belongs to another ranking; make a new one for each."),
        code="uuid_taken",
        status=409,
        field="uuid",
    )


def _set_taken() -> UserError:
    return UserError(
        _("Others have ranked this set meanwhile; go on with the next one."),
        code="set_taken",
        status=409,
    )


def _set_held() -> UserError:
    return UserError(
        _("You no longer hold this set, and somebody else is at work on it now; go on."),
        code="set_held",
        status=409,
    )
