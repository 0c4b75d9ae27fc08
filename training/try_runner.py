"""What a run of kind ``try`` means: a prompt for a model, and for its base; the answers are its
result."""

from __future__ import annotations

from typing import Any

from steelyard.registry.models import ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run
from training.engine.words import WORDS
from training.titles import TITLES

engine = "training.engine.trying"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    models = [model.as_spec() for model in _models(run)]
    return {"kind": "try", "models": models, "prompt": run.spec["prompt"]}


def environment(run: Run) -> dict[str, str]:
    """Keys of endpoints, for this process alone."""
    return {name: key for model in _models(run) for name, key in model.secrets().items()}


def gpus(run: Run) -> int:
    return gpus_for(model.family for model in _models(run))


def finish(run: Run, result: dict[str, Any]) -> None:
    """The answers are the run's result; nothing else comes of it."""


def _models(run: Run) -> list[ModelVersion]:
    keys = [key for key in (run.spec["model"], run.spec["base"]) if key]
    found = ModelVersion.objects.filter(project=run.project).in_bulk(keys)
    return [found[key] for key in keys]
