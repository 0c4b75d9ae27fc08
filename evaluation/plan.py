"""How people are asked: about which pairs, how many votes at most, and when that stops.

Everything but all pairs at once is asked in batches, so that a budget is kept to the vote and
little is left open when the question is answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from steelyard.lib.errors import UserError

PAIRS = {
    "all": gettext_lazy("Every candidate against the baseline, on every prompt"),
    "active": gettext_lazy("Those that tell most: any two of the models may meet"),
}
STOPS = {
    "fixed": gettext_lazy("When every pair, or the budget, is used up"),
    "always_valid": gettext_lazy("As soon as the answer is sure, by evidence valid at all times"),
}


@dataclass(frozen=True)
class Plan:
    """What an evaluation's ``plan`` says; all pairs at once and no stop where it is empty."""

    pairs: str = "all"
    """A key of :data:`PAIRS`."""
    budget: int | None = None
    """How many votes of people at most; None for no limit."""
    random_share: float = 0.2
    """Of active pairs: how many of them chance alone draws."""
    stop: str = "fixed"
    """A key of :data:`STOPS`."""
    alpha: float = 0.05
    """Chance of ever saying something wrong, however often one looks."""
    delta: float = 0.05
    """The difference from 50 % that would not matter."""

    def __post_init__(self) -> None:
        _one_of("pairs", self.pairs, PAIRS)
        _one_of("stop", self.stop, STOPS)
        if self.budget is not None and (
            isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 1
        ):
            raise UserError(
                _("The budget is a number of votes, 1 or more, or empty for no limit."),
                field="budget",
            )
        _between("random_share", self.random_share, 0.05, 1.0)
        _between("alpha", self.alpha, 0.001, 0.2)
        _between("delta", self.delta, 0.005, 0.25)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Plan:
        """
        Raises:
            UserError: there is something in it that no plan has, or a value is out of bounds.
        """
        if unknown := set(said) - {field.name for field in fields(cls)}:
            raise UserError(
                _("A plan has no “%(name)s”.") % {"name": min(unknown)}, field=min(unknown)
            )
        return cls(**said)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_active(self) -> bool:
        return self.pairs == "active"

    @property
    def stops_itself(self) -> bool:
        return self.stop == "always_valid"

    @property
    def in_batches(self) -> bool:
        """Whether pairs come into the queue a few at a time."""
        return self.is_active or self.stops_itself or self.budget is not None


def checked_plan(
    said: Mapping[str, Any] | None, *, ask_people: bool, candidates: int = 2
) -> dict[str, Any]:
    """The plan in full as it is stored; nothing where people are asked about all pairs at once.

    Args:
        candidates: how many models are held against the baseline.

    Raises:
        UserError: as :meth:`Plan.of`, it is about people's votes and nobody asks any, or pairs are
            to be chosen where there is a single one of each prompt.
    """
    plan = Plan.of(said or {})
    if not plan.in_batches:
        return {}
    if not ask_people:
        raise UserError(
            _("A plan is about people's votes, and this evaluation asks no people."),
            code="plan_without_people",
            field="plan",
        )
    if plan.is_active and candidates < 2:
        raise UserError(
            _("With one new model there is nothing to choose: all meet the baseline."),
            code="nothing_to_choose",
            field="pairs",
        )
    return plan.as_json()


def _one_of(field: str, value: Any, known: Mapping[str, Any]) -> None:
    if value not in known:
        raise UserError(
            _("%(field)s is one of %(known)s.") % {"field": field, "known": ", ".join(known)},
            field=field,
        )


def _between(field: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        raise UserError(
            _("%(field)s is a number from %(low)s to %(high)s.")
            % {"field": field, "low": low, "high": high},
            field=field,
        )
