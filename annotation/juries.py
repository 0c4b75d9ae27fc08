"""What a jury says: its members' votes, brought together by one-coin Dawid–Skene.

A jury is a judge made of judges. Its votes stand under its own name beside its members' and are
made anew whenever these vote; nobody asks a model for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from annotation.aggregation import Weighed, weighed
from annotation.models import Annotator, Judgment, Outcome

CLASSES = [Outcome.A, Outcome.B, Outcome.TIE, Outcome.BOTH_BAD]
FEWEST = 2
"""Members that have to have judged a pair before the jury says anything of it."""
_STEP = {Outcome.A: -1, Outcome.B: 1}
_DIGITS = 4


def recount_with(*members: Annotator | int) -> None:
    """Bring every jury of which one of these is a member up to date."""
    for jury in Annotator.objects.filter(is_jury=True, members__in=members).distinct():
        recount(jury.pk)


def recount_in(project: int) -> None:
    """Bring all juries of a project up to date, as after votes were withdrawn."""
    for jury in Annotator.objects.filter(is_jury=True, project=project):
        recount(jury.pk)


@transaction.atomic
def recount(pk: int) -> int:
    """Make a jury's votes of those that its members have cast. Two at once follow each other.

    A pair of which the verdict changes gets a new vote that supersedes the old; where only
    probabilities have moved, they are written into the vote that stands.

    Returns:
        how many pairs it has a verdict on.
    """
    jury = Annotator.objects.select_for_update(of=("self",)).select_related("project").get(pk=pk)
    members = list(jury.members.order_by("name"))
    cast = _cast(jury, members)
    if not cast:
        _store(jury, {})
        _tell(jury, members, None, np.zeros(0, dtype=int), 0)
        return 0
    pairs, judges, said = (np.array(column) for column in zip(*cast, strict=True))
    names, item = np.unique(pairs, return_inverse=True)
    at = {member.pk: place for place, member in enumerate(members)}
    present, worker = np.unique([at[one] for one in judges.tolist()], return_inverse=True)
    found = weighed(item, worker, said)
    _store(jury, _verdicts(names, found, item, judges, said))
    votes = np.bincount(present[worker], minlength=len(members))
    _tell(jury, members, (found, present), votes, len(names))
    return len(names)


def _cast(jury: Annotator, members: list[Annotator]) -> list[tuple[int, int, int]]:
    """Pair, member and outcome of the votes on pairs that enough of them have judged."""
    rows = Judgment.objects.decisive().standing(jury.project).filter(annotator__in=members)
    rows = rows.filter(pair__is_training=False).order_by("pair_id", "annotator_id")
    cast = [
        (pair, judge, CLASSES.index(Outcome(outcome)))
        for pair, judge, outcome in rows.values_list("pair_id", "annotator_id", "outcome")
    ]
    number: dict[int, int] = {}
    for pair, _judge, _said in cast:
        number[pair] = number.get(pair, 0) + 1
    return [vote for vote in cast if number[vote[0]] >= FEWEST]


def _verdicts(
    names: np.ndarray, found: Weighed, item: np.ndarray, judges: np.ndarray, said: np.ndarray
) -> dict[int, tuple[Outcome, dict[str, Any]]]:
    """Outcome and details by pair."""
    votes: list[dict[str, str]] = [{} for _ in names]
    for at, judge, place in zip(item.tolist(), judges.tolist(), said.tolist(), strict=True):
        votes[at][str(judge)] = str(CLASSES[place])
    p_a = found.posterior[:, 0] + found.posterior[:, 2:].sum(axis=1) / 2
    return {
        pair: (
            CLASSES[outcome],
            {
                "jury": members,
                "posterior": {
                    str(one): round(p, _DIGITS) for one, p in zip(CLASSES, row, strict=True)
                },
                "p_a": round(p, _DIGITS),
            },
        )
        for pair, outcome, members, row, p in zip(
            names.tolist(),
            found.outcome.tolist(),
            votes,
            found.posterior.tolist(),
            p_a.tolist(),
            strict=True,
        )
    }


def _store(jury: Annotator, verdicts: dict[int, tuple[Outcome, dict[str, Any]]]) -> None:
    """Judgments do not count in ``Pair.judged``: a jury takes no place of a person's."""
    standing = {row.pair_id: row for row in Judgment.objects.current().filter(annotator=jury)}
    moved, gone, new = [], [], []
    for pair, (outcome, details) in verdicts.items():
        old = standing.pop(pair, None)
        if old is not None and old.outcome == outcome:
            if old.details != details:
                old.details = details
                moved.append(old)
            continue
        if old is not None:
            gone.append(old.pk)
        new.append(
            Judgment(
                project_id=jury.project_id,
                pair_id=pair,
                annotator=jury,
                outcome=outcome,
                strength=_STEP.get(outcome, 0),
                swapped=None,
                details=details,
                supersedes=old,
            )
        )
    # its members' votes were taken back
    gone += [row.pk for row in standing.values()]
    Judgment.objects.filter(pk__in=gone).update(is_current=False)
    Judgment.objects.bulk_update(moved, ["details"], batch_size=1000)
    Judgment.objects.bulk_create(new, batch_size=1000)


def _tell(
    jury: Annotator,
    members: list[Annotator],
    made: tuple[Weighed, np.ndarray] | None,
    votes: np.ndarray,
    pairs: int,
) -> None:
    """What its members weigh is kept with it."""
    rows: list[dict[str, Any]] = []
    place = {int(at): number for number, at in enumerate(made[1])} if made else {}
    for at, member in enumerate(members):
        row: dict[str, Any] = {"id": member.pk, "name": member.name, "votes": 0}
        if made and at in place:
            row |= {
                "votes": int(votes[at]),
                "right": round(float(made[0].skill[place[at]]), _DIGITS),
                "weight": round(float(made[0].weight[place[at]]), _DIGITS),
            }
        rows.append(row)
    jury.checks = {
        **jury.checks,
        "jury": {"members": rows, "pairs": pairs, "at": timezone.now().isoformat()},
    }
    Annotator.objects.filter(pk=jury.pk).update(checks=jury.checks)


def pairs_judged_by(judges: Iterable[Annotator]) -> set[int]:
    """Pairs of which at least one of them has said something."""
    rows = Judgment.objects.decisive().filter(annotator__in=list(judges))
    return set(rows.values_list("pair_id", flat=True))
