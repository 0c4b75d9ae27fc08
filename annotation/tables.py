"""Tables that leave the house as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from annotation.models import Judgment

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


class _Echo:
    """Gives back what a csv writer writes."""

    def write(self, line: str) -> str:
        return line


def judgments_csv(judgments: Iterable[Judgment]) -> Iterator[str]:
    """Lines of CSV; outcome and strength are of the pair's own sides a and b."""
    writer = csv.writer(_Echo())
    yield writer.writerow(JUDGMENT_COLUMNS)
    for judgment in judgments:
        yield writer.writerow([_harmless(value) for value in _row(judgment)])


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


def _harmless(value: object) -> object:
    """A spreadsheet takes a text that begins like a formula for one; an apostrophe says it is
    text."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value
