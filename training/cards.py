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
        "## What it came from",
        "\n".join(_lineage(job)),
        "## How to load it",
        _loading(job, model),
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
            "license: unknown",
            "tags:",
            "- preference",
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


def _root(base: ModelVersion) -> ModelVersion:
    """The model whose weights lie under all adapters."""
    return next((one for one in [base, *base.ancestors()] if not one.adapter), base)


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


def _loading(job: TrainingJob, model: ModelVersion) -> str:
    if job.base.modality != "text":
        return "The folder is a PEFT adapter of the base model's UNet."
    seeing = job.base.family == "vision_language"
    auto = "AutoModelForImageTextToText" if seeing else "AutoModelForCausalLM"
    words = "AutoProcessor" if seeing else "AutoTokenizer"
    said = [f"from transformers import {auto}, {words}", ""]
    if not model.adapter:
        said += [
            'folder = "."  # the folder that holds this file',
            f"model = {auto}.from_pretrained(folder)",
            f"{'processor' if seeing else 'tokenizer'} = {words}.from_pretrained(folder)",
        ]
        return _python(said)
    root = _root(job.base)
    hub = not root.source.startswith("/")
    source = root.source if hub else f"FOLDER OF {root.name}"
    comment = "" if hub else "  # put in where the base model's folder lies"
    said[:0] = ["from peft import PeftModel"]
    said += [
        f"base = {json.dumps(source, ensure_ascii=False)}{comment}",
        f"model = {auto}.from_pretrained(base)",
        f"{'processor' if seeing else 'tokenizer'} = {words}.from_pretrained(base)",
    ]
    earlier = [one for one in [job.base, *job.base.ancestors()] if one.adapter]
    for one in reversed(earlier):
        folder = json.dumps(f"FOLDER OF {one.name}", ensure_ascii=False)
        said += [
            f"model = PeftModel.from_pretrained(model, {folder})  # put in where it lies",
            "model = model.merge_and_unload()",
        ]
    said.append('model = PeftModel.from_pretrained(model, ".")  # the folder that holds this file')
    return _python(said)


def _python(lines: list[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


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
