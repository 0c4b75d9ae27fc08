"""Loading the pipelines of image models by hub name or folder, whole or in parts."""

from __future__ import annotations

from typing import Any, NamedTuple

import diffusers
import torch
from diffusers import DiffusionPipeline

from steelyard.inference.kinds import PIPELINES
from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said


class Kind(NamedTuple):
    """What diffusers calls a family's parts."""

    words: str
    """What is said to have been expected where it is missing."""
    denoiser: str
    """Class of what is trained."""
    part: str = "transformer"
    """Its name in the pipeline."""
    absent: tuple[str, ...] = ()
    """Parts of the pipeline that are left out."""
    optional: tuple[str, ...] = ()
    """Parts that a model may lack."""


KINDS = {
    # The filter blackens what it takes for unfit, which would silently spoil comparisons; what
    # people are shown is the project's choice.
    "stable_diffusion": Kind(
        "a Stable Diffusion pipeline",
        "UNet2DConditionModel",
        "unet",
        ("safety_checker", "feature_extractor", "image_encoder"),
    ),
    "stable_diffusion_xl": Kind(
        "a Stable Diffusion XL pipeline",
        "UNet2DConditionModel",
        "unet",
        ("feature_extractor", "image_encoder"),
    ),
    "stable_diffusion_3": Kind(
        "a Stable Diffusion 3 pipeline",
        "SD3Transformer2DModel",
        absent=("feature_extractor", "image_encoder"),
        optional=("text_encoder_3", "tokenizer_3"),
    ),
    "flux": Kind(
        "a Flux pipeline",
        "FluxTransformer2DModel",
        absent=("feature_extractor", "image_encoder"),
    ),
    "qwen_image": Kind("a Qwen-Image pipeline", "QwenImageTransformer2DModel"),
    "sana": Kind("a Sana pipeline", "SanaTransformer2DModel"),
}
"""Family of the registry → its kind."""


def load_pipeline(
    family: str,
    source: str,
    *,
    dtype: torch.dtype,
    vae_dtype: torch.dtype | None = None,
    without: tuple[str, ...] = (),
) -> Any:
    """The pipeline, weights from safetensors only.

    Args:
        vae_dtype: of the autoencoder, where it is to be another.
        without: names of parts that are not loaded.

    Raises:
        UserError: as :func:`.sources.explain` says, and ``not_a_model`` where it is another kind
            of pipeline.
    """
    index, kind = index_of(family, source), KINDS[family]
    lacking = [part for part in kind.optional if not (index.get(part) or [None])[0]]
    absent: dict[str, Any] = dict.fromkeys((*kind.absent, *lacking, *without))
    if "safety_checker" in absent:
        absent["requires_safety_checker"] = False
    if family == "stable_diffusion_xl":
        absent["add_watermarker"] = False
    dtypes = {"default": dtype, "vae": vae_dtype or dtype}
    try:
        return getattr(diffusers, PIPELINES[family][0]).from_pretrained(
            source, dtype=dtypes, use_safetensors=True, **absent
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error


def load_denoiser(family: str, source: str, *, dtype: torch.dtype) -> Any:
    """What is trained, in eval mode.

    Raises:
        UserError: as :func:`.sources.explain` says.
    """
    kind = KINDS[family]
    try:
        return (
            getattr(diffusers, kind.denoiser)
            .from_pretrained(source, subfolder=kind.part, dtype=dtype, use_safetensors=True)
            .eval()
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error


def config_of_denoiser(family: str, source: str) -> dict[str, Any]:
    """Its settings, without its weights.

    Raises:
        UserError: as :func:`.sources.explain` says.
    """
    kind = KINDS[family]
    try:
        config: dict[str, Any] = getattr(diffusers, kind.denoiser).load_config(
            source, subfolder=kind.part
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error
    return config


def index_of(family: str, source: str) -> dict[str, Any]:
    """What ``model_index.json`` says.

    Raises:
        UserError: as :func:`.sources.explain` says, and ``not_a_model`` where it is another kind
            of pipeline.
    """
    try:
        index: dict[str, Any] = DiffusionPipeline.load_config(source)
    except LOAD_ERRORS as error:
        raise explain(error, source, KINDS[family].words) from error
    name = index.get("_class_name")
    if name not in PIPELINES[family]:
        raise UserError(
            Said(
                WORDS,
                "other_pipeline",
                source=source,
                name=name,
                known=" or ".join(PIPELINES[family]),
            ),
            code="not_a_model",
        )
    return index
