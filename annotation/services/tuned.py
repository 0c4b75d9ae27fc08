"""What a tuning run has come to: the texts that were tried, and what the best of them became."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.models import Annotator
from steelyard.runs.models import Run


@dataclass(frozen=True)
class Text:
    """Criteria that came to validation."""

    number: int
    parent: int | None
    validation: float
    """Agreement with people on the validation pairs."""
    criteria: str
    before: str
    """The criteria that it was written from; empty of the first."""
    best: bool


@dataclass(frozen=True)
class Tuned:
    run: Run
    judge: Annotator
    made: Annotator | None
    """The version that it became; none while it is at work, or where no text was better."""
    texts: list[Text]
    pairs: dict[str, int]
    budget: int
    seed: int
    found: dict[str, Any] | None
    """Figures on the test pairs, once it has ended."""


def tuned_by(run: Run) -> Tuned:
    lines, offset = run.dir.read_lines("candidates.jsonl", 0)
    while True:
        more, end = run.dir.read_lines("candidates.jsonl", offset)
        if end == offset:
            break
        lines, offset = [*lines, *more], end
    texts = {line["number"]: line["criteria"] for line in lines}
    highest = max((line["validation"] for line in lines), default=None)
    # of equals the first is taken
    best = next((line["number"] for line in lines if line["validation"] == highest), None)
    result = run.result or {}
    return Tuned(
        run=run,
        judge=Annotator.objects.select_related("project").get(pk=run.spec["judge"]),
        made=made_by(run),
        texts=[
            Text(
                number=line["number"],
                parent=line["parent"],
                validation=line["validation"],
                criteria=line["criteria"],
                before=texts.get(line["parent"], ""),
                best=line["number"] == best,
            )
            for line in lines
        ],
        pairs={name: len(some) for name, some in run.spec["parts"].items()},
        budget=run.spec["budget"],
        seed=run.spec["seed"],
        found=result.get("tuning"),
    )


def made_by(run: Run) -> Annotator | None:
    """The version that a run has made."""
    return Annotator.objects.filter(project=run.project, checks__tuning__run=run.pk).first()
