"""What an importing run means: its process reads a file and stores what it holds in batches."""

from __future__ import annotations

import json
import shutil
from typing import Any

from django.conf import settings

from annotation import freeze_runner
from annotation.titles import TITLES
from annotation.transfer.words import WORDS, read_in_words
from steelyard.runs.models import Run

engine = "annotation.transfer.importing"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    return {"kind": "import", "project": run.project_id, "by": run.created_by_id, **run.spec}


def environment(run: Run) -> dict[str, str]:
    """The process works on our database and our files, and asks for copies of new media."""
    return {
        **freeze_runner.environment(run),
        "STEELYARD_DATA": str(settings.DATA_DIR),
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
    }


def finish(run: Run, result: dict[str, Any]) -> None:
    """What was in the file is in the project; the file itself is of no more use."""
    shutil.rmtree(run.dir.data, ignore_errors=True)
    run.dir.event(read_in_words(result))


def abandoned(run: Run) -> None:
    """How far it came is kept with the row: whoever cancels is told what is in."""
    said = run.dir.result() if run.dir.path.exists() else None
    if not said or "stored" not in said:
        state = run.dir.path / "state.json"
        said = json.loads(state.read_text())["taken"] if state.exists() else None
    if said:
        Run.objects.filter(pk=run.pk, result=None).update(result=said)
    shutil.rmtree(run.dir.data, ignore_errors=True)
