"""Votes to win rates and leaderboards: from querysets to the engine's pure functions and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotation.models import Judgment
from evaluation.engine import ratings, winrate
from evaluation.models import Comparison, Evaluation
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet

SOURCES = {"people": "People", "judges": "AI judges"}
_SCORE_OF_A = {"a": 1.0, "tie": 0.5, "both_bad": 0.5, "b": 0.0}


@dataclass(frozen=True)
class WinRateRow:
    """One candidate against the baseline by one source of votes."""

    candidate: ModelVersion
    source: str
    """people or judges; the two never share a number."""
    rate: winrate.WinRate
    both_bad: int
    identical: int
    """Prompts on which both models gave the same output: counted as ties, shown to nobody."""
    comparisons: int
    judged: int
    """Comparisons with at least one vote of this source."""


@dataclass(frozen=True)
class Standing:
    """One row of a leaderboard."""

    model: ModelVersion
    row: ratings.LeaderboardRow


@dataclass(frozen=True)
class Standings:
    ranked: list[Standing]
    unrated: list[tuple[ModelVersion, str]]
    """Models for which no finite rating exists, and why."""
    votes: int
    prompts: int
    annotators: int


def by_source(votes: JudgmentQuerySet, source: str) -> JudgmentQuerySet:
    """Votes of people or of judges; anything else is nothing."""
    if source == "people":
        return votes.by_people()
    return votes.by_judges() if source == "judges" else votes.none()


def win_rates(evaluation: Evaluation) -> list[WinRateRow]:
    """Win rate of each candidate, apart for people and judges where either has voted."""
    comparisons = list(evaluation.comparisons.with_sides())
    votes = Judgment.objects.decisive().filter(pair__in=[c.pair_id for c in comparisons])
    if evaluation.judge_id:
        votes = votes.exclude(annotator__kind="judge") | votes.filter(annotator=evaluation.judge_id)
    rows = []
    for candidate in evaluation.candidates.order_by("name"):
        own = [c for c in comparisons if c.candidate_id == candidate.pk]
        for source in SOURCES:
            if row := _win_rate(candidate, source, own, by_source(votes, source)):
                rows.append(row)
    return rows


def _win_rate(
    candidate: ModelVersion, source: str, comparisons: list[Comparison], votes: JudgmentQuerySet
) -> WinRateRow | None:
    by_pair = {c.pair_id: c for c in comparisons}
    cast = list(
        votes.filter(pair__in=list(by_pair)).values_list("pair_id", "outcome").order_by("uuid")
    )
    if not cast:
        return None
    scores, prompts = [], []
    for pair, outcome in cast:
        score = _SCORE_OF_A[outcome]
        scores.append(score if by_pair[pair].candidate_is_a else 1.0 - score)
        prompts.append(by_pair[pair].pair.prompt_id)
    identical = [c for c in comparisons if is_identical(c)]
    for comparison in identical:
        scores.append(0.5)
        prompts.append(comparison.pair.prompt_id)
    return WinRateRow(
        candidate=candidate,
        source=source,
        rate=winrate.win_rate(scores, prompts),
        both_bad=sum(outcome == "both_bad" for _, outcome in cast),
        identical=len(identical),
        comparisons=len(comparisons),
        judged=len({pair for pair, _ in cast}),
    )


def is_identical(comparison: Comparison) -> bool:
    a, b = comparison.pair.output_a, comparison.pair.output_b
    return a.text == b.text and a.asset_id == b.asset_id


def standings(project: Project, *, source: str, category: str = "") -> Standings:
    """Bradley–Terry over all current decisive votes between different models of a project."""
    votes = by_source(Judgment.objects.decisive().filter(project=project), source)
    if category:
        votes = votes.filter(pair__prompt__category=category)
    cast = list(
        votes.order_by("uuid").values_list(
            "pair__prompt_id",
            "pair__output_a__model_id",
            "pair__output_b__model_id",
            "outcome",
            "annotator_id",
        )
    )
    cast = [vote for vote in cast if vote[1] != vote[2]]
    if not cast:
        return Standings([], [], 0, 0, 0)
    models = {
        m.pk: m
        for m in ModelVersion.objects.filter(pk__in={v[1] for v in cast} | {v[2] for v in cast})
    }
    keys = sorted(models, key=lambda pk: models[pk].name)
    place = {pk: index for index, pk in enumerate(keys)}
    board = ratings.leaderboard(
        prompt=[v[0] for v in cast],
        i=[place[v[1]] for v in cast],
        j=[place[v[2]] for v in cast],
        y=[_SCORE_OF_A[v[3]] for v in cast],
        models=len(keys),
    )
    return Standings(
        ranked=[Standing(models[keys[row.model]], row) for row in board.rows],
        unrated=[(models[keys[index]], reason) for index, reason in board.unrated],
        votes=len(cast),
        prompts=len({v[0] for v in cast}),
        annotators=len({v[4] for v in cast}),
    )
