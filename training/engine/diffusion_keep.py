"""What is kept of a trained denoiser: the adapter, or a whole model that loads as its base does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from steelyard.inference.image_adapters import parts_of, save_adapter
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.diffusion_model import DiffusionModel
from training.engine.preflight_machine import folder_of
from training.engine.words import WORDS

_WEIGHTS = "diffusion_pytorch_model"


def save_model(model: DiffusionModel, base: dict[str, Any], folder: Path) -> None:
    """Write what was trained into an empty folder: an adapter as diffusers reads it, or with all
    weights the base's folder with another denoiser in it.

    Raises:
        UserError: ``no_folder``: the base lies in no folder of this machine.
    """
    if model.trained == "lora":
        save_adapter(model.denoiser, folder)
        return
    source = folder_of(base["source"])
    if source is None:
        raise UserError(
            Said(WORDS, "no_base_folder", source=base["source"]),
            code="no_folder",
            field="train",
        )
    parts = parts_of(model.denoiser)
    # a small UNet is the folder itself
    places = {name: name if (source / name).is_dir() else "" for name in parts}
    _copy_others(source, folder, set(places.values()))
    for name, part in parts.items():
        target = folder / places[name]
        target.mkdir(parents=True, exist_ok=True)
        # safetensors wants tensors that lie in memory as they are read
        part.to(memory_format=torch.contiguous_format)
        part.save_pretrained(target, safe_serialization=True)


def _copy_others(source: Path, folder: Path, places: set[str]) -> None:
    """All files of the base but those of its denoisers."""
    for path in sorted(source.rglob("*")):
        told = path.relative_to(source)
        own = told.parts[0] in places or ("" in places and told.name.startswith(_WEIGHTS))
        hidden = any(part.startswith(".") for part in told.parts)
        if path.is_file() and not own and not hidden:
            (folder / told).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / told)
