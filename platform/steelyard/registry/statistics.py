"""What a version's rows are like: how sure, how strong, whether length or place decided, and which
model won against which. Worked out a row group at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steelyard.registry.kept import kept
from steelyard.registry.leaks import leaks
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows

_EDITION = "statistics-2"
_COLUMNS = (
    "category",
    "split",
    "outcome",
    "agreement",
    "strength",
    "chosen",
    "rejected",
    "chosen_model",
    "rejected_model",
    "votes.list.element.annotator",
)
AGREEMENT_BINS = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
"""The last holds those in which all agree."""
STRENGTH_BINS = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def statistics(version: DatasetVersion) -> dict[str, Any]:
    """Plain JSON:

    - ``by``: rows by category, by split, and by outcome;
    - ``agreement``, ``strength``: [lowest value, rows] of each bin;
    - ``length``: of rows with a winner and text of two lengths, how many there are, in how many the
      longer one won, and the mean characters of winners and losers;
    - ``position``: of people's votes for a side, how many there are whose order is known, how
      many were for the one shown first, and how many have an ``unknown`` order; null where that
      was not kept;
    - ``leaks``: prompts of the test split that say the same as one of the train split;
    - ``wins``: [winner, loser, rows], and ``ties``: [model, model, rows];
    - ``annotators``: [name, votes], the busiest first.
    """
    return kept(version, _EDITION, _count)


def _count(version: DatasetVersion) -> dict[str, Any]:
    by = {name: Counter[str]() for name in ("category", "split", "outcome")}
    agreement = np.zeros(len(AGREEMENT_BINS), dtype=int)
    strength = np.zeros(len(STRENGTH_BINS), dtype=int)
    length = np.zeros(4)
    against: Counter[tuple[str, str, str]] = Counter()
    annotators: Counter[str] = Counter()
    for batch in Rows(version).batches(_COLUMNS):
        for name, counter in by.items():
            counter.update(_counted(batch.column(name)))
        won = pc.equal(batch.column("outcome"), "win")
        agreement += _binned(batch.column("agreement"), AGREEMENT_BINS)
        strength += _binned(batch.column("strength").filter(won), STRENGTH_BINS)
        length += _lengths(batch.filter(won))
        models = [batch.column(name) for name in ("chosen_model", "rejected_model", "outcome")]
        against.update(zip(*(column.to_pylist() for column in models), strict=True))
        votes = pc.list_flatten(batch.column("votes"))
        annotators.update(_counted(pc.struct_field(votes, "annotator")))
    return {
        "by": {name: sorted(counter.items()) for name, counter in by.items()},
        "agreement": list(zip(AGREEMENT_BINS, agreement.tolist(), strict=True)),
        "strength": list(zip(STRENGTH_BINS, strength.tolist(), strict=True)),
        "length": _length_said(length),
        "leaks": leaks(version),
        "position": version.manifest.get("position"),
        "wins": sorted([*key[:2], n] for key, n in against.items() if key[2] == "win"),
        "ties": sorted([*key[:2], n] for key, n in against.items() if key[2] == "tie"),
        "annotators": sorted(annotators.items(), key=lambda item: (-item[1], item[0])),
    }


def _counted(column: pa.Array) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}


def _binned(column: pa.Array, bins: list[float]) -> np.ndarray:
    values = column.to_numpy(zero_copy_only=False)
    place = np.searchsorted(bins, values, side="right") - 1
    return np.bincount(np.clip(place, 0, len(bins) - 1), minlength=len(bins))


def _lengths(won: pa.RecordBatch) -> np.ndarray:
    """Rows of two lengths, those that the longer won, characters of winners and of losers."""
    chosen, rejected = (
        pc.utf8_length(won.column(name)).to_numpy(zero_copy_only=False)
        for name in ("chosen", "rejected")
    )
    differ = chosen != rejected
    longer = (chosen > rejected)[differ].sum()
    return np.array([differ.sum(), longer, chosen[differ].sum(), rejected[differ].sum()])


def _length_said(length: np.ndarray) -> dict[str, Any] | None:
    rows = int(length[0])
    if not rows:
        return None
    return {
        "rows": rows,
        "longer": int(length[1]),
        "chosen": round(length[2] / rows, 1),
        "rejected": round(length[3] / rows, 1),
    }


def matrix(found: dict[str, Any], most: int = 15) -> tuple[list[str], list[tuple[str, list[Any]]]]:
    """Models and, for each, its wins against each: (wins, rows with a winner), None where they
    never met. Those with the most rows alone, where there are many."""
    wins = {(winner, loser): n for winner, loser, n in found["wins"]}
    rows: Counter[str] = Counter()
    for (winner, loser), n in wins.items():
        rows[winner] += n
        rows[loser] += n
    models = sorted(name for name, _ in rows.most_common(most))
    table = []
    for one in models:
        cells: list[Any] = []
        for other in models:
            won, lost = wins.get((one, other), 0), wins.get((other, one), 0)
            met = won + lost
            cells.append((won, met, won / met) if met and one != other else None)
        table.append((one, cells))
    return models, table
