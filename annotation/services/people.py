"""What the owner settles for one person who labels: pause, cap, quota, taking pairs back."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Annotator, Assignment, RankingLease
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError

CHANGEABLE = {"cap", "quota", "paused"}
MOST = 1_000_000
"""Verdicts that a cap or a quota may name."""


@transaction.atomic
def set_person(*, annotator: Annotator, by: User, **values: Any) -> Annotator:
    """Change any of ``CHANGEABLE``; a cap or quota of None is none.

    Raises:
        UserError: a number out of range, or the annotator is an AI judge.
    """
    _is_a_person(annotator)
    assert set(values) <= CHANGEABLE
    for name in {"cap", "quota"} & set(values):
        value = values[name]
        if value is not None and not 1 <= value <= MOST:
            raise UserError(
                _("%(value)s is out of range; it must be 1 to %(most)s verdicts, or empty.")
                % {"value": value, "most": MOST},
                field=name,
            )
    changed = {name: value for name, value in values.items() if getattr(annotator, name) != value}
    for name, value in changed.items():
        setattr(annotator, name, value)
    if changed:
        annotator.save(update_fields=list(changed))
        record(by=by, action="annotator-changed", target=_named(annotator), **changed)
    return annotator


@transaction.atomic
def take_back(*, annotator: Annotator, by: User) -> int:
    """End the person's leases, so that others are given the pairs and the sets. What they have
    written stays: they may hand it in while a place is free, and find it again if they are given
    the pair anew.

    Returns:
        how many there were.
    """
    _is_a_person(annotator)
    n = 0
    for leases in (Assignment, RankingLease):
        held = leases.objects.live().filter(annotator=annotator)
        n += held.update(expires_at=timezone.now())
    if n:
        record(by=by, action="leases-taken-back", target=_named(annotator), leases=n)
    return n


def _is_a_person(annotator: Annotator) -> None:
    if annotator.kind != Annotator.Kind.PERSON:
        raise UserError(
            _("%(name)s is an AI judge; this is for people alone.") % {"name": annotator},
            code="not_a_person",
        )


def _named(annotator: Annotator) -> str:
    return f"{annotator} in {annotator.project.slug}"
