"""Loading a Stable Diffusion pipeline (1.x and 2.x) by hub name or folder, whole or in parts."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.lib.errors import UserError

WHAT = "a Stable Diffusion pipeline"


def load_pipeline(source: str, *, dtype: torch.dtype, with_unet: bool = True) -> Any:
    """The pipeline without its picture filter, weights from safetensors only.

    The filter blackens what it takes for unfit, which would silently spoil comparisons; what
    people are shown is the project's choice.

    Raises:
        UserError: as :func:`.sources.explain` says, and ``not_a_model`` where it is another kind
            of pipeline.
    """
    _check_kind(source)
    absent: dict[str, Any] = {} if with_unet else {"unet": None}
    try:
        return StableDiffusionPipeline.from_pretrained(
            source,
            dtype=dtype,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
            use_safetensors=True,
            **absent,
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, WHAT) from error


def latent_size(source: str) -> int:
    """Side of the latents that the denoiser was made for, read from its config alone.

    Raises:
        UserError: as :func:`.sources.explain` says.
    """
    try:
        size = UNet2DConditionModel.load_config(source, subfolder="unet")["sample_size"]
    except LOAD_ERRORS as error:
        raise explain(error, source, WHAT) from error
    return int(size if isinstance(size, int) else size[0])


def load_unet(source: str, *, dtype: torch.dtype) -> tuple[Any, Any]:
    """The denoiser in eval mode, and the noise schedule that it was trained with.

    Raises:
        UserError: as :func:`.sources.explain` says.
    """
    try:
        unet = UNet2DConditionModel.from_pretrained(
            source, subfolder="unet", dtype=dtype, use_safetensors=True
        )
        scheduler = DDPMScheduler.from_pretrained(source, subfolder="scheduler")
    except LOAD_ERRORS as error:
        raise explain(error, source, WHAT) from error
    return unet.eval(), scheduler


def _check_kind(source: str) -> None:
    try:
        kind = StableDiffusionPipeline.load_config(source).get("_class_name")
    except LOAD_ERRORS as error:
        raise explain(error, source, WHAT) from error
    if kind != "StableDiffusionPipeline":
        raise UserError(
            f"{source} is a {kind}; this family takes Stable Diffusion 1.x and 2.x, whose "
            "model_index.json says StableDiffusionPipeline.",
            code="not_a_model",
        )
