"""What a run of the tests' own kind means; it writes down how often it was called."""

from __future__ import annotations

from typing import Any

from steelyard.lib.errors import UserError
from steelyard.runs.models import Run

engine = "counting_engine"


def prepare(run: Run) -> dict[str, Any]:
    if message := run.spec.get("unprepared"):
        raise UserError(message, code="unprepared")
    if run.spec.get("broken"):
        raise RuntimeError("a fault of ours")
    return {"kind": "counting", "steps": 20, **run.spec}


def finish(run: Run, result: dict[str, Any]) -> None:
    _note(run, "finished")


def abandoned(run: Run) -> None:
    if run.dir.path.exists():
        _note(run, "abandoned")


def _note(run: Run, name: str) -> None:
    with (run.dir.path / name).open("a") as stream:
        stream.write("once\n")


def gpus(run: Run) -> int:
    return run.spec.get("gpus", 0)
