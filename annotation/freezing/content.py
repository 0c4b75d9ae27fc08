"""From kept rows to records; what pairs and votes say is read a part at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple

import numpy as np
from django.db.models.expressions import RawSQL

from annotation.freezing.select import OUTCOMES, Names, Rows, Selection
from annotation.models import Judgment, Pair
from annotation.recipe import Recipe
from steelyard.lib.records import PreferenceRecord
from steelyard.projects.models import Project

CHUNK = 2048
"""Rows whose texts are held at once."""


class _Said(NamedTuple):
    """What a vote says besides its outcome."""

    rationale: str
    tags: list[str]
    aspects: dict[str, int]
    evidence: list[dict[str, Any]]
    segments: list[dict[str, Any]]


class _Content(NamedTuple):
    """A pair's prompt and answers."""

    pk: int
    messages: list[dict[str, str]]
    media: list[str]
    text_a: str
    text_b: str
    file_a: str | None
    file_b: str | None


class _Vote(NamedTuple):
    record: dict[str, Any]
    """As it stands in the row."""
    said: _Said | None


def records_of(
    *, project: Project, recipe: Recipe, selection: Selection, names: Names, start: int = 0
) -> Iterator[PreferenceRecord]:
    """One record a row, in the order of the selection, from a row on."""
    writer = _Writer(project, recipe, selection, names)
    for first in range(start, len(selection.rows), CHUNK):
        yield from writer.records(np.arange(first, min(first + CHUNK, len(selection.rows))))


@dataclass(frozen=True)
class _Writer:
    project: Project
    recipe: Recipe
    selection: Selection
    names: Names

    def records(self, places: np.ndarray) -> Iterator[PreferenceRecord]:
        rows = self.selection.rows.at(places)
        pairs = self.selection.pairs.at(rows.pair)
        pks = np.unique(pairs.pk).tolist()
        contents = _contents(pks)
        votes = self._votes(rows, _said(pks))
        columns = (
            pairs.pk.tolist(),
            _hexes(pairs.key),
            _hexes(pairs.prompt_key),
            pairs.category.tolist(),
            pairs.model_a.tolist(),
            pairs.model_b.tolist(),
            rows.outcome.tolist(),
            rows.side.tolist(),
            rows.strength.tolist(),
            rows.agreement.tolist(),
            rows.weight.tolist(),
            rows.test.tolist(),
            votes,
        )
        names = self.names
        for row in zip(*columns, strict=True):
            pk, key, prompt, category, a, b, outcome, side, strength, share, weight, test, cast = (
                row
            )
            yield self._record(
                contents[pk],
                cast,
                (names.models[a], names.models[b]),
                outcome=OUTCOMES[outcome],
                side=side,
                pair=key,
                prompt_key=prompt,
                category=names.categories[category],
                strength=strength,
                agreement=share,
                weight=weight,
                split="test" if test else "train",
            )

    def _record(
        self,
        content: _Content,
        votes: list[_Vote],
        models: tuple[str, str],
        *,
        outcome: str,
        side: int,
        **values: Any,
    ) -> PreferenceRecord:
        texts = (content.text_a, content.text_b)
        files = (content.file_a or "", content.file_b or "")
        chosen = "ab"[side]
        return PreferenceRecord(
            modality=self.project.modality,
            prompt=content.messages,
            chosen=texts[side],
            rejected=texts[1 - side],
            chosen_media=files[side],
            rejected_media=files[1 - side],
            chosen_model=models[side],
            rejected_model=models[1 - side],
            outcome="tie" if outcome == "tie" and self.recipe.ties == "keep" else "win",
            chosen_side=chosen,
            aspects=_aspects(votes),
            rationales=_rationales(votes, chosen),
            votes=[vote.record for vote in votes],
            prompt_media=content.media,
            segments=_segments(votes, chosen),
            **values,
        )

    def _votes(self, rows: Rows, said: dict[str, _Said]) -> list[list[_Vote]]:
        """Of each row; rows lie in the order of their votes, so that those of a part of the rows
        are a part of the votes."""
        first, last = int(rows.start.min()), int(rows.stop.max())
        votes = self.selection.votes.at(np.arange(first, last))
        ids = votes.uuid.tobytes().hex()
        found = []
        for at, (annotator, outcome, strength) in enumerate(
            zip(
                votes.annotator.tolist(),
                votes.outcome.tolist(),
                votes.strength.tolist(),
                strict=True,
            )
        ):
            one = ids[32 * at : 32 * at + 32]
            record = {
                "judgment": f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}",
                "annotator": self.names.annotators[annotator],
                "kind": self.names.kinds[annotator],
                "outcome": OUTCOMES[outcome],
                "strength": strength,
            }
            found.append(_Vote(record, said.get(one)))
        spans = zip((rows.start - first).tolist(), (rows.stop - first).tolist(), strict=True)
        return [found[start:stop] for start, stop in spans]


def _hexes(column: np.ndarray) -> list[str]:
    """Keys of 32 bytes as they are written."""
    text = column.tobytes().hex()
    return [text[start : start + 64] for start in range(0, len(text), 64)]


def _among(pks: list[int]) -> RawSQL:
    """One parameter in place of thousands, which take longer to write down than to look up."""
    return RawSQL("select unnest(%s::bigint[])", [pks])


def _contents(pks: list[int]) -> dict[int, _Content]:
    rows = Pair.objects.filter(pk__in=_among(pks)).values_list(
        "pk",
        "prompt__messages",
        "prompt__media",
        "output_a__text",
        "output_b__text",
        "output_a__asset__sha256",
        "output_b__asset__sha256",
    )
    return {row[0]: _Content(*row) for row in rows}


def _said(pks: list[int]) -> dict[str, _Said]:
    """Of those votes that say something besides their outcome, by the UUID's 32 digits."""
    silent = {"rationale": "", "tags": [], "aspects": {}, "evidence": [], "segments": []}
    rows = Judgment.objects.filter(pair__in=_among(pks)).exclude(**silent).order_by()
    return {uuid.hex: _Said(*said) for uuid, *said in rows.values_list("uuid", *_Said._fields)}


def _rationales(votes: list[_Vote], chosen: str) -> list[dict[str, Any]]:
    return [
        {
            "annotator": vote.record["annotator"],
            "text": said.rationale,
            "tags": said.tags,
            "evidence": [
                {**item, "answer": "chosen" if item["side"] == chosen else "rejected"}
                for item in said.evidence
            ],
        }
        for vote in votes
        if (said := vote.said) and (said.rationale or said.tags or said.evidence)
    ]


def _segments(votes: list[_Vote], chosen: str) -> list[dict[str, Any]]:
    return [
        {
            **segment,
            "judgment": vote.record["judgment"],
            "annotator": vote.record["annotator"],
            "better": _better(segment["outcome"], chosen),
        }
        for vote in votes
        if vote.said
        for segment in vote.said.segments
    ]


def _better(outcome: str, chosen: str) -> str:
    if outcome not in {"a", "b"}:
        return "tie"
    return "chosen" if outcome == chosen else "rejected"


def _aspects(votes: list[_Vote]) -> dict[str, float]:
    strengths: dict[str, list[float]] = defaultdict(list)
    for vote in votes:
        if vote.said:
            for name, strength in vote.said.aspects.items():
                strengths[name].append(strength)
    return {name: _mean(values) for name, values in sorted(strengths.items())}


def _mean(values: Sequence[float]) -> float:
    """Rounded, so that the last bit of a sum never decides a digest."""
    return round(fsum(values) / len(values), 6)
