"""What models made while they were trained, read from the run's folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from steelyard.runs.files import address_of, shot_of
from steelyard.runs.models import Run

MOST_LINES = 4000
MOST_STEPS = 12
"""How many steps' pictures a page shows at once, the newest first."""


def lines_of(run: Run) -> list[dict[str, Any]]:
    """``step``, ``prompt``, ``text`` and ``reference_text`` of each sample, as written."""
    lines, _offset = run.dir.read_lines("samples.jsonl", 0)
    known = ("step", "prompt", "text", "reference_text")
    return [{n: line[n] for n in known} for line in lines if all(n in line for n in known)]


def samples_of(run: Run) -> list[tuple[int, list[dict[str, Any]]]]:
    """The samples of each step, the newest step first; those of step 0 are the reference's own."""
    lines = [line for line in lines_of(run)[-MOST_LINES:] if line["step"] > 0]
    return _by_step(lines)


def media_lines_of(run: Run) -> list[dict[str, Any]]:
    """``step``, ``prompt``, ``seed``, ``seeds`` (fixed or fresh), ``file`` and ``reference_file``
    of each picture or clip, as written: each once, though a killed run may have written twice."""
    lines, _offset = run.dir.read_lines("media_samples.jsonl", 0)
    known = ("step", "prompt", "seed", "seeds", "file", "reference_file")
    whole = [{n: line[n] for n in known} for line in lines if all(n in line for n in known)]
    return list({line["file"]: line for line in whole}.values())


def media_rows_of(run: Run) -> list[dict[str, Any]]:
    """The same as the API gives them: a prompt as messages, files by their addresses."""
    return [
        {
            **line,
            "prompt": [{"role": "user", "content": line["prompt"]}],
            "text": "",
            "reference_text": "",
            "file": address_of(run, line["file"]),
            "reference_file": address_of(run, line["reference_file"]),
        }
        for line in media_lines_of(run)
    ]


def media_samples_of(run: Run) -> dict[str, Any]:
    """Pictures or clips for a page: ``steps``, the newest first, of which the last MOST_STEPS are
    looked up; ``strips``, a row of each prompt's fixed seed through the steps, the base first;
    ``earlier``, how many steps are left out."""
    every = _by_step(media_lines_of(run)[-MOST_LINES:])
    steps = [(step, [_shown(run, line) for line in lines]) for step, lines in every[:MOST_STEPS]]
    return {"steps": steps, "strips": _strips(steps), "earlier": len(every) - len(steps)}


def newest_of(run: Run) -> list[dict[str, Any]]:
    """The samples of the newest step, for a page that sets runs side by side."""
    every = _by_step(media_lines_of(run)[-MOST_LINES:])
    return [_shown(run, line) for line in every[0][1]] if every else []


def _strips(steps: Sequence[tuple[int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for step, lines in reversed(steps):
        for line in lines:
            if line["seeds"] != "fixed":
                continue
            row = rows.setdefault(
                line["prompt"],
                {"prompt": line["prompt"], "seed": line["seed"], "before": line["before"]},
            )
            row.setdefault("shots", []).append((step, line["now"]))
    return list(rows.values())


def _shown(run: Run, line: dict[str, Any]) -> dict[str, Any]:
    now, before = shot_of(run, line["file"]), shot_of(run, line["reference_file"])
    return {**line, "now": now, "before": before}


def _by_step(lines: Iterable[dict[str, Any]]) -> list[tuple[int, list[dict[str, Any]]]]:
    ordered = sorted(lines, key=lambda line: -line["step"])
    return [(step, list(group)) for step, group in groupby(ordered, key=lambda line: line["step"])]
