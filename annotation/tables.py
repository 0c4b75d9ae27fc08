"""Tables that leave the house as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from annotation.models import Judgment
from steelyard.lib.spreadsheet import csv_lines

JUDGMENT_COLUMNS = (
    "uuid",
    "time",
    "annotator",
    "kind",
    "outcome",
    "strength",
    "model_a",
    "model_b",
    "category",
    "prompt",
    "rationale",
    "tags",
    "b_shown_first",
    "seconds",
    "pair",
)


def judgments_csv(judgments: Iterable[Judgment]) -> Iterator[str]:
    """Lines of CSV; outcome and strength are of the pair's own sides a and b."""
    return csv_lines(JUDGMENT_COLUMNS, (_row(judgment) for judgment in judgments))


def _row(judgment: Judgment) -> list[object]:
    pair = judgment.pair
    seconds = None if judgment.duration_ms is None else judgment.duration_ms / 1000
    return [
        judgment.uuid,
        judgment.created_at.isoformat(),
        judgment.annotator.name,
        judgment.annotator.kind,
        judgment.outcome,
        judgment.strength,
        pair.output_a.model.name,
        pair.output_b.model.name,
        pair.prompt.category,
        pair.prompt.text,
        judgment.rationale,
        "; ".join(judgment.tags),
        judgment.swapped,
        seconds,
        pair.pk,
    ]
