"""Annotators' words that something is wrong with a pair or a set to rank, and what the owner
decides."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import (
    Annotator,
    Assignment,
    Flag,
    Judgment,
    OutputSet,
    Pair,
    Ranking,
    RankingLease,
)
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError

NOTE_LIMIT = 2000


def raise_flag(
    *, annotator: Annotator, of: Pair | OutputSet, reason: str, note: str = "", uuid: UUID
) -> tuple[Flag, bool]:
    """Tell the owner that something is wrong with a pair or a set, once for each reason.

    Only with one that the annotator holds, has judged or was shown in training.

    Returns:
        the flag, and whether it is new: the same UUID, or the same reason again, is the same flag.

    Raises:
        UserError: the project has no such reason, the note is too long, it was not given to the
            annotator, or the UUID is another flag's.
    """
    reasons = annotator.project.scheme["flag_reasons"]
    if reason not in reasons:
        raise UserError(
            _("Choose a reason: %(known)s.") % {"known": ", ".join(reasons)},
            code="unknown_reason",
            field="reason",
        )
    if len(note) > NOTE_LIMIT:
        raise UserError(
            _("The note has %(n)d characters; at most %(limit)d are kept.")
            % {"n": len(note), "limit": NOTE_LIMIT},
            field="note",
        )
    if "\0" in note:
        raise UserError(_("The note has a character that no text has (NUL)."), field="note")
    if known := _known(annotator, of, reason, uuid):
        return known, False
    if not _was_shown(annotator, of):
        raise UserError(
            _("You do not hold this and have not judged it, so there is nothing to flag."),
            code="no_lease",
            status=409,
        )
    try:
        with transaction.atomic():
            flag = Flag.objects.create(
                uuid=uuid,
                project_id=annotator.project_id,
                **{_field(of): of},
                annotator=annotator,
                reason=reason,
                note=note.strip(),
            )
    except IntegrityError:
        # a second copy of the same request was quicker
        if known := _known(annotator, of, reason, uuid):
            return known, False
        raise
    return flag, True


@transaction.atomic
def resolve(*, flag: Flag, by: User, remove: bool) -> Flag:
    """Decide on a flagged pair or set: take it out of the queue, or keep it.

    All its open flags are decided with this one. What is taken out keeps its judgments; whoever
    holds it loses it. Deciding again replaces the first decision, so that what was taken out by
    mistake comes back.
    """
    of = _locked(flag)
    flags = Flag.objects.filter(**{_field(of): of})
    state = Flag.State.REMOVED if remove else Flag.State.KEPT
    decided = flags.exclude(state=state)
    if flag.state == Flag.State.OPEN and not remove:
        # that one complaint is no matter does not bring back what was taken out for another
        decided = decided.filter(state=Flag.State.OPEN)
    decided.update(state=state, resolved_by=by, resolved_at=timezone.now())
    of.closed = flags.filter(state=Flag.State.REMOVED).exists()
    of.save(update_fields=["closed"])
    if of.closed:
        leases = Assignment.objects if isinstance(of, Pair) else RankingLease.objects
        leases.filter(**{_field(of): of}).delete()
    flag.refresh_from_db()
    what = "pair" if isinstance(of, Pair) else "set"
    action = f"{what}-taken-out" if remove else f"{what}-kept"
    target = f"{of} in {flag.project.slug}"
    record(by=by, action=action, target=target, flag=str(flag.uuid), reason=flag.reason)
    return flag


def _field(of: Pair | OutputSet) -> str:
    return "pair" if isinstance(of, Pair) else "output_set"


def _locked(flag: Flag) -> Pair | OutputSet:
    if flag.pair_id is not None:
        return Pair.objects.select_for_update(no_key=True).get(pk=flag.pair_id)
    sets = OutputSet.objects.select_for_update(of=("self",), no_key=True)
    return sets.get(flags=flag)


def _known(annotator: Annotator, of: Pair | OutputSet, reason: str, uuid: UUID) -> Flag | None:
    mine = Flag.objects.filter(annotator=annotator, **{_field(of): of})
    known = Flag.objects.filter(uuid=uuid).first()
    if known and not mine.filter(pk=known.pk).exists():
        raise UserError(
            _("This UUID belongs to another flag; make a new one for each."),
            code="uuid_taken",
            status=409,
            field="uuid",
        )
    return known or mine.filter(reason=reason).first()


def _was_shown(annotator: Annotator, of: Pair | OutputSet) -> bool:
    if of.project_id != annotator.project_id:
        return False
    if of.is_training:
        return True
    if isinstance(of, OutputSet):
        sets = (RankingLease.objects.all(), Ranking.objects.current())
        return any(found.filter(output_set=of, annotator=annotator).exists() for found in sets)
    rows = (Assignment.objects.all(), Judgment.objects.current())
    return any(found.filter(pair=of, annotator=annotator).exists() for found in rows)
