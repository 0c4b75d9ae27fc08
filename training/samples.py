"""What models wrote while they were trained, read from the run's folder."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from steelyard.runs.models import Run

MOST_LINES = 4000


def lines_of(run: Run) -> list[dict[str, Any]]:
    """``step``, ``prompt``, ``text`` and ``reference_text`` of each sample, as written."""
    lines, _offset = run.dir.read_lines("samples.jsonl", 0)
    known = ("step", "prompt", "text", "reference_text")
    return [{n: line[n] for n in known} for line in lines if all(n in line for n in known)]


def samples_of(run: Run) -> list[tuple[int, list[dict[str, Any]]]]:
    """The samples of each step, the newest step first; those of step 0 are the reference's own."""
    lines = [line for line in lines_of(run)[-MOST_LINES:] if line["step"] > 0]
    ordered = sorted(lines, key=lambda line: -line["step"])
    return [(step, list(group)) for step, group in groupby(ordered, key=lambda line: line["step"])]
