"""The round before the real work: pairs with known answers, and a word on each.

What is said here is a :class:`TrainingAnswer`, never a judgment. Every attempt goes through all of
the project's training pairs, in the same order; a round that was not passed starts again.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import sides
from annotation.models import Annotator, Outcome, Pair, TrainingAnswer
from annotation.querysets import PairQuerySet
from annotation.services.checking import checked_outcome
from steelyard.lib.errors import UserError


@dataclass(frozen=True)
class TrainingStatus:
    """Where somebody stands in the training round."""

    needed: bool
    """Whether the round comes before any real pair."""
    number: int
    """Which pair of the round comes next, from 1; ``total`` once the round is over."""
    total: int
    right: int
    """Right answers so far in this attempt."""
    attempt: int
    """From 1."""
    pass_percent: int
    failed_last: bool
    """Whether this is another attempt because the last one was not passed."""


@dataclass(frozen=True)
class TrainingFeedback:
    """What is told after an answer; outcomes are of the pair's own sides."""

    correct: bool
    known_outcome: str
    known_reason: str
    status: TrainingStatus


def status(annotator: Annotator) -> TrainingStatus:
    """Where the annotator stands; without training pairs no round is needed."""
    total = _round(annotator).count()
    given = list(_answers(annotator).values_list("correct", flat=True))
    needed = total > 0 and annotator.trained_at is None
    return TrainingStatus(
        needed=needed,
        number=min(len(given) + 1, total),
        total=total,
        right=sum(given),
        attempt=annotator.training_attempt,
        pass_percent=annotator.project.training_pass,
        failed_last=needed and annotator.training_attempt > 1,
    )


def next_training(annotator: Annotator) -> Pair | None:
    """The next pair of the round with all that a page shows of it, or None where none is needed."""
    if annotator.trained_at is not None:
        return None
    left = _left(annotator).with_answers()
    if (pair := left.first()) or not _round(annotator).exists():
        return pair
    # all are answered and yet nothing was decided: the owner took out those that were left
    with transaction.atomic():
        _lock(annotator)
        if annotator.trained_at is None and not _left(annotator).exists():
            _finish(annotator)
    return _left(annotator).with_answers().first() if annotator.trained_at is None else None


def swapped(annotator: Annotator, pair: Pair) -> bool:
    """Whether side b of a training pair is shown first: as its reason speaks of the two, so that
    the “A” of the reason is the A of the screen; drawn where there is no reason."""
    if pair.known_first:
        return pair.known_first == "b"
    return sides.drawn(annotator.pk, pair.pk)


@transaction.atomic
def answer(
    *,
    annotator: Annotator,
    pair: Pair,
    outcome: str,
    strength: int = 0,
    attempt: int | None = None,
) -> TrainingFeedback:
    """Take an answer to a training pair and say whether it is right.

    The first answer to a pair counts in its attempt; asked again, the feedback is the same. The
    last answer of the round opens the real work, or starts the round again.

    Args:
        outcome: of the pair's own sides; skip is no answer.
        attempt: which one the answer belongs to, as ``status`` told before it; the present one
            where not said.

    Raises:
        UserError: it is no training pair of the project, it is not its turn, or the answer is none.
    """
    if outcome == Outcome.SKIP:
        raise UserError(_("In training every pair wants an answer; choose one."), field="outcome")
    strength = checked_outcome(outcome, strength, annotator.project.scheme)
    _lock(annotator)
    if given := _given(annotator, pair, attempt):
        return _feedback(annotator, given.pair, given.correct)
    if attempt not in (None, annotator.training_attempt):
        raise _not_next()
    due = next_training(annotator)
    if due is None or due.pk != pair.pk:
        raise _not_next()
    correct = outcome == due.known_outcome
    TrainingAnswer.objects.create(
        project_id=annotator.project_id,
        pair=due,
        annotator=annotator,
        attempt=annotator.training_attempt,
        outcome=outcome,
        strength=strength,
        correct=correct,
    )
    if not _left(annotator).exists():
        _finish(annotator)
    return _feedback(annotator, due, correct)


def _lock(annotator: Annotator) -> None:
    """One answer of a person at a time: the last one decides about the attempt."""
    held = Annotator.objects.select_for_update(no_key=True).get(pk=annotator.pk)
    annotator.trained_at, annotator.training_attempt = held.trained_at, held.training_attempt


def _round(annotator: Annotator) -> PairQuerySet:
    return Pair.objects.training().filter(project=annotator.project_id)


def _answers(annotator: Annotator) -> QuerySet[TrainingAnswer]:
    """Those of this attempt, to pairs that are still in the round."""
    return TrainingAnswer.objects.filter(
        annotator=annotator, attempt=annotator.training_attempt, pair__in=_round(annotator)
    )


def _left(annotator: Annotator) -> PairQuerySet:
    """Pairs that this attempt has not come to yet, in the order of the round."""
    given = TrainingAnswer.objects.filter(
        annotator=annotator, attempt=annotator.training_attempt
    ).values("pair")
    return _round(annotator).exclude(pk__in=given)


def _given(annotator: Annotator, pair: Pair, attempt: int | None) -> TrainingAnswer | None:
    """The answer that a repeated request asks about: to the same pair in the same attempt. Where
    no attempt is said and the pair is not due, it is the one that came last."""
    answers = TrainingAnswer.objects.filter(annotator=annotator, pair=pair).select_related("pair")
    if attempt is not None:
        return answers.filter(attempt=attempt).first()
    due = next_training(annotator)
    return None if due and due.pk == pair.pk else answers.last()


def _finish(annotator: Annotator) -> None:
    """All pairs of the attempt are answered: passed, or once more."""
    now = status(annotator)
    if now.right * 100 >= now.pass_percent * now.total:
        annotator.trained_at = timezone.now()
    else:
        annotator.training_attempt += 1
    annotator.save(update_fields=["trained_at", "training_attempt"])


def _feedback(annotator: Annotator, pair: Pair, correct: bool) -> TrainingFeedback:
    return TrainingFeedback(
        correct=correct,
        known_outcome=pair.known_outcome,
        known_reason=pair.known_reason,
        status=status(annotator),
    )


def _not_next() -> UserError:
    return UserError(
        _("This training pair is not the next one of yours. Ask for it."),
        code="not_next",
        status=409,
        field="pair",
    )
