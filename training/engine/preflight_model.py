"""The base model without its weights: built on torch's meta device from its config.json, and held
against the names in the headers of its files, as transformers would load them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedModel,
)

from steelyard.inference.text import be_quiet
from steelyard.lib.weights import check_json, header_of
from training.engine.adapter import trained_names, unknown_targets
from training.engine.config import TextRecipe
from training.engine.preflight_words import Finding, Remedy

INDEX = "model.safetensors.index.json"


def model_findings(folder: Path, family: str, config: TextRecipe) -> list[Finding] | None:
    """What the run would refuse once the weights are loaded; None where this cannot tell."""
    built = _built(folder, family)
    if built is None:
        return None
    model, missing = built
    found = []
    if missing:
        values = {"count": len(missing), "first": missing[0]}
        found.append(Finding("broken_weights", "stop", values, (), (Remedy("copy_whole"),)))
    if config.trained != "lora":
        if not trained_names(model, config.trained):
            remedy = Remedy("train_lora", {"train": "lora", "lora_rank": 8})
            values = {"trained": config.trained}
            found.append(Finding("nothing_to_train", "stop", values, (), (remedy,)))
    elif config.lora_targets.strip() != "all-linear":
        lost, there = unknown_targets(model, config.lora_targets)
        if lost:
            named = {"names": ", ".join(lost), "there": ", ".join(there)}
            remedy = Remedy("lora_targets", {"lora_targets": "all-linear"})
            found.append(Finding("unknown_layers", "stop", named, (), (remedy,)))
    return found


def _built(folder: Path, family: str) -> tuple[PreTrainedModel, list[str]] | None:
    """The model without weights, and the names of those that its files lack."""
    be_quiet()
    seeing = family == "vision_language"
    auto: Any = AutoModelForImageTextToText if seeing else AutoModelForCausalLM
    try:
        shapes = _shapes(folder)
        shape = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if not shapes or getattr(shape, "quantization_config", None):
            return None
        with torch.device("meta"):
            model = auto.from_config(shape, trust_remote_code=False)
            weights = {name: torch.empty(size) for name, size in shapes.items()}
        _, told = type(model).from_pretrained(
            None, config=shape, state_dict=weights, device_map="meta", output_loading_info=True
        )
    except Exception:  # noqa: BLE001
        # whatever the library does not like of a model without weights, the run itself will tell
        return None
    return model, sorted(told["missing_keys"])


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Of the files that transformers would read."""
    names = {"model.safetensors"} if (folder / "model.safetensors").is_file() else set()
    if not names and (folder / INDEX).is_file():
        names = set(check_json(folder / INDEX)["weight_map"].values())
    return {
        name: tuple(one["shape"])
        for file in sorted(names)
        for name, one in header_of(folder / file).items()
    }
