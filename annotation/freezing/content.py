"""From kept rows to records; what pairs and votes say is read a part at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from annotation.freezing.select import OUTCOMES, Names, Selection
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


@dataclass(frozen=True)
class _Vote:
    uuid: str
    annotator: str
    kind: str
    outcome: str
    strength: int
    said: _Said | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "judgment": self.uuid,
            "annotator": self.annotator,
            "kind": self.kind,
            "outcome": self.outcome,
            "strength": self.strength,
        }


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
        contents, said = _contents(pks), _said(pks)
        keys, prompt_keys = (
            [one.tobytes().hex() for one in column] for column in (pairs.key, pairs.prompt_key)
        )
        for at, pk in enumerate(pairs.pk.tolist()):
            votes = self._votes(int(rows.start[at]), int(rows.stop[at]), said)
            models = [self.names.models[int(side[at])] for side in (pairs.model_a, pairs.model_b)]
            yield self._record(
                contents[pk],
                votes,
                models,
                outcome=OUTCOMES[rows.outcome[at]],
                side=int(rows.side[at]),
                pair=keys[at],
                prompt_key=prompt_keys[at],
                category=self.names.categories[pairs.category[at]],
                strength=float(rows.strength[at]),
                agreement=float(rows.agreement[at]),
                weight=float(rows.weight[at]),
                split="test" if rows.test[at] else "train",
            )

    def _record(
        self,
        content: _Content,
        votes: list[_Vote],
        models: list[str],
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
            votes=[vote.as_dict() for vote in votes],
            prompt_media=content.media,
            segments=_segments(votes, chosen),
            **values,
        )

    def _votes(self, start: int, stop: int, said: dict[UUID, _Said]) -> list[_Vote]:
        votes = self.selection.votes
        found = []
        for at in range(start, stop):
            uuid = UUID(bytes=votes.uuid[at].tobytes())
            annotator = int(votes.annotator[at])
            found.append(
                _Vote(
                    str(uuid),
                    self.names.annotators[annotator],
                    self.names.kinds[annotator],
                    OUTCOMES[votes.outcome[at]],
                    int(votes.strength[at]),
                    said.get(uuid),
                )
            )
        return found


def _contents(pks: list[int]) -> dict[int, _Content]:
    rows = Pair.objects.filter(pk__in=pks).values_list(
        "pk",
        "prompt__messages",
        "prompt__media",
        "output_a__text",
        "output_b__text",
        "output_a__asset__sha256",
        "output_b__asset__sha256",
    )
    return {row[0]: _Content(*row) for row in rows}


def _said(pks: list[int]) -> dict[UUID, _Said]:
    """Of those votes that say something besides their outcome, by UUID."""
    silent = {"rationale": "", "tags": [], "aspects": {}, "evidence": [], "segments": []}
    rows = Judgment.objects.filter(pair__in=pks).exclude(**silent).order_by()
    return {uuid: _Said(*said) for uuid, *said in rows.values_list("uuid", *_Said._fields)}


def _rationales(votes: list[_Vote], chosen: str) -> list[dict[str, Any]]:
    return [
        {
            "annotator": vote.annotator,
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
            "judgment": vote.uuid,
            "annotator": vote.annotator,
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
