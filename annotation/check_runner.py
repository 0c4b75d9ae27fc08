"""What a check of a judge means: it is asked probes, and what comes of them stands on its card."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.engine.words import WORDS
from annotation.models import Annotator, JudgeSpending
from annotation.runner import judge_spec
from steelyard.inference.judging.probes import QUESTIONS
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "annotation.engine.checking"
words = WORDS


def prepare(run: Run) -> dict[str, Any]:
    return {"kind": "check_judge", "judge": judge_spec(_judge(run)), "questions": len(QUESTIONS)}


def environment(run: Run) -> dict[str, str]:
    model = _judge(run).model
    return model.secrets() if model else {}


def gpus(run: Run) -> int:
    model = _judge(run).model
    return gpus_for(model.families if model else [])


@transaction.atomic
def finish(run: Run, result: dict[str, Any]) -> None:
    judge = Annotator.objects.select_for_update().get(pk=run.spec["judge"])
    found = {**result["injection"], "run": run.pk, "at": timezone.now().isoformat()}
    # not by save: a judge is fixed, and what was measured of it is no part of it
    Annotator.objects.filter(pk=judge.pk).update(checks={**judge.checks, "injection": found})
    if judge.model is not None and judge.model.family in {"endpoint", "pipeline"}:
        JudgeSpending.objects.update_or_create(
            run=run, defaults={"judge": judge, **result["usage"]}
        )


def _judge(run: Run) -> Annotator:
    return Annotator.objects.select_related("model").get(pk=run.spec["judge"])
