"""What a run means that has a judge say whether revising makes answers better: it gets the answers
that a training run has written, and what comes of it stays in its result."""

from __future__ import annotations

import shutil
from typing import Any

from annotation.judge_runs import environment as environment
from annotation.judge_runs import gpus as gpus
from annotation.judge_runs import judge_of, told_of
from annotation.spending import store_spending
from evaluation.engine.words import WORDS
from evaluation.titles import TITLES
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.runs.models import Run

engine = "evaluation.engine.revisions"
words = {**WORDS, **TITLES}
FILE = "revisions.jsonl"


def prepare(run: Run) -> dict[str, Any]:
    """
    Raises:
        UserError: ``no_revisions``: the training run's folder is gone.
    """
    source = Run.objects.get(project=run.project_id, pk=run.spec["of"]).dir.path / FILE
    run.dir.path.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, run.dir.path / FILE)
    except FileNotFoundError as error:
        raise UserError(Said(WORDS, "revised_gone"), code="no_revisions", field="run") from error
    return {"kind": "revisions", **told_of(run, judge_of(run)), "revisions": FILE}


def finish(run: Run, result: dict[str, Any]) -> None:
    store_spending(run)


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has cost."""
    if run.dir.path.exists():
        store_spending(run)
