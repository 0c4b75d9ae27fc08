"""Which diffusers pipelines belong to which family of models. Names alone: nothing is imported."""

from __future__ import annotations

PIPELINES: dict[str, tuple[str, ...]] = {
    "stable_diffusion": ("StableDiffusionPipeline",),
    "stable_diffusion_xl": ("StableDiffusionXLPipeline",),
    "stable_diffusion_3": ("StableDiffusion3Pipeline",),
    "flux": ("FluxPipeline",),
    "qwen_image": ("QwenImagePipeline",),
    "sana": ("SanaPipeline",),
    "wan": ("WanPipeline",),
    "cogvideox": ("CogVideoXPipeline",),
    "ltx_video": ("LTXPipeline", "LTXConditionPipeline"),
    "hunyuan_video": ("HunyuanVideoPipeline",),
}
"""Family of the registry → ``_class_name`` in ``model_index.json``; the first is what paints."""
VIDEO = ("wan", "cogvideox", "ltx_video", "hunyuan_video")
IMAGE = ("class_unet", *(family for family in PIPELINES if family not in VIDEO))
PAINTERS = IMAGE
"""Families that make pictures from words."""


def family_of(pipeline: str) -> str | None:
    """The family whose models say this ``_class_name``; None of a kind that is not known here."""
    return next((family for family, names in PIPELINES.items() if pipeline in names), None)
