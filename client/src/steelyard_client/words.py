"""What verbs of the command read from its words, and say alike."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from steelyard_client.client import Client
from steelyard_client.errors import SteelyardError
from steelyard_client.output import tell
from steelyard_client.project import Project
from steelyard_client.runs import Evaluation, TrainingJob
from steelyard_client.versions import Version


def started(said: Namespace, what: TrainingJob | Evaluation, run: int | None) -> None:
    tell(said, what.info.raw, f"Started as run {run}; steelyard runs {run} --wait waits for it.")


def project_of(said: Namespace) -> Project:
    slug = said.project or os.environ.get("STEELYARD_PROJECT")
    if not slug:
        raise SteelyardError("Say which project: --project SLUG, or set STEELYARD_PROJECT.")
    return Client().project(slug)


def version_named(project: Project, name: str) -> Version:
    """``answers``, ``answers@3`` or ``answers@tag``."""
    dataset, sign, which = name.partition("@")
    if not sign:
        return project.dataset(name).latest()
    return project.dataset(dataset).version(int(which) if which.isdecimal() else which)


def values(pairs: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` by name, read as JSON where it is some."""
    return {name: value_of(text) for name, text in texts("--set", pairs).items()}


def value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def counted(number: int, one: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def texts(option: str, pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise SteelyardError(f"{option} {pair!r} must be NAME=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)
