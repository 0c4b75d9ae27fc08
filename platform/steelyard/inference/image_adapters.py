"""LoRA adapters of a UNet in diffusers' own file, so that any diffusers pipeline reads them.

A folder holds ``pytorch_lora_weights.safetensors``: PEFT's tensors under ``unet.``, and the
adapter's settings (rank, scale, targets) in the file's metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from steelyard.lib.errors import UserError

WEIGHTS = "pytorch_lora_weights.safetensors"


def add_adapter(
    unet: UNet2DConditionModel, *, rank: int, alpha: int, targets: Sequence[str]
) -> None:
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


def save_adapter(unet: UNet2DConditionModel, folder: Path) -> Path:
    """Write the adapter made by :func:`add_adapter`; the path of its weights file."""
    layers = get_peft_model_state_dict(unet, adapter_name="new")
    settings = unet.peft_config["new"].to_dict()
    settings["target_modules"] = sorted(settings["target_modules"])
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers={name: tensor.contiguous().cpu() for name, tensor in layers.items()},
        unet_lora_adapter_metadata=settings,
        weight_name=WEIGHTS,
    )
    return folder / WEIGHTS


def merge_adapters(unet: UNet2DConditionModel, folders: Sequence[str]) -> None:
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
            unet.load_lora_adapter(
                folder, prefix="unet", weight_name=WEIGHTS, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"The adapter in {folder} does not fit its model: {error}", code="bad_adapter"
            ) from error
        with torch.no_grad():
            unet.fuse_lora()
        unet.unload_lora()
