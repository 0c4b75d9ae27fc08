"""From kept rows to the columns of a version; what pairs and votes say is read a row group at a
time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from django.db.models import TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from annotation.freezing.select import OUTCOMES, Names, Pairs, Rows, Selection
from annotation.models import Judgment, Pair
from annotation.recipe import Recipe
from steelyard.lib import records
from steelyard.lib.records import SCHEMA, array_of, as_text, table_of_columns
from steelyard.projects.models import Project

_NOTHING: dict[str, Any] = {"[]": [], "{}": {}}
"""What most votes say besides their outcome, which need not be read as JSON."""


class _Said(NamedTuple):
    """What a vote says besides its outcome."""

    rationale: str
    tags: list[str]
    aspects: dict[str, int]
    evidence: list[dict[str, Any]]
    segments: list[dict[str, Any]]


class _Content(NamedTuple):
    """A pair's prompt and answers."""

    messages: list[dict[str, str]]
    media: list[str]
    text_a: str
    text_b: str
    file_a: str
    file_b: str


class _Vote(NamedTuple):
    """A vote that says something."""

    row: int
    """Place in the group."""
    judgment: str
    annotator: str
    said: _Said


def tables_of(
    *, project: Project, recipe: Recipe, selection: Selection, names: Names, start: int = 0
) -> Iterator[pa.Table]:
    """The rows in the order of the selection from one on, a row group at a time."""
    writer = _Writer(project, recipe, selection, names)
    for first in range(start, len(selection.rows), records.GROUP_ROWS):
        stop = min(first + records.GROUP_ROWS, len(selection.rows))
        yield writer.table(np.arange(first, stop))


@dataclass(frozen=True)
class _Writer:
    project: Project
    recipe: Recipe
    selection: Selection
    names: Names

    def table(self, places: np.ndarray) -> pa.Table:
        rows = self.selection.rows.at(places)
        pairs = self.selection.pairs.at(rows.pair)
        chosen = ["ab"[side] for side in rows.side.tolist()]
        votes, saying = self._votes(rows, pairs)
        return table_of_columns(
            {
                **self._identities(pairs, rows),
                **_contents(pairs, rows),
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

    def _votes(self, rows: Rows, pairs: Pairs) -> tuple[pa.Array, list[_Vote]]:
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
        said = _said(np.unique(pairs.pk).tolist())
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


def _among(pks: list[int]) -> RawSQL:
    """One parameter in place of thousands, which take longer to write down than to look up."""
    return RawSQL("select unnest(%s::bigint[])", [pks])


def _text(name: str) -> Cast:
    """JSON as PostgreSQL writes it, read here only where it says something."""
    return Cast(name, TextField())


def _read(text: str) -> Any:
    nothing = _NOTHING.get(text)
    return json.loads(text) if nothing is None else nothing


def _contents(pairs: Pairs, rows: Rows) -> dict[str, list[Any]]:
    found = Pair.objects.filter(pk__in=_among(np.unique(pairs.pk).tolist())).values_list(
        "pk",
        _text("prompt__messages"),
        _text("prompt__media"),
        "output_a__text",
        "output_b__text",
        "output_a__asset__sha256",
        "output_b__asset__sha256",
    )
    by_pk = {
        pk: _Content(json.loads(messages), _read(media), text_a, text_b, file_a or "", file_b or "")
        for pk, messages, media, text_a, text_b, file_a, file_b in found
    }
    contents = [by_pk[pk] for pk in pairs.pk.tolist()]
    both = list(zip(contents, rows.side.tolist(), strict=True))
    return {
        "prompt": [one.messages for one in contents],
        "prompt_media": [one.media for one in contents],
        "chosen": [one.text_b if side else one.text_a for one, side in both],
        "rejected": [one.text_a if side else one.text_b for one, side in both],
        "chosen_media": [one.file_b if side else one.file_a for one, side in both],
        "rejected_media": [one.file_a if side else one.file_b for one, side in both],
    }


def _said(pks: list[int]) -> dict[str, _Said]:
    """Of those votes that say something besides their outcome, by the UUID's 32 digits."""
    silent = {"rationale": "", "tags": [], "aspects": {}, "evidence": [], "segments": []}
    rows = Judgment.objects.filter(pair__in=_among(pks)).exclude(**silent).order_by()
    columns = map(_text, ("tags", "aspects", "evidence", "segments"))
    return {
        uuid.hex: _Said(rationale, *map(_read, said))
        for uuid, rationale, *said in rows.values_list("uuid", "rationale", *columns)
    }


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
