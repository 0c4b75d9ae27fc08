"""What a run's engine says it has used up, kept with the judge it asked."""

from __future__ import annotations

import json

from annotation.models import JudgeSpending
from steelyard.runs.models import Run


def store_spending(run: Run) -> None:
    """Of the judge alone, which the run's spec names; of a model in this house nothing is said."""
    place = run.dir.path / "usage.json"
    if place.exists():
        used = json.loads(place.read_text())
        JudgeSpending.objects.update_or_create(
            run=run, defaults={"judge_id": run.spec["judge"], **used}
        )
