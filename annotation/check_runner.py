"""What a check of a judge means: it is asked probes, and what comes of them stands on its card."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.engine.words import WORDS
from annotation.judge_runs import environment as environment
from annotation.judge_runs import gpus as gpus
from annotation.judge_runs import judge_of, told_of
from annotation.models import Annotator
from annotation.spending import store_spending
from annotation.titles import TITLES
from steelyard.inference.judging.probes import QUESTIONS
from steelyard.runs.models import Run

engine = "annotation.engine.checking"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    return {"kind": "check_judge", **told_of(run, judge_of(run)), "questions": len(QUESTIONS)}


@transaction.atomic
def finish(run: Run, result: dict[str, Any]) -> None:
    """A check that a cap ended has measured nothing; what was measured before stays."""
    store_spending(run)
    if "injection" not in result:
        return
    judge = Annotator.objects.select_for_update().get(pk=run.spec["judge"])
    found = {**result["injection"], "run": run.pk, "at": timezone.now().isoformat()}
    # not by save: a judge is fixed, and what was measured of it is no part of it
    Annotator.objects.filter(pk=judge.pk).update(checks={**judge.checks, "injection": found})


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has cost."""
    if run.dir.path.exists():
        store_spending(run)
