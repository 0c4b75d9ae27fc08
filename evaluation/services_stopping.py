"""What is asked of an evaluation that votes come in for: stop, or go on."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from evaluation import asking
from evaluation.models import Evaluation
from evaluation.plan import Plan
from evaluation.stopping import BUDGET, BY_HAND, DECIDED, NO_PAIRS
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError


@transaction.atomic
def stop_evaluation(*, evaluation: Evaluation, by: User) -> None:
    """Ask people no more. Whoever has a pair on the screen may finish it; votes are kept.

    Raises:
        UserError: people are not asked, outputs are not there yet, or voting has stopped already.
    """
    _lock(evaluation)
    _check_voting(evaluation)
    if evaluation.stopped_at is not None:
        raise UserError(_("Voting has stopped already."), code="stopped", status=409)
    asking.stop(evaluation, BY_HAND)
    record(by=by, action="evaluation-stopped", target=evaluation.name, evaluation=evaluation.pk)


@transaction.atomic
def go_on(*, evaluation: Evaluation, by: User, budget: int | None = None) -> None:
    """Ask people again, or, while they are asked, raise the budget. What was decided stays said;
    after a decision voting goes on until the pairs or the budget are used up, since there is
    nothing left to wait for.

    Args:
        budget: votes at most, from the beginning; the plan's own where not given.

    Raises:
        UserError: people are not asked, outputs are not there yet, voting goes on anyway and no
            larger budget is given, no pairs are left, or the budget is no larger than what is used
            up.
    """
    _lock(evaluation)
    _check_voting(evaluation)
    if evaluation.stopped_at is None:
        _raise_budget(evaluation, budget)
        record(by=by, action="evaluation-budget", target=evaluation.name, evaluation=evaluation.pk)
        return
    if evaluation.stop_reason == NO_PAIRS:
        raise UserError(
            _("Every pair has its votes; there is nothing left to ask about."),
            code="no_pairs",
            status=409,
        )
    _extend(evaluation, budget)
    evaluation.stopped_at, evaluation.stop_reason = None, ""
    evaluation.save(update_fields=["plan", "stopped_at", "stop_reason"])
    asking.reopen(evaluation)
    if evaluation.plan:
        asking.open_more(evaluation)
    record(by=by, action="evaluation-resumed", target=evaluation.name, evaluation=evaluation.pk)


def _extend(evaluation: Evaluation, budget: int | None) -> None:
    if not evaluation.plan:
        if budget is not None:
            raise UserError(
                _("All pairs are in the queue at once here; a budget is part of a plan."),
                field="budget",
            )
        return
    changed = dict(evaluation.plan)
    if budget is not None:
        changed["budget"] = budget
    if evaluation.stop_reason == DECIDED:
        changed["stop"] = "fixed"
    evaluation.plan = Plan.of(changed).as_json()
    limit = evaluation.plan["budget"]
    if (evaluation.stop_reason == BUDGET or budget is not None) and limit is not None:
        used = asking.spent(evaluation)
        if limit <= used:
            raise UserError(
                _("%(used)s votes are used up; give a larger budget.") % {"used": used},
                code="budget_used",
                status=409,
                field="budget",
            )


def _raise_budget(evaluation: Evaluation, budget: int | None) -> None:
    """While people are asked: pairs that they have on the screen are within the old one."""
    if budget is None:
        raise UserError(_("Voting goes on already."), code="not_stopped", status=409)
    before = Plan.of(evaluation.plan).budget
    if evaluation.plan and (before is None or budget < before):
        raise UserError(
            _("While voting goes on the budget can be raised, not lowered: stop it first."),
            code="budget_lowered",
            status=409,
            field="budget",
        )
    _extend(evaluation, budget)
    evaluation.save(update_fields=["plan"])
    asking.open_more(evaluation)


def _check_voting(evaluation: Evaluation) -> None:
    """
    Raises:
        UserError: nobody can be asked, or not yet.
    """
    words = ""
    if not evaluation.ask_people:
        words = _("No people are asked in this evaluation.")
    elif evaluation.state == Evaluation.State.GENERATING:
        words = _("There are no outputs yet; people are asked when they are there.")
    elif evaluation.state != Evaluation.State.COMPARING:
        words = _("There are no outputs to compare.")
    if words:
        raise UserError(words, code="not_voting", status=409)


def _lock(evaluation: Evaluation) -> None:
    """Hold the row, and bring the object up to what it says."""
    Evaluation.objects.select_for_update(of=("self",)).get(pk=evaluation.pk)
    evaluation.refresh_from_db()
