"""From kept rows to the columns of a version, a row group at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from annotation.freezing.contents import Said, Source, source_of
from annotation.freezing.select import OUTCOMES, Names, Pairs, Rows, Selection
from annotation.recipe import Recipe
from steelyard.lib import records
from steelyard.lib.records import SCHEMA, array_of, as_text, table_of_columns
from steelyard.projects.models import Project


class _Vote(NamedTuple):
    """A vote that says something."""

    row: int
    """Place in the group."""
    judgment: str
    annotator: str
    said: Said


def tables_of(
    *,
    project: Project,
    recipe: Recipe,
    selection: Selection,
    names: Names,
    start: int = 0,
    folder: Path | None = None,
) -> Iterator[pa.Table]:
    """The rows in the order of the selection from one on, a row group at a time.

    Args:
        folder: see :func:`annotation.freezing.contents.source_of`.
    """
    source = source_of(selection, project.pk, folder)
    writer = _Writer(project, recipe, selection, names, source)
    for first in range(start, len(selection.rows), records.GROUP_ROWS):
        stop = min(first + records.GROUP_ROWS, len(selection.rows))
        yield writer.table(np.arange(first, stop))


@dataclass(frozen=True)
class _Writer:
    project: Project
    recipe: Recipe
    selection: Selection
    names: Names
    source: Source

    def table(self, places: np.ndarray) -> pa.Table:
        rows = self.selection.rows.at(places)
        pairs = self.selection.pairs.at(rows.pair)
        contents, place = self.source.of(rows.pair)
        better, other = (pa.array(2 * place + side) for side in (rows.side, 1 - rows.side))
        own = pa.array(place)
        chosen = ["ab"[side] for side in rows.side.tolist()]
        votes, saying = self._votes(rows, contents.said)
        return table_of_columns(
            {
                **self._identities(pairs, rows),
                "prompt": contents.prompt.take(own),
                "prompt_media": contents.media.take(own),
                "reference_answer": contents.answers.take(own),
                "chosen": contents.texts.take(better),
                "rejected": contents.texts.take(other),
                "chosen_media": contents.files.take(better),
                "rejected_media": contents.files.take(other),
                "outcome": ["tie" if tie else "win" for tie in self._ties(rows)],
                "chosen_side": chosen,
                "strength": pa.array(rows.strength),
                "agreement": pa.array(rows.agreement),
                "weight": pa.array(rows.weight),
                "split": ["test" if test else "train" for test in rows.test.tolist()],
                "votes": votes,
                "aspects": _aspects(saying, len(rows)),
                "rationales": _rationales(saying, chosen),
                "segments": _segments(saying, chosen),
            }
        )

    def _ties(self, rows: Rows) -> list[bool]:
        kept = self.recipe.ties == "keep"
        return ((rows.outcome == OUTCOMES.index("tie")) & kept).tolist()

    def _identities(self, pairs: Pairs, rows: Rows) -> dict[str, list[str]]:
        models, categories = self.names.models, self.names.categories
        second = rows.side == 1
        better = np.where(second, pairs.model_b, pairs.model_a)
        other = np.where(second, pairs.model_a, pairs.model_b)
        return {
            "pair": _hexes(pairs.key, 32),
            "prompt_key": _hexes(pairs.prompt_key, 32),
            "category": [categories[at] for at in pairs.category.tolist()],
            "modality": [self.project.modality] * len(pairs),
            "chosen_model": [models[pk] for pk in better.tolist()],
            "rejected_model": [models[pk] for pk in other.tolist()],
        }

    def _votes(self, rows: Rows, said: dict[str, Said]) -> tuple[pa.Array, list[_Vote]]:
        """The column, and those votes that say something, in the order of their rows."""
        lengths = rows.stop - rows.start
        ends = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(ends[-1]) + np.repeat(rows.start - ends[:-1], lengths)
        votes = self.selection.votes.at(at)
        ids = _hexes(votes.uuid, 16)
        judgments = [f"{i[:8]}-{i[8:12]}-{i[12:16]}-{i[16:20]}-{i[20:]}" for i in ids]
        pks = votes.annotator.tolist()
        annotators = [self.names.annotators[pk] for pk in pks]
        kind = SCHEMA.field("votes").type
        columns = {
            "judgment": judgments,
            "annotator": annotators,
            "kind": [self.names.kinds[pk] for pk in pks],
            "outcome": [OUTCOMES[place] for place in votes.outcome.tolist()],
            "strength": votes.strength,
        }
        struct = pa.StructArray.from_arrays(
            [pa.array(columns[field.name], field.type) for field in kind.value_type],
            fields=list(kind.value_type),
        )
        column = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), struct, type=kind)
        row = np.repeat(np.arange(len(rows)), lengths).tolist()
        found = map(said.get, ids) if said else iter(())
        saying = [
            _Vote(place, judgment, annotator, one)
            for place, judgment, annotator, one in zip(
                row, judgments, annotators, found, strict=False
            )
            if one is not None
        ]
        return column, saying


def _hexes(column: np.ndarray, width: int) -> list[str]:
    """Keys of so many bytes as they are written."""
    text = column.tobytes().hex()
    return [text[start : start + 2 * width] for start in range(0, len(text), 2 * width)]


def _rationales(saying: list[_Vote], chosen: list[str]) -> pa.Array:
    column: list[list[dict[str, Any]]] = [[] for _ in chosen]
    for vote in saying:
        said = vote.said
        if not (said.rationale or said.tags or said.evidence):
            continue
        side = chosen[vote.row]
        column[vote.row].append(
            {
                "annotator": vote.annotator,
                "text": said.rationale,
                "tags": said.tags,
                "evidence": [
                    {**item, "answer": "chosen" if item["side"] == side else "rejected"}
                    for item in said.evidence
                ],
            }
        )
    return array_of(column, SCHEMA.field("rationales").type)


def _segments(saying: list[_Vote], chosen: list[str]) -> list[str]:
    column: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for vote in saying:
        for segment in vote.said.segments:
            column[vote.row].append(
                {
                    **segment,
                    "judgment": vote.judgment,
                    "annotator": vote.annotator,
                    "better": _better(segment["outcome"], chosen[vote.row]),
                }
            )
    return [as_text(column.get(row, [])) for row in range(len(chosen))]


def _better(outcome: str, chosen: str) -> str:
    if outcome not in {"a", "b"}:
        return "tie"
    return "chosen" if outcome == chosen else "rejected"


def _aspects(saying: list[_Vote], n_rows: int) -> list[str]:
    strengths: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for vote in saying:
        for name, strength in vote.said.aspects.items():
            strengths[vote.row][name].append(strength)
    means = {
        row: {name: _mean(values) for name, values in by_name.items()}
        for row, by_name in strengths.items()
    }
    return [as_text(means.get(row, {})) for row in range(n_rows)]


def _mean(values: Sequence[float]) -> float:
    """Rounded, so that the last bit of a sum never decides a digest."""
    return round(fsum(values) / len(values), 6)
