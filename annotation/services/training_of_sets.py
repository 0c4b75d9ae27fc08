"""The round before the real work, of sets: each has a known order, and what differs from it is
told. See annotation.services.rounds for what comes next and when it is passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from annotation.models import Annotator, OutputSet, TrainingAnswer
from annotation.services import rounds
from annotation.services.known_orders import check_order
from annotation.services.rounds import TrainingStatus, status
from annotation.tiers import Difference, differences, shuffled


@dataclass(frozen=True)
class OrderFeedback:
    """What is told after an order."""

    correct: bool
    """Whether it is the known one throughout."""
    known_tiers: list[list[int]]
    known_reason: str
    tiers: list[list[int]]
    """What the annotator said: the first answer of the attempt."""
    agreed: int
    compared: int
    differences: list[Difference]
    """The comparisons of two that are not as known."""
    status: TrainingStatus


def next_training_set(annotator: Annotator) -> OutputSet | None:
    """The next set of the round with its prompt, or None where none is needed."""
    return rounds.due(annotator)


def shown_in_training(annotator: Annotator, output_set: OutputSet) -> list[int]:
    """The order of the screen: as its reason calls the outputs A, B, C; drawn where there is no
    reason."""
    outputs = list(output_set.outputs.values_list("pk", flat=True))
    return output_set.known_shown or shuffled(annotator.pk, output_set.pk, outputs)


def answer_set(
    *,
    annotator: Annotator,
    output_set: OutputSet,
    tiers: list[list[int]],
    attempt: int | None = None,
) -> OrderFeedback:
    """Take an order of a training set and say what of it is as known.

    The first order of a set counts in its attempt; asked again, the feedback is the same. The last
    one of the round opens the real work, or starts the round again: what counts is the share of
    all comparisons of two that are as known.

    Args:
        attempt: which one the answer belongs to, as ``status`` told before it; the present one
            where not said.

    Raises:
        UserError: the tiers are none of the set's outputs, it is no training set of the project, or
            it is not its turn.
    """
    outputs = list(output_set.outputs.values_list("pk", flat=True))
    check_order(tiers, outputs, ties=annotator.project.scheme["tie"])

    def said_of(due: OutputSet) -> TrainingAnswer:
        compared = len(outputs) * (len(outputs) - 1) // 2
        wrong = len(differences(tiers, due.known_tiers))
        return TrainingAnswer(
            tiers=[sorted(tier) for tier in tiers],
            correct=not wrong,
            agreed=compared - wrong,
            compared=compared,
        )

    given = rounds.take(annotator=annotator, of=output_set, attempt=attempt, answer=said_of)
    known = given.output_set
    assert known is not None
    assert given.agreed is not None
    return OrderFeedback(
        correct=given.correct,
        known_tiers=known.known_tiers,
        known_reason=known.known_reason,
        tiers=given.tiers,
        agreed=given.agreed,
        compared=given.compared,
        differences=differences(given.tiers, known.known_tiers),
        status=status(annotator),
    )
