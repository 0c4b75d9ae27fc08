"""Themes of the reasons that people, or judges, gave in a project; never of both together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from annotation.models import Judgment
from evaluation.engine.themes import themes
from evaluation.kept import kept
from steelyard.projects.models import Project

MOST = 3000
"""Reasons that are read, the newest."""
EXAMPLES = 3


@dataclass(frozen=True)
class ReasonTheme:
    words: list[str]
    count: int
    share: float
    first: int
    """For the side that was shown first."""
    second: int
    side_unknown: int
    """For one side, where it is not known which was shown first, or both were in turn."""
    ties: int
    both_bad: int
    examples: list[tuple[int, str]]
    """Pair and text."""


@dataclass(frozen=True)
class Reasons:
    read: int
    total: int
    themes: list[ReasonTheme]


def reasons_of(project: Project, by: str = "people", outcome: str = "") -> Reasons:
    """Made anew only where votes have changed.

    Args:
        by: people or judges.
        outcome: ``winner`` (one side is better), ``tie`` or ``both_bad`` alone; all where empty.
    """
    return kept(project, ("reasons", by, outcome), lambda: _made(project, by, outcome))


def _made(project: Project, by: str, outcome: str) -> Reasons:
    rows = Judgment.objects.decisive().standing(project).filter(project=project)
    rows = rows.exclude(rationale="").filter(annotator__is_jury=False)
    rows = rows.by_judges() if by == "judges" else rows.by_people()
    if outcome:
        rows = rows.filter(outcome__in=["a", "b"] if outcome == "winner" else [outcome])
    columns = ("pair_id", "rationale", "outcome", "swapped", "details__orders__1__swapped")
    total = rows.count()
    told = list(rows.order_by("-pk").values_list(*columns)[:MOST])
    found = []
    for theme in themes([text for _, text, *_ in told]):
        mine = [told[place] for place in theme.texts]
        sides = Counter(_side(*shown) for _, _, *shown in mine)
        found.append(
            ReasonTheme(
                words=theme.words,
                count=len(mine),
                share=len(mine) / len(told),
                first=sides["first"],
                second=sides["second"],
                side_unknown=sides["unknown"],
                ties=sides["tie"],
                both_bad=sides["both_bad"],
                examples=[(pair, text) for pair, text, *_ in mine[:EXAMPLES]],
            )
        )
    return Reasons(len(told), total, found)


def _side(outcome: str, swapped: bool | None, second: bool | None) -> str:
    """
    Args:
        second: whether b was first when a judge was asked the second time; None where it was not.
    """
    if outcome not in {"a", "b"}:
        return outcome
    if swapped is None or second is not None:
        return "unknown"
    return "first" if (outcome == "b") == swapped else "second"
