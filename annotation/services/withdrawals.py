"""Taking votes back: an annotator's, of some days or all, or those of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.juries import recount_in
from annotation.models import Annotator, Judgment, Withdrawal
from annotation.querysets import JudgmentQuerySet
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.projects.models import Project
from steelyard.projects.policy import STAFF
from steelyard.registry.lineage import Contained, versions_with_votes
from steelyard.runs.models import Run

KINDS = ("judge", "score")
"""Of runs that give votes: a judge's and a scorer's."""


@dataclass(frozen=True)
class Reach:
    """What votes have gone into."""

    votes: int
    """Current judgments, skips among them."""
    ranked: int
    """Those that leaderboards would count: left out while the withdrawal is in force."""
    versions: list[Contained]


@transaction.atomic
def withdraw(
    *,
    project: Project,
    reason: str,
    annotator: Annotator | None = None,
    run: Run | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    by: User | None,
) -> Withdrawal:
    """Say that votes are no longer to count in versions that are frozen from now on.

    One that was lifted is in force again, with its new reason; the same again with the same reason
    changes nothing.

    Raises:
        UserError: there is no reason, neither annotator nor run, no such vote, the end lies before
            the beginning, or they are withdrawn already for another reason.
    """
    reason = reason.strip()
    if not reason:
        raise UserError(_("Say why, for those who ask later."), field="reason")
    if annotator is None and run is None:
        raise UserError(_("Name an annotator or a run."), field="annotator")
    if since and until and since >= until:
        raise UserError(_("The end must come after the beginning."), field="until")
    values = {"annotator": annotator, "run": run, "since": since, "until": until}
    named = {
        "annotator": annotator.name if annotator else None,
        "run": str(run.uuid) if run else None,
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
    }
    said = Withdrawal(project=project, key=digest_of(named)[:16], **values)
    if not Judgment.objects.filter(said.covers()).exists():
        raise UserError(_("There is no vote of these, so nothing to withdraw."), code="no_votes")
    # one at a time, so that nobody's reason takes the place of another's
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    earlier = Withdrawal.objects.filter(project=project, key=said.key, lifted_at=None).first()
    if earlier is not None and earlier.reason == reason:
        return earlier
    if earlier is not None:
        raise UserError(
            _(
                "These votes are withdrawn already, because: “%(reason)s” Nothing has changed. To "
                "give another reason, lift that withdrawal first."
            )
            % {"reason": earlier.reason},
            code="withdrawn",
            status=409,
        )
    withdrawal, _created = Withdrawal.objects.update_or_create(
        project=project,
        key=said.key,
        defaults={
            **values,
            "reason": reason,
            "created_by": by,
            "lifted_at": None,
            "lifted_by": None,
        },
    )
    recount_in(project.pk)
    record(by=by, action="votes.withdraw", target=project.slug, key=said.key, reason=reason)
    return withdrawal


@transaction.atomic
def lift(*, withdrawal: Withdrawal, by: User | None) -> None:
    """Let the votes count again in versions that are frozen from now on.

    Raises:
        UserError: they do already.
    """
    rows = Withdrawal.objects.filter(pk=withdrawal.pk, lifted_at=None)
    if not rows.update(lifted_at=timezone.now(), lifted_by=by):
        raise UserError(_("This withdrawal is lifted already."), code="lifted", status=409)
    recount_in(withdrawal.project_id)
    record(by=by, action="votes.restore", target=withdrawal.project.slug, key=withdrawal.key)


def judgments_of(withdrawal: Withdrawal) -> JudgmentQuerySet:
    return Judgment.objects.current().filter(withdrawal.covers())


def reach(withdrawal: Withdrawal, by: User | None = None) -> Reach:
    """Where its votes are. Every version of the project is looked through, and those of other
    projects that are drawn from it: of one whose home is closed to the person no more is told than
    that it holds them. The server itself (None) is told all."""
    rows = judgments_of(withdrawal)
    found = versions_with_votes(
        project=withdrawal.project, votes=_uuids(withdrawal), annotator=_name(withdrawal)
    )
    homes = Project.objects.with_role(by, STAFF) if by else Project.objects.all()
    homes = homes.filter(pk__in={one.version.project_id for one in found})
    open_to = set(homes.values_list("pk", flat=True))
    return Reach(
        votes=rows.count(),
        ranked=rows.rated().count(),
        versions=[
            one if one.version.project_id in open_to else replace(one, models=[], closed=True)
            for one in found
        ],
    )


def _uuids(withdrawal: Withdrawal) -> Iterator[bytes]:
    """Of superseded ones too: they may have been frozen when they were current."""
    rows = Judgment.objects.filter(withdrawal.covers()).order_by()
    return (uuid.bytes for uuid in rows.values_list("uuid", flat=True).iterator())


def _name(withdrawal: Withdrawal) -> str:
    return withdrawal.annotator.name if withdrawal.annotator else ""
