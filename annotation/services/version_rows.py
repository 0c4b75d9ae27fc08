"""From what the votes on a pair come to, to the row of a dataset version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import fsum
from typing import Any, NamedTuple

from annotation.models import Judgment, Outcome, Pair
from annotation.recipe import Recipe
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.records import PreferenceRecord
from steelyard.projects.models import Project

_CHUNK = 1000


class Vote(NamedTuple):
    uuid: str
    annotator: str
    kind: str
    outcome: str
    strength: int


@dataclass(frozen=True)
class Verdict:
    """What the votes on one pair come to."""

    pair: int
    key: str
    prompt_key: str
    category: str
    outcome: str
    """a, b or tie; both_bad is dropped."""
    agreement: float
    votes: list[Vote]
    split: str


def records_of(
    *, project: Project, recipe: Recipe, verdicts: list[Verdict]
) -> list[PreferenceRecord]:
    """One record a verdict, in the order given; answers' texts are read a part at a time."""
    records = []
    waiting = iter(verdicts)
    while chunk := list(islice(waiting, _CHUNK)):
        pairs = Pair.objects.with_content().in_bulk([verdict.pair for verdict in chunk])
        said = _said(pairs)
        for verdict in chunk:
            pair = pairs[verdict.pair]
            records.append(_record(project, recipe, verdict, pair, said))
    return records


def _said(pairs: dict[int, Pair]) -> dict[str, Judgment]:
    """What each judgment says besides its outcome, by UUID."""
    rows = Judgment.objects.filter(pair__in=list(pairs)).only(
        "uuid", "rationale", "tags", "aspects", "evidence", "segments"
    )
    return {str(judgment.uuid): judgment for judgment in rows}


def _record(
    project: Project, recipe: Recipe, verdict: Verdict, pair: Pair, said: dict[str, Judgment]
) -> PreferenceRecord:
    is_tie = verdict.outcome == Outcome.TIE
    side = _side_of_tie(verdict, recipe) if is_tie else verdict.outcome
    sides = {"a": pair.output_a, "b": pair.output_b}
    chosen, rejected = sides[side], sides["b" if side == "a" else "a"]
    toward = [abs(vote.strength) for vote in verdict.votes if vote.outcome == side]
    return PreferenceRecord(
        pair=pair.key,
        prompt_key=pair.prompt.key,
        category=pair.prompt.category,
        modality=project.modality,
        prompt=pair.prompt.messages,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_media=chosen.asset.sha256 if chosen.asset else "",
        rejected_media=rejected.asset.sha256 if rejected.asset else "",
        chosen_model=chosen.model.name,
        rejected_model=rejected.model.name,
        outcome="tie" if is_tie and recipe.ties == "keep" else "win",
        chosen_side=side,
        strength=0.0 if is_tie or not toward else _mean(toward),
        agreement=verdict.agreement,
        aspects=_aspects([said[vote.uuid] for vote in verdict.votes]),
        rationales=_rationales(verdict.votes, said, side),
        votes=[{"judgment": vote.uuid, **_without_uuid(vote)} for vote in verdict.votes],
        split=verdict.split,
        prompt_media=pair.prompt.media,
        segments=_segments(verdict.votes, said, side),
    )


def _rationales(votes: list[Vote], said: dict[str, Judgment], chosen: str) -> list[dict[str, Any]]:
    return [
        {
            "annotator": vote.annotator,
            "text": words.rationale,
            "tags": words.tags,
            "evidence": [
                {**item, "answer": "chosen" if item["side"] == chosen else "rejected"}
                for item in words.evidence
            ],
        }
        for vote in votes
        if (words := said[vote.uuid]).rationale or words.tags or words.evidence
    ]


def _segments(votes: list[Vote], said: dict[str, Judgment], chosen: str) -> list[dict[str, Any]]:
    return [
        {
            **segment,
            "judgment": vote.uuid,
            "annotator": vote.annotator,
            "better": _better(segment["outcome"], chosen),
        }
        for vote in votes
        for segment in said[vote.uuid].segments
    ]


def _better(outcome: str, chosen: str) -> str:
    if outcome not in {"a", "b"}:
        return "tie"
    return "chosen" if outcome == chosen else "rejected"


def _side_of_tie(verdict: Verdict, recipe: Recipe) -> str:
    if recipe.ties == "keep":
        return "a"
    return "a" if stable_uniform("tie", recipe.seed, verdict.key) < 0.5 else "b"


def _without_uuid(vote: Vote) -> dict[str, Any]:
    values = vote._asdict()
    del values["uuid"]
    return values


def _aspects(judgments: list[Judgment]) -> dict[str, float]:
    strengths: dict[str, list[float]] = defaultdict(list)
    for judgment in judgments:
        for name, strength in judgment.aspects.items():
            strengths[name].append(strength)
    return {name: _mean(values) for name, values in sorted(strengths.items())}


def _mean(values: Sequence[float]) -> float:
    """Rounded, so that the last bit of a sum never decides a digest."""
    return round(fsum(values) / len(values), 6)
