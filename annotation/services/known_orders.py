"""Right orders that somebody knows, and the sets that are kept for training people."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import OutputSet, Ranking, RankingLease
from annotation.tiers import problem_of
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError

FIELDS = ["is_training", "known_tiers", "known_reason", "known_shown"]
REASON_LIMIT = 20_000


@transaction.atomic
def set_known_order(
    *, output_set: OutputSet, tiers: Sequence[Sequence[int]], reason: str = "", by: User
) -> OutputSet:
    """Keep a set for the training round, with the right order of its outputs; another order takes
    the place of an earlier one. Whoever has it at work loses it.

    Args:
        reason: why it is right; its A, B and C are the outputs by their numbers, or as an
            earlier reason called them (``known_shown``), and everybody is shown them so.

    Raises:
        UserError: the tiers are none of the set's outputs, or people have ranked it already.
    """
    locked = _locked(output_set)
    outputs = sorted(locked.outputs.values_list("pk", flat=True))
    check_order(tiers, outputs, ties=locked.project.scheme["tie"])
    if len(reason) > REASON_LIMIT:
        raise UserError(
            _("The reason has %(n)s characters; at most %(most)s are kept.")
            % {"n": len(reason), "most": REASON_LIMIT},
            field="reason",
        )
    check_unused(locked)
    locked.is_training = True
    locked.known_tiers = [sorted(tier) for tier in tiers]
    locked.known_reason = reason.strip()
    locked.known_shown = (locked.known_shown or outputs) if locked.known_reason else []
    locked.save(update_fields=FIELDS)
    RankingLease.objects.filter(output_set=locked).delete()
    record(by=by, action="known-order-set", target=_named(locked), tiers=locked.known_tiers)
    return locked


@transaction.atomic
def forget_known_order(*, output_set: OutputSet, by: User) -> OutputSet:
    """Take a set out of the training round: from now on it is one to rank like any other."""
    locked = _locked(output_set)
    if locked.is_training:
        locked.is_training, locked.known_tiers = False, []
        locked.known_reason, locked.known_shown = "", []
        locked.save(update_fields=FIELDS)
        record(by=by, action="known-order-forgotten", target=_named(locked))
    return locked


def check_order(
    tiers: Sequence[Sequence[int]], outputs: Collection[int], *, ties: bool, field: str = "tiers"
) -> None:
    """
    Raises:
        UserError: it is no order of the outputs, or has a tie where there is to be none.
    """
    if problem := problem_of(tiers, outputs):
        raise UserError(f"tiers: {problem}", code="bad_tiers", field=field)
    if not ties and len(tiers) < len(outputs):
        raise UserError(
            _("This project takes no ties; give each output a rank of its own."),
            code="no_ties",
            field=field,
        )


def check_unused(output_set: OutputSet) -> None:
    """
    Raises:
        UserError: somebody has ranked or skipped the set, which is a vote and no training.
    """
    if Ranking.objects.current().filter(output_set=output_set).exists():
        raise UserError(
            _(
                "This set has rankings already; only one that nobody has ranked can be for "
                "training."
            ),
            code="set_in_use",
            status=409,
        )


def _locked(output_set: OutputSet) -> OutputSet:
    rows = OutputSet.objects.select_related("project", "prompt")
    return rows.select_for_update(of=("self",), no_key=True).get(pk=output_set.pk)


def _named(output_set: OutputSet) -> str:
    return f"{output_set} in {output_set.project.slug}"
