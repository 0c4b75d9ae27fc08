"""What a freezing run has decided, kept in its folder: votes that come later change nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from annotation.freezing.contents import Gathered, gathered
from annotation.freezing.load import Outputs, load, one_look, texts_of
from annotation.freezing.problems import problem_of
from annotation.freezing.select import Names, Pairs, Rows, Selection, Votes, select
from annotation.recipe import Recipe
from steelyard.lib.rundir import write_atomically
from steelyard.projects.models import Project

_PARTS: dict[str, Any] = {"pairs": Pairs, "votes": Votes, "rows": Rows}


def kept_selection(
    folder: Path, project: Project, recipe: Recipe
) -> tuple[Selection, Names, Gathered | None]:
    """What is kept in the folder; decided now where nothing is, and then what the pairs say may be
    on its way already.

    Raises:
        UserError: it could not be published.
    """
    if (folder / "selection.json").exists():
        return *_read(folder), None
    source: Gathered | None = None

    def outputs_of(pairs: Pairs, votes: Votes) -> Outputs | None:
        nonlocal source
        source = gathered(pairs, votes, project.pk, folder)
        return source.outputs() if source else None

    try:
        with one_look():
            material = load(project, recipe, outputs_of=outputs_of)
            selection = select(**vars(material), recipe=recipe, texts=texts_of)
        if problem := problem_of(selection, recipe):
            raise problem
        _keep(folder, selection, material.names)
    except BaseException:
        if source is not None:
            source.leave()
        raise
    return selection, material.names, source


def _keep(folder: Path, selection: Selection, names: Names) -> None:
    arrays = {
        f"{part}.{name}": values
        for part in _PARTS
        for name, values in vars(getattr(selection, part)).items()
    }
    partial = folder / ".selection.partial.npz"
    np.savez(partial, **arrays)
    os.replace(partial, folder / "selection.npz")
    said = {
        "counts": selection.counts,
        "wins": selection.wins,
        "position": selection.position,
        "train_wins": selection.train_wins,
        "names": asdict(names),
    }
    write_atomically(folder / "selection.json", json.dumps(said).encode())


def _read(folder: Path) -> tuple[Selection, Names]:
    said = json.loads((folder / "selection.json").read_text())
    with np.load(folder / "selection.npz", allow_pickle=False) as arrays:
        parts = {
            part: kind(*(_column(arrays, part, field.name) for field in fields(kind)))
            for part, kind in _PARTS.items()
        }
    named = said.pop("names")
    by_pk = {
        table: {int(pk): name for pk, name in named[table].items()}
        for table in ("annotators", "kinds", "models")
    }
    names = Names(**by_pk, categories=named["categories"], projects=named.get("projects", []))
    return Selection(**parts, **said, categories=[], passed_over={}), names


def _column(arrays: Mapping[str, np.ndarray], part: str, name: str) -> np.ndarray:
    """A run that was begun before pairs told their project has those of one."""
    if name == "project" and f"{part}.{name}" not in arrays:
        return np.zeros(len(arrays[f"{part}.pk"]), np.int8)
    return arrays[f"{part}.{name}"]
