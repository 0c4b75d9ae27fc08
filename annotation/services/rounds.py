"""The round before the real work, of pairs or of sets as the project's task is: what comes next,
what counts, when it is passed.

Every attempt goes through all of the project's training pairs or sets, in the same order; a round
that was not passed starts again. What is said in it is a :class:`TrainingAnswer` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Annotator, OutputSet, Pair, TrainingAnswer
from steelyard.lib.errors import UserError


@dataclass(frozen=True)
class TrainingStatus:
    """Where somebody stands in the training round."""

    needed: bool
    """Whether the round comes before any real work."""
    number: int
    """Which pair or set of the round comes next, from 1; ``total`` once the round is over."""
    total: int
    right: int
    """Right answers so far in this attempt; of sets, comparisons of two that are as known."""
    compared: int
    """Of how many: answers given, or the comparisons of two in the sets that were put in order."""
    attempt: int
    """From 1."""
    pass_percent: int
    failed_last: bool
    """Whether this is another attempt because the last one was not passed."""


def status(annotator: Annotator) -> TrainingStatus:
    """Where the annotator stands; without training pairs or sets no round is needed."""
    total = round_of(annotator).count()
    given = list(_answers(annotator).values_list("correct", "agreed", "compared"))
    needed = total > 0 and annotator.trained_at is None
    return TrainingStatus(
        needed=needed,
        number=min(len(given) + 1, total),
        total=total,
        right=sum(correct if agreed is None else agreed for correct, agreed, _n in given),
        compared=sum(n for _correct, _agreed, n in given),
        attempt=annotator.training_attempt,
        pass_percent=annotator.project.training_pass,
        failed_last=needed and annotator.training_attempt > 1,
    )


def is_needed(annotator: Annotator) -> bool:
    return annotator.trained_at is None and round_of(annotator).exists()


def due(annotator: Annotator) -> Any | None:
    """The next of the round with all that a page shows of it, or None where none is needed."""
    if annotator.trained_at is not None:
        return None
    if (found := _shown(_left(annotator)).first()) or not round_of(annotator).exists():
        return found
    # all are answered and yet nothing was decided: the owner took out those that were left
    with transaction.atomic():
        _lock(annotator)
        if annotator.trained_at is None and not _left(annotator).exists():
            _finish(annotator)
    return _shown(_left(annotator)).first() if annotator.trained_at is None else None


@transaction.atomic
def take(
    *,
    annotator: Annotator,
    of: Pair | OutputSet,
    attempt: int | None,
    answer: Callable[[Any], TrainingAnswer],
) -> TrainingAnswer:
    """Store what ``answer`` makes of the pair or set that is due; the answer there is already where
    it was given in this attempt. The last one opens the real work, or starts the round again.

    Raises:
        UserError: it is none of the round, or it is not its turn.
    """
    _lock(annotator)
    if given := _given(annotator, of, attempt):
        return given
    if attempt not in (None, annotator.training_attempt):
        raise _not_next(of)
    now = due(annotator)
    if now is None or now.pk != of.pk:
        raise _not_next(of)
    said = answer(now)
    said.project_id, said.annotator = annotator.project_id, annotator
    said.attempt = annotator.training_attempt
    setattr(said, _field(annotator), now)
    said.save(force_insert=True)
    if not _left(annotator).exists():
        _finish(annotator)
    return said


def round_of(annotator: Annotator) -> Any:
    kind: Any = OutputSet if _field(annotator) == "output_set" else Pair
    return kind.objects.training().filter(project=annotator.project_id)


def _field(annotator: Annotator) -> str:
    return "output_set" if annotator.project.scheme["task"] == "ranking" else "pair"


def _shown(rows: Any) -> Any:
    return rows.with_answers()


def _lock(annotator: Annotator) -> None:
    """One answer of a person at a time: the last one decides about the attempt."""
    held = Annotator.objects.select_for_update(no_key=True).get(pk=annotator.pk)
    annotator.trained_at, annotator.training_attempt = held.trained_at, held.training_attempt


def _of_attempt(annotator: Annotator) -> QuerySet[TrainingAnswer]:
    return TrainingAnswer.objects.filter(annotator=annotator, attempt=annotator.training_attempt)


def _answers(annotator: Annotator) -> QuerySet[TrainingAnswer]:
    """Those of this attempt, to what is still in the round."""
    return _of_attempt(annotator).filter(**{f"{_field(annotator)}__in": round_of(annotator)})


def _left(annotator: Annotator) -> Any:
    """What this attempt has not come to yet, in the order of the round."""
    field = _field(annotator)
    given = _of_attempt(annotator).filter(**{f"{field}__isnull": False}).values(field)
    return round_of(annotator).exclude(pk__in=given)


def _given(
    annotator: Annotator, of: Pair | OutputSet, attempt: int | None
) -> TrainingAnswer | None:
    """The answer that a repeated request asks about: to the same in the same attempt. Where no
    attempt is said and it is not due, it is the one that came last."""
    field = _field(annotator)
    answers = TrainingAnswer.objects.filter(annotator=annotator, **{field: of})
    answers = answers.select_related(field)
    if attempt is not None:
        return answers.filter(attempt=attempt).first()
    now = due(annotator)
    return None if now and now.pk == of.pk else answers.last()


def _finish(annotator: Annotator) -> None:
    """All of the attempt is answered: passed, or once more."""
    now = status(annotator)
    if now.right * 100 >= now.pass_percent * now.compared:
        annotator.trained_at = timezone.now()
    else:
        annotator.training_attempt += 1
    annotator.save(update_fields=["trained_at", "training_attempt"])


def _not_next(of: Pair | OutputSet) -> UserError:
    if isinstance(of, OutputSet):
        words = _("This training set is not the next one of yours. Ask for it.")
    else:
        words = _("This training pair is not the next one of yours. Ask for it.")
    field = "set" if isinstance(of, OutputSet) else "pair"
    return UserError(words, code="not_next", status=409, field=field)
