"""Votes counted by prompt and pair of models, from the one number of each that the database
keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from django.db import connection

from annotation.models.battle import MODEL_BITS, RESULTS
from evaluation.board_votes import in_order_of_names, positions, read_votes
from evaluation.engine.bradley_terry import Cells, first_of_each
from evaluation.numbers import read_column
from steelyard.projects.models import Project

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet

_RESULT_BITS = (len(RESULTS) - 1).bit_length()
_MODELS = 1 << MODEL_BITS
_FIELD = 21
_TALLY = np.array([0, 1, 1 << _FIELD, 1 << 2 * _FIELD])
"""What a result adds to a cell's tally, in which all but the first of :data:`RESULTS` have a field:
one running sum counts them all."""


@dataclass(frozen=True)
class Battles:
    pks: np.ndarray
    """Models in the order of their names; the cells speak of places in it."""
    cells: Cells
    won: np.ndarray
    """Of each cell, how often its first model won over its second."""
    tied: np.ndarray
    """Without those in which both were bad."""
    bad: np.ndarray
    annotators: int | None = None
    """Whose votes they are, where it is known."""

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Wins, ties and both bad by pair of models."""
        models = self.pks.size
        key = self.cells.i * models + self.cells.j

        def table(values: np.ndarray) -> np.ndarray:
            flat = np.bincount(key, weights=values, minlength=models**2)
            return flat.reshape(models, models).astype(float)

        first, bad = table(self.won), table(self.bad)
        tie, all_votes = table(self.tied) + bad, table(self.cells.votes)
        return first + (all_votes - first - tie).T, tie + tie.T, bad + bad.T


def read_battles(
    project: Project, votes: JudgmentQuerySet, whose: list[int] | None = None
) -> Battles:
    """Where a key is too great for its bits, the votes are read one by one instead.

    Args:
        whose: the votes are all those of these annotators (:func:`~.board_votes.all_of`), whose
            numbers are held together. None where a vote must be looked at to tell.
    """
    held = None if whose is None else _read_held(project, whose)
    packed, annotators = held or (read_column(votes.order_by().values_list("battle")), None)
    # asked after it, so that none of those read can have been one
    if not votes.filter(battle=None).exists():
        # an index gave them in order; nothing else would promise it
        if not (packed[1:] >= packed[:-1]).all():
            packed = np.sort(packed)
        return replace(_counted(packed), annotators=annotators)
    read, pks = read_votes(project, votes)
    prompts = np.unique(read.prompt, return_inverse=True)[1]
    a, b = positions(pks, read.a), positions(pks, read.b)
    result = np.where(read.code > 1, read.code, read.code ^ (a > b))
    pair = (np.minimum(a, b) << MODEL_BITS) | np.maximum(a, b)
    packed = (((prompts << 2 * MODEL_BITS) | pair) << _RESULT_BITS) | result
    return _counted(np.sort(packed), pks)


_HELD = """
select annotators, votes, true, packed from annotation_heldbattles
where project_id = %(project)s and annotators && %(whose)s::bigint[]
union all
select array[annotator_id], array[count(*)], added, string_agg(int8send(battle), ''::bytea)
from annotation_battlechange
where project_id = %(project)s and annotator_id = any(%(whose)s::bigint[])
group by annotator_id, added
"""
"""One statement sees one state of both."""


def _read_held(project: Project, whose: list[int]) -> tuple[np.ndarray, int] | None:
    """The numbers of all votes of some annotators in order, and how many of these have any. None
    where others' are held together with theirs."""
    with connection.cursor() as cursor, connection.wrap_database_errors:
        query = cursor.mogrify(_HELD, {"project": project.pk, "whose": whose})
        with psycopg.Cursor(cursor.connection) as plain:
            rows = plain.execute(query, binary=True, prepare=False).fetchall()
    wanted, votes = set(whose), Counter[int]()
    for annotators, numbers, added, _ in rows:
        if not wanted.issuperset(annotators):
            return None
        for annotator, number in zip(annotators, numbers, strict=True):
            votes[annotator] += number if added else -number
    came, went = (_in_order([row[3] for row in rows if row[2] is one]) for one in (True, False))
    return _without(came, went), sum(number > 0 for number in votes.values())


def _in_order(parts: list[bytes]) -> np.ndarray:
    numbers = np.frombuffer(b"".join(parts), dtype=">i8").astype(np.int64)
    # this kind is quick where there are few parts, each of which is in order
    numbers.sort(kind="stable")
    return numbers


def _without(numbers: np.ndarray, went: np.ndarray) -> np.ndarray:
    """Each of ``went`` taken out once; both are sorted."""
    if not went.size:
        return numbers
    starts = np.flatnonzero(first_of_each(went))
    nth = np.arange(went.size) - np.repeat(starts, np.diff(np.append(starts, went.size)))
    return np.delete(numbers, np.searchsorted(numbers, went) + nth)


def _counted(packed: np.ndarray, pks: np.ndarray | None = None) -> Battles:
    """Cells of votes in order.

    Args:
        pks: of the models in the order of their names, where the votes speak of places in it.
    """
    if not packed.size:
        return _no_battles()
    key = packed >> _RESULT_BITS
    begins = first_of_each(key)
    begins[:: 1 << (_FIELD - 1)] = True  # no field can be full; such a cell is then two
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], packed.size)
    running = np.cumsum(_TALLY[packed & (len(RESULTS) - 1)])
    tally = np.diff(running[ends - 1], prepend=0)
    one = (1 << _FIELD) - 1
    second, tied, bad = (((tally >> at * _FIELD) & one).astype(float) for at in range(3))
    votes = (ends - starts).astype(float)
    first = votes - second - tied - bad

    key = key[starts]
    low, high = (key >> MODEL_BITS) & (_MODELS - 1), key & (_MODELS - 1)
    if pks is None:
        met = np.bincount(low, minlength=_MODELS) + np.bincount(high, minlength=_MODELS)
        pks = in_order_of_names(np.flatnonzero(met))
        place = np.zeros(_MODELS, dtype=np.int64)
        place[pks] = np.arange(pks.size)
        low, high = place[low], place[high]
    turned = low > high
    i, j = np.minimum(low, high), np.maximum(low, high)
    won = np.where(turned, second, first)
    prompt = np.cumsum(first_of_each(key >> 2 * MODEL_BITS)) - 1
    cells = Cells(prompt, i, j, won + (tied + bad) / 2.0, votes)
    return Battles(pks, cells, won, tied, bad)


def _no_battles() -> Battles:
    ints, floats = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Battles(ints, Cells(ints, ints, ints, floats, floats), floats, floats, floats)
