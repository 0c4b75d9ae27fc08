"""LoRA adapters of denoisers in diffusers' own file, so that any diffusers pipeline reads them.

A folder holds ``pytorch_lora_weights.safetensors``: PEFT's tensors under ``unet.`` or
``transformer.``, as the pipelines call that part, and the adapter's settings (rank, scale,
targets) in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

WEIGHTS = "pytorch_lora_weights.safetensors"


def parts_of(denoiser: Any) -> dict[str, Any]:
    """The denoisers of a model by what pipelines call them; most have one."""
    several: dict[str, Any] | None = getattr(denoiser, "parts", None)
    name = "unet" if isinstance(denoiser, UNet2DConditionModel) else "transformer"
    return several or {name: denoiser}


def add_adapter(denoiser: Any, *, rank: int, alpha: int, targets: Sequence[str]) -> None:
    """Freeze the denoiser and put a new adapter on it that changes nothing yet, in float32.

    Draws the adapter's start from torch's generator: seed it before.

    Raises:
        UserError: ``no_such_layer``: none of the targets is in the model.
    """
    denoiser.requires_grad_(False)
    layers = {name.rsplit(".", 1)[-1] for name, _ in denoiser.named_modules()}
    try:
        denoiser.add_adapter(
            LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets)), adapter_name="new"
        )
    except ValueError as error:
        raise UserError(
            Said(
                WORDS,
                "cannot_be_adapted",
                targets=", ".join(targets),
                error=error,
                layers=", ".join(sorted(layers - {""})),
            ),
            code="no_such_layer",
            field="lora_targets",
        ) from error
    for parameter in denoiser.parameters():
        if parameter.requires_grad:
            # In bfloat16 an update of a small learning rate rounds to nothing.
            parameter.data = parameter.data.float()


def save_adapter(denoiser: Any, folder: Path) -> Path:
    """Write the adapter made by :func:`add_adapter`; the path of its weights file.

    Equal adapters make equal bytes: metadata of more than one entry is written in any order, so
    there is one entry, and diffusers' own writer is not used.
    """
    tensors: dict[str, torch.Tensor] = {}
    settings: dict[str, Any] = {}
    for part, module in parts_of(denoiser).items():
        for name, tensor in get_peft_model_state_dict(module, adapter_name="new").items():
            tensors[f"{part}.{name}"] = tensor.contiguous().cpu()
        for name, value in module.peft_config["new"].to_dict().items():
            settings[f"{part}.{name}"] = sorted(value) if isinstance(value, set) else value
    metadata = {LORA_ADAPTER_METADATA_KEY: json.dumps(settings, sort_keys=True)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata=metadata)
    return folder / WEIGHTS


def merge_adapters(denoiser: Any, folders: Sequence[str]) -> None:
    """Add adapters to the weights for good, the oldest first; what is left is a plain denoiser.

    Raises:
        UserError: ``no_adapter`` or ``bad_adapter``, with the folder.
    """
    for folder in folders:
        if not (Path(folder) / WEIGHTS).is_file():
            raise UserError(
                Said(WORDS, "image_adapter_weights", folder=folder, file=WEIGHTS),
                code="no_adapter",
            )
        try:
            for part, module in _fitting(denoiser, Path(folder) / WEIGHTS).items():
                module.load_lora_adapter(
                    folder, prefix=part, weight_name=WEIGHTS, local_files_only=True
                )
                with torch.no_grad():
                    module.fuse_lora()
                module.unload_lora()
        except LOAD_ERRORS as error:
            raise UserError(
                Said(
                    WORDS,
                    "image_adapter_does_not_fit",
                    folder=folder,
                    why=" ".join(str(error).split())[:300],
                ),
                code="bad_adapter",
            ) from error


def _fitting(denoiser: Any, path: Path) -> dict[str, Any]:
    """The parts that an adapter has layers for; diffusers only warns where one does not fit."""
    parts = parts_of(denoiser)
    known = {f"{part}.{name}" for part, m in parts.items() for name, _ in m.named_modules()}
    with safe_open(path, framework="pt") as weights:
        layers = {key.split(".lora_")[0] for key in weights.keys()}  # noqa: SIM118
    if strange := sorted(layers - known):
        raise ValueError(f"the model has no layer for {strange[0]}")
    return {
        part: module
        for part, module in parts.items()
        if any(layer.startswith(f"{part}.") for layer in layers)
    }
