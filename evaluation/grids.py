"""What a generation has made so far, as a page shows it: a row a prompt, a cell an output."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from django.core.paginator import Page, Paginator

from evaluation.outputs import lines_of
from evaluation.records import shown
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.runs.files import shot_of
from steelyard.runs.models import Run

PER_PAGE = 12
"""Prompts."""


def lines_so_far(run: Run) -> list[dict[str, Any]]:
    """What stands there, whether or not the run has ended."""
    try:
        return list(lines_of(run))
    except UserError:
        return []
    except ValueError:
        # a line is being written at this moment
        return [line for line in run.dir.read_lines("outputs.jsonl", 0)[0] if "model" in line]


def grid_of(run: Run, number: str | None) -> Page:
    """A page of prompts, each with ``words`` and ``cells``; a cell that waits has no ``line``."""
    try:
        spec = run.dir.spec()
    except (OSError, ValueError):
        spec = {}
    page = Paginator(spec.get("prompts", []), PER_PAGE).get_page(number)
    made: dict[tuple[str, str, int], dict[str, Any]] = {}
    on_page = {prompt["key"] for prompt in page}
    for line in lines_so_far(run):
        if line["prompt"] in on_page:
            made[line["prompt"], line["model"], line.get("sample", 0)] = line
    assets = _assets(run, made.values())
    page.object_list = [
        {
            "words": prompt["messages"][-1]["content"],
            "cells": [
                _cell(run, model["name"], made.get((prompt["key"], model["name"], n)), assets)
                for model in spec["models"]
                for n in range(spec["samples"])
            ],
        }
        for prompt in page
    ]
    return page


def counts_of(run: Run) -> list[tuple[str, int]]:
    """How many outputs each model has made, by name."""
    counts: dict[str, int] = defaultdict(int)
    for line in lines_so_far(run):
        counts[line["model"]] += 1
    return sorted(counts.items())


def _cell(
    run: Run, model: str, line: dict[str, Any] | None, assets: dict[str, Asset]
) -> dict[str, Any]:
    """With the asset, which has thumbnail and poster, once the output is kept; the run's own file
    until then."""
    if line is None:
        return {"model": model, "line": None}
    asset = assets.get(_sha256(line))
    shot = None if asset else shot_of(run, line.get("media"))
    turns = shown(line.get("record", ()))
    return {"model": model, "line": line, "asset": asset, "shot": shot, "turns": turns}


def _assets(run: Run, lines: Any) -> dict[str, Asset]:
    names = {_sha256(line) for line in lines} - {""}
    rows = Asset.objects.filter(project=run.project, sha256__in=names)
    return {asset.sha256: asset for asset in rows.select_related("project").with_renditions()}


def _sha256(line: dict[str, Any]) -> str:
    return Path(line.get("media") or "").stem
