"""The kinds of image and video models that are trained. A new one is a class and a row here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.families.base import Condition, Family, Moments, check_size
from training.engine.families.schedules import Discrete, Flow, Schedule
from training.engine.words import WORDS

FAMILIES = {
    "class_unet": "class_unet:ClassUnetFamily",
    "stable_diffusion": "stable_diffusion:StableDiffusionFamily",
    "stable_diffusion_xl": "sdxl:StableDiffusionXLFamily",
    "stable_diffusion_3": "sd3:StableDiffusion3Family",
    "flux": "flux:FluxFamily",
    "qwen_image": "qwen_image:QwenImageFamily",
    "sana": "sana:SanaFamily",
    "wan": "wan:WanFamily",
    "cogvideox": "cogvideox:CogVideoXFamily",
    "ltx_video": "ltx:LTXFamily",
    "hunyuan_video": "hunyuan_video:HunyuanVideoFamily",
}
"""Family of the registry → module and class, imported when it is opened."""

__all__ = [
    "FAMILIES",
    "Condition",
    "Discrete",
    "Family",
    "Flow",
    "Moments",
    "Schedule",
    "check_size",
    "open_family",
]


def open_family(spec: dict[str, Any], device: torch.device) -> Family:
    """The family of a base model, with its encoders loaded.

    Raises:
        UserError: ``cannot_train``: no family of that name is trained here; and what loading says.
    """
    family = spec["family"]
    if family not in FAMILIES:
        raise UserError(
            Said(
                WORDS,
                "not_diffusion",
                base=spec.get("name", ""),
                family=family,
                known=", ".join(FAMILIES),
            ),
            code="cannot_train",
            field="base",
        )
    module, name = FAMILIES[family].split(":")
    opened: Family = getattr(import_module(f"{__name__}.{module}"), name)(spec["source"], device)
    return opened
