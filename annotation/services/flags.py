"""Annotators' words that something is wrong with a pair, and what the owner decides."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Annotator, Assignment, Flag, Judgment, Pair
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError

NOTE_LIMIT = 2000


def raise_flag(
    *, annotator: Annotator, pair: Pair, reason: str, note: str = "", uuid: UUID
) -> tuple[Flag, bool]:
    """Tell the owner that something is wrong with a pair, once for each reason.

    Only with a pair that the annotator holds, has judged or was shown in training.

    Returns:
        the flag, and whether it is new: the same UUID, or the same reason again, is the same flag.

    Raises:
        UserError: the project has no such reason, the note is too long, the pair was not given to
            the annotator, or the UUID is another flag's.
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
    if known := _known(annotator, pair, reason, uuid):
        return known, False
    if not _was_shown(annotator, pair):
        raise UserError(
            _("You do not hold this pair and have not judged it, so there is nothing to flag."),
            code="no_lease",
            status=409,
        )
    try:
        with transaction.atomic():
            flag = Flag.objects.create(
                uuid=uuid,
                project_id=annotator.project_id,
                pair=pair,
                annotator=annotator,
                reason=reason,
                note=note.strip(),
            )
    except IntegrityError:
        # a second copy of the same request was quicker
        if known := _known(annotator, pair, reason, uuid):
            return known, False
        raise
    return flag, True


@transaction.atomic
def resolve(*, flag: Flag, by: User, remove: bool) -> Flag:
    """Decide on a flagged pair: take it out of the queue, or keep it.

    All its open flags are decided with this one. A pair taken out keeps its judgments; whoever
    holds it loses it. Deciding again replaces the first decision, so that a pair taken out by
    mistake comes back.
    """
    pair = Pair.objects.select_for_update(no_key=True).get(pk=flag.pair_id)
    state = Flag.State.REMOVED if remove else Flag.State.KEPT
    decided = Flag.objects.filter(pair=pair).exclude(state=state)
    if flag.state == Flag.State.OPEN and not remove:
        # that one complaint is no matter does not bring back a pair taken out for another
        decided = decided.filter(state=Flag.State.OPEN)
    decided.update(state=state, resolved_by=by, resolved_at=timezone.now())
    closed = Flag.objects.filter(pair=pair, state=Flag.State.REMOVED).exists()
    Pair.objects.filter(pk=pair.pk).update(closed=closed)
    if closed:
        Assignment.objects.filter(pair=pair).delete()
    flag.refresh_from_db()
    action = "pair-taken-out" if remove else "pair-kept"
    target = f"{pair} in {flag.project.slug}"
    record(by=by, action=action, target=target, flag=str(flag.uuid), reason=flag.reason)
    return flag


def _known(annotator: Annotator, pair: Pair, reason: str, uuid: UUID) -> Flag | None:
    known = Flag.objects.filter(uuid=uuid).first()
    if known and (known.annotator_id, known.pair_id) != (annotator.pk, pair.pk):
        raise UserError(
            _("This UUID belongs to another flag; make a new one for each."),
            code="uuid_taken",
            status=409,
            field="uuid",
        )
    return known or Flag.objects.filter(pair=pair, annotator=annotator, reason=reason).first()


def _was_shown(annotator: Annotator, pair: Pair) -> bool:
    if pair.project_id != annotator.project_id:
        return False
    if pair.is_training:
        return True
    rows = (Assignment.objects.all(), Judgment.objects.current())
    return any(found.filter(pair=pair, annotator=annotator).exists() for found in rows)
