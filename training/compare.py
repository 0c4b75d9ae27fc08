"""Runs side by side: curves over the same steps, what differs in their settings, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.runs.curves import curves, panels
from steelyard.web.templatetags.charts import COLOURS
from training.models import TrainingJob
from training.samples import newest_of

MOST = 6


def compared(jobs: Sequence[TrainingJob]) -> dict[str, Any]:
    """Charts, settings and figures of up to :data:`MOST` jobs, each named by its model."""
    names = [_name(job, jobs) for job in jobs]
    found = {name: curves(job.run) for name, job in zip(names, jobs, strict=True)}
    return {
        "columns": list(zip(names, jobs, strict=True)),
        "colours": {name: place % COLOURS for place, name in enumerate(names)},
        "charts": _charts(found),
        "settings": _settings(jobs),
        "metrics": _metrics(jobs),
        "samples": _samples(jobs),
    }


def _samples(jobs: Sequence[TrainingJob]) -> list[dict[str, Any]]:
    """A row a prompt and kind of seed that any run has pictures or clips of, its newest in each
    column; none where no run has."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for place, job in enumerate(jobs):
        for line in newest_of(job.run):
            row = rows.setdefault(
                (line["prompt"], line["seeds"]),
                {"prompt": line["prompt"], "seeds": line["seeds"], "cells": [None] * len(jobs)},
            )
            row["cells"][place] = line
    return list(rows.values())


def _name(job: TrainingJob, jobs: Sequence[TrainingJob]) -> str:
    same = sum(other.model_name == job.model_name for other in jobs)
    return f"{job.model_name} ({job.run_id})" if same > 1 else job.model_name


def _charts(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A chart for each metric, with a line for each run that has it."""
    metrics = sorted({metric for lines in found.values() for metric in lines})
    order = [metric for panel in panels(metrics) for metric in panel.names]
    return [
        {
            "title": metric.replace("_", " "),
            "highest": 1.0 if metric.endswith("accuracy") else None,
            "series": [(name, lines[metric]) for name, lines in found.items() if metric in lines],
        }
        for metric in order
        if not metric.startswith("resource_")
    ]


def _settings(jobs: Sequence[TrainingJob]) -> list[dict[str, Any]]:
    """Every setting that any has, those that differ first."""
    rows: list[dict[str, Any]] = [
        {"name": "recipe", "values": [job.recipe for job in jobs]},
        {"name": "base", "values": [str(job.base) for job in jobs]},
        {"name": "dataset version", "values": [str(job.version) for job in jobs]},
    ]
    names = list(dict.fromkeys(name for job in jobs for name in job.config))
    rows += [{"name": n, "values": [job.config.get(n) for job in jobs]} for n in names]
    for row in rows:
        row["differs"] = any(value != row["values"][0] for value in row["values"])
    return sorted(rows, key=lambda row: not row["differs"])


def _metrics(jobs: Sequence[TrainingJob]) -> list[dict[str, Any]]:
    measured = [(job.run.result or {}).get("metrics") or {} for job in jobs]
    counted = [(job.run.result or {}).get("counts") or {} for job in jobs]
    names = [
        n for panel in panels(sorted({n for one in measured for n in one})) for n in panel.names
    ]
    rows: list[dict[str, Any]] = [
        {"name": name, "values": [one.get(name) for one in measured]} for name in names
    ]
    others = sorted({name for one in counted for name in one})
    rows += [{"name": name, "values": [one.get(name) for one in counted]} for name in others]
    rows.append({"name": "seconds", "values": [job.run.seconds for job in jobs]})
    return [{**row, "name": row["name"].replace("_", " ")} for row in rows]
