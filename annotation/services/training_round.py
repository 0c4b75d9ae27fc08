"""The round before the real work, of pairs: they have known answers, and a word is said on each.

What is said here is a :class:`TrainingAnswer`, never a judgment; see annotation.services.rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from annotation import sides
from annotation.models import Annotator, Outcome, Pair, TrainingAnswer
from annotation.services import rounds
from annotation.services.checking import checked_outcome
from annotation.services.rounds import TrainingStatus, status
from steelyard.lib.errors import UserError

__all__ = ["TrainingFeedback", "TrainingStatus", "answer", "next_training", "status", "swapped"]


@dataclass(frozen=True)
class TrainingFeedback:
    """What is told after an answer; outcomes are of the pair's own sides."""

    correct: bool
    known_outcome: str
    known_reason: str
    status: TrainingStatus


def next_training(annotator: Annotator) -> Pair | None:
    """The next pair of the round with all that a page shows of it, or None where none is needed."""
    return rounds.due(annotator)


def swapped(annotator: Annotator, pair: Pair) -> bool:
    """Whether side b of a training pair is shown first: as its reason speaks of the two, so that
    the “A” of the reason is the A of the screen; drawn where there is no reason."""
    if pair.known_first:
        return pair.known_first == "b"
    return sides.drawn(annotator.pk, pair.pk)


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

    def said_of(due: Pair) -> TrainingAnswer:
        correct = outcome == due.known_outcome
        return TrainingAnswer(outcome=outcome, strength=strength, correct=correct)

    given = rounds.take(annotator=annotator, of=pair, attempt=attempt, answer=said_of)
    known = given.pair
    assert known is not None
    return TrainingFeedback(
        correct=given.correct,
        known_outcome=known.known_outcome,
        known_reason=known.known_reason,
        status=status(annotator),
    )
