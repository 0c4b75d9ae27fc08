"""Votes counted by prompt and pair of models, from the one number of each that the database keeps
in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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


def read_battles(project: Project, votes: JudgmentQuerySet) -> Battles:
    """Where a key is too great for its bits, the votes are read one by one instead."""
    packed = read_column(votes.order_by().values_list("battle"))
    # asked after it, so that none of those read can have been one
    if not votes.filter(battle=None).exists():
        # an index gave them in order; nothing else would promise it
        if not (packed[1:] >= packed[:-1]).all():
            packed = np.sort(packed)
        return _counted(packed)
    read, pks = read_votes(project, votes)
    prompts = np.unique(read.prompt, return_inverse=True)[1]
    a, b = positions(pks, read.a), positions(pks, read.b)
    result = np.where(read.code > 1, read.code, read.code ^ (a > b))
    pair = (np.minimum(a, b) << MODEL_BITS) | np.maximum(a, b)
    packed = (((prompts << 2 * MODEL_BITS) | pair) << _RESULT_BITS) | result
    return _counted(np.sort(packed), pks)


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
