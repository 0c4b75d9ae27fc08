"""How far people follow a judge whose verdicts they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.models import Annotator, Judgment
from evaluation.engine.anchoring import Anchoring, anchoring

Vote = tuple[int, int, bool, bool]
"""Prompt, annotator, whether it says what the judge says, whether that was shown."""


@dataclass(frozen=True)
class Followed:
    """By everybody, and by each who has such votes."""

    all: Anchoring
    by_annotator: list[tuple[str, Anchoring]]


def followed(judge: Annotator) -> Followed | None:
    """From people's votes where its verdict could have been shown; None where there are none."""
    rows = Judgment.objects.decisive().by_people().standing(judge.project)
    rows = rows.filter(project=judge.project_id, prelabel__contains={"judge": judge.pk})
    columns = rows.order_by("pk").values_list(
        "pair__prompt_id", "annotator_id", "outcome", "prelabel__outcome", "prelabel__shown"
    )
    votes = [(prompt, who, said == told, shown) for prompt, who, said, told, shown in columns]
    if not votes:
        return None
    names = Annotator.objects.in_bulk({who for _, who, _, _ in votes})
    by_name = sorted((names[who].name, who) for who in names)
    return Followed(
        _of(votes),
        [(name, _of([vote for vote in votes if vote[1] == who])) for name, who in by_name],
    )


def _of(votes: Sequence[Vote]) -> Anchoring:
    return anchoring(
        [agrees for _, _, agrees, _ in votes],
        [shown for _, _, _, shown in votes],
        [prompt for prompt, _, _, _ in votes],
    )
