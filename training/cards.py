"""What lies beside a trained model's weights: its card, with all that it came from. English, as
such cards are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.utils.translation import override

from steelyard.lib.hashing import digest_of, sha256_file
from steelyard.lib.rundir import write_atomically
from steelyard.registry.models import ModelVersion
from training.cards_loading import loading
from training.cards_words import licence, licences, trained
from training.engine.config import RECIPES
from training.models import TrainingJob

CARD, SPEC = "README.md", "training_run.json"
TASKS = {"text": "text-generation", "image": "text-to-image", "video": "text-to-video"}
MOST_BYTES = 40 << 30
"""Of a base with more weights on disk than that no digest is taken."""
COMMAND = "python -m training.engine RUN_DIR"


def write_card(job: TrainingJob, model: ModelVersion, folder: Path, result: dict[str, Any]) -> None:
    """Put the card and the run's own words into the model's folder; again is the same."""
    spec = job.run.dir.path / "run.json"
    if spec.exists():
        write_atomically(folder / SPEC, spec.read_bytes())
    libraries = job.run.dir.spec().get("libraries", {}) if spec.exists() else {}
    with override("en"):
        text = card(job, model, result, libraries)
    write_atomically(folder / CARD, text.encode())


def card(
    job: TrainingJob, model: ModelVersion, result: dict[str, Any], libraries: dict[str, str]
) -> str:
    """Markdown with the front matter that the hub reads."""
    control = model.label_control
    parts = [
        _front(job, model),
        f"# {model.name}",
        f"**A control: it has learnt from {control} labels**, to show what an evaluation says of "
        "such a model. It is not meant to be used."
        if control
        else "",
        f"{_about(job.recipe)} Trained on {job.run.created_at:%Y-%m-%d} in the project "
        f"“{job.project.name}”.",
        "## What was trained",
        "\n".join(trained(job, model, result)),
        "## What it came from",
        "\n".join(_lineage(job)),
        "## Licences",
        "\n".join(licences(job)),
        "## How to load it",
        loading(job.base, model),
        "## What was measured",
        "\n".join(_measured(result)) or "Nothing.",
        "## Settings",
        "What differs from the recipe's defaults is the run's own choice; all are here.\n\n"
        f"```json\n{json.dumps(job.config, indent=2, sort_keys=True)}\n```",
        "## To make it again",
        f"`{SPEC}` beside this file is the run's `run.json`. With the dataset version's files in "
        f"the folder's `data/`:\n\n```\n{COMMAND}\n```",
        "Libraries: " + ", ".join(f"{name} {number}" for name, number in libraries.items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(job: TrainingJob, model: ModelVersion) -> str:
    # a JSON string is a YAML string
    base = json.dumps(_base_name(job.base), ensure_ascii=False)
    kind = TASKS[job.base.modality]
    library = "peft" if model.adapter else "transformers"
    if job.base.modality != "text":
        library = "diffusers"
    return "\n".join(
        [
            "---",
            f"base_model: {base}",
            f"library_name: {library}",
            f"pipeline_tag: {kind}",
            f"base_model_relation: {'adapter' if model.adapter else 'finetune'}",
            f"license: {licence(job)}",
            "tags:",
            "- preference",
            *(["- lora"] if model.adapter else []),
            f"- {job.recipe.replace('_', '-')}",
            *(["- control"] if model.label_control else []),
            "---",
        ]
    )


def _about(recipe: str) -> str:
    return " ".join((RECIPES[recipe].__doc__ or "").split())


def _base_name(base: ModelVersion) -> str:
    """A hub name as it is; a folder of this server means nothing elsewhere."""
    return base.name if base.source.startswith("/") else base.source


def _lineage(job: TrainingJob) -> list[str]:
    version = job.version
    lines = [
        f"- Dataset version: {version} (`{version.digest}`), {version.counts.get('train', 0)} rows "
        f"to train on, {version.counts.get('test', 0)} to test",
        f"- Recipe: `{job.recipe}`, run {job.run_id} (`{job.run.uuid}`)",
    ]
    for number, base in enumerate([job.base, *job.base.ancestors()]):
        word = "Base" if number == 0 else "which was trained from"
        known = _digest(base)
        digest = f" (`{known}`)" if known else ""
        on = f", on {base.trained_on} (`{base.trained_on.digest}`)" if base.trained_on else ""
        lines.append(f"- {word}: {base.name}{digest}{on}")
    return lines


def _digest(base: ModelVersion) -> str:
    """As it was registered; of a folder added by hand the SHA-256 of its weights, as runs tell
    it."""
    folder = Path(base.source)
    if base.digest or base.adapter or not base.source.startswith("/"):
        return base.digest
    files = sorted(folder.glob("*.safetensors"))
    if not files or sum(file.stat().st_size for file in files) > MOST_BYTES:
        return ""
    hashes = [sha256_file(file) for file in files]
    return hashes[0] if len(hashes) == 1 else digest_of(hashes)


def _measured(result: dict[str, Any]) -> list[str]:
    lines = [f"- {_plain(name)}: {value:.4g}" for name, value in _numbers(result, "metrics")]
    lines += [f"- {_plain(name)}: {value:,.0f}" for name, value in _numbers(result, "counts")]
    if warning := result.get("warning"):
        lines.append(f"- Warning: {warning}")
    return lines


def _numbers(result: dict[str, Any], part: str) -> list[tuple[str, float]]:
    found = result.get(part) or {}
    return [(n, v) for n, v in sorted(found.items()) if isinstance(v, int | float)]


def _plain(name: str) -> str:
    return name.replace("_", " ")
