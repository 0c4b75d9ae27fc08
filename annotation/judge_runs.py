"""What all kinds of runs have in common that ask a judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.conf import settings

from annotation.models import Annotator
from steelyard.lib.rundir import write_atomically
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

_SEEN = "collected.json"


def judge_of(run: Run) -> Annotator:
    return Annotator.objects.select_related("model").get(pk=run.spec["judge"])


def judge_spec(judge: Annotator) -> dict[str, Any]:
    return {
        "id": judge.pk,
        "name": judge.name,
        "model": judge.model.as_spec() if judge.model else None,
        "criteria": judge.criteria,
        "rubric": judge.rubric,
        "template_version": judge.template_version,
        "template": judge.template,
        "sampling": judge.sampling,
        "asking": judge.asking,
        "limits": judge.limits,
    }


def told_of(run: Run, judge: Annotator) -> dict[str, Any]:
    """What an engine is told of a judge, and where the answers are kept that are paid for."""
    kept = settings.DATA_DIR / "cache" / "judging"
    return {
        "judge": judge_spec(judge),
        "run": str(run.uuid),
        "calls": str(kept / f"{run.project_id}.sqlite"),
        "pace": str(kept / "pace.sqlite"),
        "spent": judge.spent,
    }


def environment(run: Run) -> dict[str, str]:
    """An endpoint's key goes to the engine this way: run.json stays readable to others."""
    model = judge_of(run).model
    return model.secrets() if model else {}


def gpus(run: Run) -> int:
    model = judge_of(run).model
    return gpus_for(model.families if model else [])


def take_in(run: Run, what: str, store: Callable[[Run, list[dict[str, Any]]], None]) -> bool:
    """The lines of ``{what}.jsonl`` written since the last look; whether there were any.

    How far that is, is kept in the run directory after the rows are committed; a crash between the
    two takes a few lines in again, so ``store`` must leave what is there already.
    """
    place = run.dir.path / _SEEN
    seen = begun = json.loads(place.read_text())[what] if place.exists() else 0
    while True:
        lines, offset = run.dir.read_lines(f"{what}.jsonl", seen)
        if offset == seen:
            return bool(seen != begun)
        store(run, lines)
        write_atomically(place, json.dumps({what: offset}).encode())
        seen = offset
