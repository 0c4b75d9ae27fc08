"""What an exporting run means: its process reads a frozen version and writes files, which stay in
the run's folder to be downloaded."""

from __future__ import annotations

import shutil
from typing import Any

from django.conf import settings

from annotation import freeze_runner
from annotation.titles import TITLES
from annotation.transfer.words import WORDS, written_in_words
from steelyard.runs.models import Run

engine = "annotation.transfer.exporting"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    return {"kind": "export", "project": run.project_id, **run.spec}


def environment(run: Run) -> dict[str, str]:
    """The process works on our database and our files."""
    return {**freeze_runner.environment(run), "STEELYARD_DATA": str(settings.DATA_DIR)}


def finish(run: Run, result: dict[str, Any]) -> None:
    run.dir.event(written_in_words(result))


def abandoned(run: Run) -> None:
    """Half a file is of no use to anybody."""
    for name in ("files", "parts"):
        shutil.rmtree(run.dir.path / name, ignore_errors=True)
