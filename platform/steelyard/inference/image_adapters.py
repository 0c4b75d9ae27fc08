"""LoRA adapters of a UNet in diffusers' own file, so that any diffusers pipeline reads them.

A folder holds ``pytorch_lora_weights.safetensors``: PEFT's tensors under ``unet.``, and the
adapter's settings (rank, scale, targets) in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

from steelyard.inference.sources import LOAD_ERRORS
from steelyard.lib.errors import UserError

WEIGHTS = "pytorch_lora_weights.safetensors"


def add_adapter(unet: Any, *, rank: int, alpha: int, targets: Sequence[str]) -> None:
    """Freeze the UNet and put a new adapter on it that changes nothing yet, in float32.

    Draws the adapter's start from torch's generator: seed it before.

    Raises:
        UserError: ``no_such_layer``: none of the targets is in the model.
    """
    unet.requires_grad_(False)
    layers = {name.rsplit(".", 1)[-1] for name, _ in unet.named_modules()}
    try:
        unet.add_adapter(
            LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets)), adapter_name="new"
        )
    except ValueError as error:
        raise UserError(
            f"lora_targets ({', '.join(targets)}) cannot be adapted: {error}. Layers of this "
            f"model: {', '.join(sorted(layers - {''}))}.",
            code="no_such_layer",
            field="lora_targets",
        ) from error
    for parameter in unet.parameters():
        if parameter.requires_grad:
            # In bfloat16 an update of a small learning rate rounds to nothing.
            parameter.data = parameter.data.float()


def save_adapter(unet: Any, folder: Path) -> Path:
    """Write the adapter made by :func:`add_adapter`; the path of its weights file.

    Equal adapters make equal bytes: metadata of more than one entry is written in any order, so
    there is one entry, and diffusers' own writer is not used.
    """
    layers = get_peft_model_state_dict(unet, adapter_name="new")
    tensors = {f"unet.{name}": tensor.contiguous().cpu() for name, tensor in layers.items()}
    settings = {
        f"unet.{name}": sorted(value) if isinstance(value, set) else value
        for name, value in unet.peft_config["new"].to_dict().items()
    }
    metadata = {LORA_ADAPTER_METADATA_KEY: json.dumps(settings, sort_keys=True)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata=metadata)
    return folder / WEIGHTS


def merge_adapters(unet: Any, folders: Sequence[str]) -> None:
    """Add adapters to the weights for good, the oldest first; what is left is a plain UNet.

    Raises:
        UserError: ``no_adapter`` or ``bad_adapter``, with the folder.
    """
    for folder in folders:
        if not (Path(folder) / WEIGHTS).is_file():
            raise UserError(
                f"The adapter in {folder} has no {WEIGHTS}. The model was trained from this "
                "adapter, so it cannot be put together without it.",
                code="no_adapter",
            )
        try:
            _check_fits(unet, Path(folder) / WEIGHTS)
            unet.load_lora_adapter(
                folder, prefix="unet", weight_name=WEIGHTS, local_files_only=True
            )
        except LOAD_ERRORS as error:
            raise UserError(
                f"The adapter in {folder} does not fit the model it is to lie on: "
                f"{' '.join(str(error).split())[:300]}. Use the model it was trained on.",
                code="bad_adapter",
            ) from error
        with torch.no_grad():
            unet.fuse_lora()
        unet.unload_lora()


def _check_fits(unet: Any, path: Path) -> None:
    """diffusers only warns where an adapter's layer has no counterpart."""
    layers = {f"unet.{name}" for name, _ in unet.named_modules()}
    with safe_open(path, framework="pt") as weights:
        names = weights.keys()
        for key in names:
            if key.split(".lora_")[0] not in layers:
                raise ValueError(f"the model has no layer for {key}")
