"""From kept rows to the columns of a version, a row group at a time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotation.freezing.contents import Source, all_are, lists_of, source_of, written_for
from annotation.freezing.select import OUTCOMES, Names, Pairs, Rows, Selection
from annotation.recipe import Recipe
from steelyard.lib import records
from steelyard.lib.lines import strings
from steelyard.lib.records import SCHEMA, as_text, table_of_columns
from steelyard.projects.models import Project


class _Named:
    """Names by primary keys."""

    def __init__(self, names: dict[int, str]) -> None:
        pks = np.array(list(names), dtype=np.int64)
        order = np.argsort(pks)
        self._pks, self._names = pks[order], pa.array(names.values(), pa.string()).take(order)

    def of(self, pks: np.ndarray) -> pa.Array:
        return self._names.take(pa.array(np.searchsorted(self._pks, pks)))


@dataclass(frozen=True)
class _Saying:
    """Votes that say something, in the order of their rows; one entry a vote in each."""

    row: np.ndarray
    """Place in the group."""
    side: np.ndarray
    """Which is chosen in that row: 0 for a, 1 for b."""
    judgment: pa.Array
    annotator: pa.Array
    said: pa.RecordBatch

    def at(self, which: np.ndarray) -> _Saying:
        """Those of which this is true."""
        mask = pa.array(which)
        return _Saying(
            self.row[which],
            self.side[which],
            self.judgment.filter(mask),
            self.annotator.filter(mask),
            self.said.filter(mask),
        )

    def saying(self, name: str, nothing: str) -> np.ndarray:
        """Which have something there."""
        return pc.not_equal(self.said.column(name), nothing).to_numpy(zero_copy_only=False)


def tables_of(
    *,
    project: Project,
    recipe: Recipe,
    selection: Selection,
    names: Names,
    start: int = 0,
    folder: Path | None = None,
    source: Source | None = None,
) -> Iterator[pa.Table]:
    """The rows in the order of the selection from one on, a row group at a time.

    Args:
        folder: see :func:`annotation.freezing.contents.source_of`.
        source: what pairs and votes say, where something gathers it already.
    """
    # what is gathered is one project's
    source = source or source_of(selection, project.pk, None if recipe.projects else folder)
    writer = _Writer(project, recipe, selection, names, source)
    for first in range(start, len(selection.rows), records.GROUP_ROWS):
        stop = min(first + records.GROUP_ROWS, len(selection.rows))
        yield writer.table(np.arange(first, stop))


class _Writer:
    def __init__(
        self,
        project: Project,
        recipe: Recipe,
        selection: Selection,
        names: Names,
        source: Source,
    ) -> None:
        self._modality, self._ties_kept = project.modality, recipe.ties == "keep"
        self._selection, self._source = selection, source
        self._machine = recipe.machine_rationales
        self._people = np.array([pk for pk, kind in names.kinds.items() if kind == "person"])
        self._categories = pa.array(names.categories, pa.string())
        self._projects = pa.array(names.projects, pa.string()) if recipe.projects else None
        self._models, self._annotators, self._kinds = map(
            _Named, (names.models, names.annotators, names.kinds)
        )

    def table(self, places: np.ndarray) -> pa.Table:
        rows = self._selection.rows.at(places)
        pairs = self._selection.pairs.at(rows.pair)
        contents, place = self._source.of(rows.pair)
        prompt = pa.array(contents.prompt_of[place])
        better, other = (
            pa.array(contents.output_of[2 * place + side]) for side in (rows.side, 1 - rows.side)
        )
        votes, saying = self._votes(rows, contents.said)
        kinds = ("win", "tie", "both_bad")
        kind = np.where((rows.outcome == OUTCOMES.index("tie")) & self._ties_kept, 1, 0)
        kind[rows.outcome == OUTCOMES.index("both_bad")] = 2
        return table_of_columns(
            {
                **self._identities(pairs, rows),
                "prompt": contents.prompt.take(prompt),
                "prompt_media": contents.media.take(prompt),
                "reference_answer": contents.answers.take(prompt),
                "chosen": contents.texts.take(better),
                "rejected": contents.texts.take(other),
                "chosen_media": contents.files.take(better),
                "rejected_media": contents.files.take(other),
                "outcome": _one_of(kinds, kind),
                "chosen_side": _one_of(("a", "b"), rows.side),
                "strength": pa.array(rows.strength),
                "agreement": pa.array(rows.agreement),
                "weight": pa.array(rows.weight),
                "split": _one_of(("train", "test"), rows.test),
                "votes": votes,
                "aspects": _aspects(saying, len(rows)),
                "rationales": _rationales(saying, len(rows)),
                "segments": _segments(saying, len(rows)),
                "machine_rationales": self._machine_rationales(pairs, rows),
            }
        )

    def _machine_rationales(self, pairs: Pairs, rows: Rows) -> pa.Array:
        """Of rows whose chosen side a counted vote of a person is for: once nobody says any more
        that it is better, nobody need say why."""
        if not self._machine:
            return pa.nulls(len(rows), pa.string())
        votes = self._selection.votes
        by_person = np.isin(votes.annotator, self._people)
        written = written_for(pairs.pk, self._machine)
        column: dict[int, list[dict[str, str]]] = {}
        for row, (pk, outcome, start, stop) in enumerate(
            zip(
                *(one.tolist() for one in (pairs.pk, rows.outcome, rows.start, rows.stop)),
                strict=True,
            )
        ):
            said = written.get((pk, OUTCOMES[outcome]))
            if said and (by_person[start:stop] & (votes.outcome[start:stop] == outcome)).any():
                column[row] = said
        return pa.array(
            [as_text(column[row]) if row in column else None for row in range(len(rows))],
            pa.string(),
        )

    def _identities(self, pairs: Pairs, rows: Rows) -> dict[str, pa.Array]:
        second = rows.side == 1
        better = np.where(second, pairs.model_b, pairs.model_a)
        other = np.where(second, pairs.model_a, pairs.model_b)
        return {
            "pair": _hexes(pairs.key),
            "prompt_key": _hexes(pairs.prompt_key),
            "category": self._categories.take(pa.array(pairs.category)),
            "modality": pa.repeat(pa.scalar(self._modality, pa.string()), len(pairs)),
            "chosen_model": self._models.of(better),
            "rejected_model": self._models.of(other),
            **(
                {"project": self._projects.take(pa.array(pairs.project))}
                if self._projects is not None
                else {}
            ),
        }

    def _votes(self, rows: Rows, said: pa.RecordBatch) -> tuple[pa.Array, _Saying]:
        """The column, and those votes that say something."""
        lengths = rows.stop - rows.start
        ends = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(ends[-1]) + np.repeat(rows.start - ends[:-1], lengths)
        votes = self._selection.votes.at(at)
        kind = SCHEMA.field("votes").type
        columns = {
            "judgment": _uuids(votes.uuid),
            "annotator": self._annotators.of(votes.annotator),
            "kind": self._kinds.of(votes.annotator),
            "outcome": _one_of(OUTCOMES, votes.outcome),
            "strength": pa.array(votes.strength, kind.value_type.field("strength").type),
        }
        struct = pa.StructArray.from_arrays(
            [columns[field.name] for field in kind.value_type], fields=list(kind.value_type)
        )
        column = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), struct, type=kind)
        uuids = pa.Array.from_buffers(
            pa.binary(16), len(votes), [None, pa.py_buffer(votes.uuid.tobytes())]
        )
        found = pc.index_in(uuids, value_set=said.column("uuid"))
        mine = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        row = np.repeat(np.arange(len(rows)), lengths)[mine]
        saying = _Saying(
            row=row,
            side=rows.side[row],
            judgment=columns["judgment"].take(pa.array(mine)),
            annotator=columns["annotator"].take(pa.array(mine)),
            said=said.take(found.drop_null()),
        )
        return column, saying


def _one_of(words: Sequence[str], places: np.ndarray) -> pa.Array:
    return pa.array(words, pa.string()).take(pa.array(places.astype(np.int8)))


def _texts_of_width(characters: np.ndarray) -> pa.Array:
    """Texts of one width.

    Args:
        characters: ASCII codes, shape (texts, width).
    """
    n, width = characters.shape
    ends = np.arange(n + 1, dtype=np.int32) * width
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(characters.tobytes())]
    return pa.Array.from_buffers(pa.string(), n, buffers)


def _digits(column: np.ndarray) -> np.ndarray:
    """Keys of so many bytes as they are written, a row of characters each."""
    text = column.tobytes().hex().encode()
    return np.frombuffer(text, np.uint8).reshape(len(column), 2 * column.dtype.itemsize)


def _hexes(column: np.ndarray) -> pa.Array:
    return _texts_of_width(_digits(column))


def _uuids(column: np.ndarray) -> pa.Array:
    digits = _digits(column)
    dash = np.full((len(column), 1), ord("-"), np.uint8)
    parts = np.split(digits, [8, 12, 16, 20], axis=1)
    return _texts_of_width(np.hstack([parts[0], *(x for p in parts[1:] for x in (dash, p))]))


def _rationales(saying: _Saying, n_rows: int) -> pa.Array:
    kind = SCHEMA.field("rationales").type
    nothing = {"rationale": "", "tags": "[]", "evidence": "[]"}
    which = np.any([saying.saying(name, text) for name, text in nothing.items()], axis=0)
    some = saying.at(which)
    columns = {
        "annotator": some.annotator,
        "text": some.said.column("rationale"),
        "tags": lists_of(some.said.column("tags")),
        "evidence": _evidence(some),
    }
    struct = pa.StructArray.from_arrays(
        [columns[field.name] for field in kind.value_type], fields=list(kind.value_type)
    )
    ends = np.searchsorted(some.row, np.arange(n_rows + 1))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), struct, type=kind)


def _evidence(some: _Saying) -> pa.Array:
    texts = some.said.column("evidence")
    if all_are(texts, "[]"):
        return texts
    return pa.array(
        [
            as_text(
                [
                    {**item, "answer": "chosen" if item["side"] == "ab"[side] else "rejected"}
                    for item in json.loads(text)
                ]
            )
            for text, side in zip(strings(texts), some.side.tolist(), strict=True)
        ],
        pa.string(),
    )


def _segments(saying: _Saying, n_rows: int) -> pa.Array:
    some = saying.at(saying.saying("segments", "[]"))
    column: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row, side, judgment, annotator, text in zip(
        some.row.tolist(),
        some.side.tolist(),
        strings(some.judgment),
        strings(some.annotator),
        strings(some.said.column("segments")),
        strict=True,
    ):
        for segment in json.loads(text):
            column[row].append(
                {
                    **segment,
                    "judgment": judgment,
                    "annotator": annotator,
                    "better": _better(segment["outcome"], "ab"[side]),
                }
            )
    return _written(column, "[]", n_rows)


def _written(values: Mapping[int, Any], nothing: str, n_rows: int) -> pa.Array:
    """Canonical JSON of what some rows have."""
    if not values:
        return pa.repeat(pa.scalar(nothing, pa.string()), n_rows)
    texts = {row: as_text(value) for row, value in values.items()}
    return pa.array([texts.get(row, nothing) for row in range(n_rows)], pa.string())


def _better(outcome: str, chosen: str) -> str:
    if outcome not in {"a", "b"}:
        return "tie"
    return "chosen" if outcome == chosen else "rejected"


def _aspects(saying: _Saying, n_rows: int) -> pa.Array:
    some = saying.at(saying.saying("aspects", "{}"))
    strengths: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, text in zip(some.row.tolist(), strings(some.said.column("aspects")), strict=True):
        for name, strength in json.loads(text).items():
            strengths[row][name].append(strength)
    means = {
        row: {name: _mean(values) for name, values in by_name.items()}
        for row, by_name in strengths.items()
    }
    return _written(means, "{}", n_rows)


def _mean(values: Sequence[float]) -> float:
    """Rounded, so that the last bit of a sum never decides a digest."""
    return round(fsum(values) / len(values), 6)
