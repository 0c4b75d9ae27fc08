"""How a trained model is loaded elsewhere, as a model's card tells it: by transformers and PEFT, or
by diffusers."""

from __future__ import annotations

import json
from pathlib import Path

from steelyard.lib.weights import Broken, header_of
from steelyard.registry.models import ModelVersion

LORA_FILE = "pytorch_lora_weights.safetensors"
"""What diffusers looks for; ``steelyard.inference.image_adapters`` writes it, and needs torch."""
UNETS = ("class_unet", "stable_diffusion", "stable_diffusion_xl")
"""Families whose denoiser is a UNet; that of all others is a transformer."""
_OWN = "  # the folder that holds this file"


def loading(base: ModelVersion, model: ModelVersion) -> str:
    """Markdown with lines of Python that load the model, whatever it was trained from."""
    if base.modality == "text" or base.family == "vision_language":
        return _python(_of_words(base, model))
    if base.family == "class_unet":
        told = "It takes the number of a class (`labels.json`) as `class_labels`, and no words."
        return f"{_python(_of_classes(base, model))}\n\n{told}"
    return _python(_of_media(base, model))


def denoisers(model: ModelVersion) -> list[str]:
    """What an adapter lies on, as pipelines call it: the two denoisers of some models have one
    file."""
    try:
        names = {name.split(".")[0] for name in header_of(Path(model.adapter) / LORA_FILE)}
    except (OSError, Broken):
        names = set()
    return sorted(names & {"unet", "transformer", "transformer_2"}) or [_usual(model)]


def root_of(base: ModelVersion) -> ModelVersion:
    """The model whose weights lie under all adapters."""
    return next((one for one in [base, *base.ancestors()] if not one.adapter), base)


def _usual(model: ModelVersion) -> str:
    return "unet" if model.family in UNETS else "transformer"


def _of_words(base: ModelVersion, model: ModelVersion) -> list[str]:
    seeing = base.family == "vision_language"
    auto = "AutoModelForImageTextToText" if seeing else "AutoModelForCausalLM"
    words = "AutoProcessor" if seeing else "AutoTokenizer"
    said = [f"from transformers import {auto}, {words}", ""]
    if not model.adapter:
        return [
            *said,
            f'folder = "."{_OWN}',
            f"model = {auto}.from_pretrained(folder)",
            f"{'processor' if seeing else 'tokenizer'} = {words}.from_pretrained(folder)",
        ]
    said = [
        "from peft import PeftModel",
        *said,
        _base(base),
        f"model = {auto}.from_pretrained(base)",
        f"{'processor' if seeing else 'tokenizer'} = {words}.from_pretrained(base)",
    ]
    for one in _earlier(base):
        said += [
            f"model = PeftModel.from_pretrained(model, {_place(one)})  # put in where it lies",
            "model = model.merge_and_unload()",
        ]
    return [*said, f'model = PeftModel.from_pretrained(model, "."){_OWN}']


def _of_media(base: ModelVersion, model: ModelVersion) -> list[str]:
    said = ["from diffusers import DiffusionPipeline", ""]
    if not model.adapter:
        return [*said, f'pipeline = DiffusionPipeline.from_pretrained("."){_OWN}']
    said += [_base(base), "pipeline = DiffusionPipeline.from_pretrained(base)"]
    for one in _earlier(base):
        said += _sunk(one, "pipeline.")
    said.append(f'pipeline.load_lora_weights(".", weight_name="{LORA_FILE}"){_OWN}')
    # a pipeline reads the first of two alone
    return [*said, *(_laid(part, '"."', "pipeline.") for part in denoisers(model)[1:])]


def _of_classes(base: ModelVersion, model: ModelVersion) -> list[str]:
    said = ["from diffusers import UNet2DConditionModel", ""]
    if not model.adapter:
        return [*said, f'unet = UNet2DConditionModel.from_pretrained("."){_OWN}']
    said += [_base(base), "unet = UNet2DConditionModel.from_pretrained(base)"]
    for one in _earlier(base):
        said += _sunk(one, "")
    return [*said, _laid("unet", '"."', "") + _OWN]


def _sunk(one: ModelVersion, under: str) -> list[str]:
    """An earlier adapter becomes part of the weights, so that the next one is of what it was
    trained on."""
    said = [f"earlier = {_place(one)}  # put in where it lies"]
    for part in denoisers(one):
        said += [
            _laid(part, "earlier", under),
            f"{under}{part}.fuse_lora()",
            f"{under}{part}.unload_lora()",
        ]
    return said


def _laid(part: str, place: str, under: str) -> str:
    given = f'{place}, prefix="{part}", weight_name="{LORA_FILE}"'
    return f"{under}{part}.load_lora_adapter({given})"


def _base(base: ModelVersion) -> str:
    """A hub name as it is; a folder of this server means nothing elsewhere."""
    root = root_of(base)
    if not root.source.startswith("/"):
        return f"base = {json.dumps(root.source, ensure_ascii=False)}"
    return f"base = {_place(root)}  # put in where the base model's folder lies"


def _place(one: ModelVersion) -> str:
    return json.dumps(f"FOLDER OF {one.name}", ensure_ascii=False)


def _earlier(base: ModelVersion) -> list[ModelVersion]:
    """The first trained one first."""
    return [one for one in reversed([base, *base.ancestors()]) if one.adapter]


def _python(lines: list[str]) -> str:
    return "\n".join(["```python", *lines, "```"])
