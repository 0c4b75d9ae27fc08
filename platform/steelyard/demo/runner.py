"""What a demo run means: the engine makes material, and it is taken in while it appears."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import transaction

from annotation.models import Output, Prompt
from annotation.services.material import add_output, add_pair, add_prompt
from steelyard.assets.services import store_upload
from steelyard.demo.engine.words import WORDS
from steelyard.lib.rundir import write_atomically
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import register_model
from steelyard.runs.models import Run

engine = "steelyard.demo.engine"
words = WORDS


def prepare(run: Run) -> dict[str, Any]:
    return {
        "kind": "demo",
        "part": run.spec["part"],
        "limit": run.spec.get("limit"),
        "models_dir": str(settings.MODELS_DIR),
    }


def collect(run: Run) -> None:
    """Take in what the engine has written since the last look.

    How far that is, is kept in the run directory after the rows are committed: a crash between
    the two takes a few lines in again, and every row is known by its content.
    """
    place = run.dir.path / "collected.json"
    seen = json.loads(place.read_text()) if place.exists() else {"models": 0, "outputs": 0}
    models, seen_models = run.dir.read_lines("models.jsonl", seen["models"])
    lines, seen_outputs = run.dir.read_lines("outputs.jsonl", seen["outputs"])
    if not models and not lines:
        return
    with transaction.atomic():
        for model in models:
            _register(run, model)
        for line in lines:
            _take_in(run, line)
    write_atomically(place, json.dumps({"models": seen_models, "outputs": seen_outputs}).encode())


def finish(run: Run, result: dict[str, Any]) -> None:
    collect(run)


def abandoned(run: Run) -> None:
    collect(run)


def _register(run: Run, model: dict[str, Any]) -> ModelVersion:
    return register_model(
        project=run.project,
        name=model["name"],
        modality=model["modality"],
        family=model["family"],
        source=model.get("source", ""),
        options=model.get("options") or {},
        digest=model.get("digest", ""),
        made_by=run,
        by=run.created_by,
    )


def _take_in(run: Run, line: dict[str, Any]) -> None:
    prompt = add_prompt(
        project=run.project,
        messages=line["prompt"],
        category=line.get("category", ""),
        held_out=line["held_out"],
    )
    if line["held_out"]:
        return
    add_pair(
        first=_output(run, prompt, line["a"]),
        second=_output(run, prompt, line["b"]),
    )


def _output(run: Run, prompt: Prompt, side: dict[str, Any]) -> Output:
    model = ModelVersion.objects.filter(project=run.project, name=side["model"]).first()
    if model is None:
        model = _register(
            run,
            {"name": side["model"], "modality": run.project.modality, "family": "imported"},
        )
    asset = None
    if side.get("media"):
        asset = store_upload(project=run.project, data=run.dir.media / side["media"])
    return add_output(
        prompt=prompt,
        model=model,
        text=side.get("text") or "",
        asset=asset,
        seed=side.get("seed"),
        parameters=side.get("parameters") or {},
    )
