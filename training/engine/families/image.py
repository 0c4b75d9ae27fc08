"""What the families of image models share: an autoencoder, text encoders and one denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.inference.image_pipelines import (
    KINDS,
    config_of_denoiser,
    load_denoiser,
    load_pipeline,
)
from training.engine.families.base import Condition, Moments, stack
from training.engine.families.schedules import Flow, Schedule

JOINT = (
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
)  # fmt: skip
"""Attention over pictures and words at once: the projections of both."""


class ImageFamily:
    """A kind of image model but for its own: what it makes of prompts, and its denoiser's call."""

    name: str
    modality = "image"
    channels = 3
    frame_rule = (0, 1)
    fixed_size = False
    lora_targets: tuple[str, ...] = JOINT
    schedule: Schedule
    patch = 2
    """Latents across that the denoiser takes for one token."""
    sides = 128
    """Latents across a picture of the model's own size, where its settings do not say."""
    reader = "tokenizer"
    """Of several tokenizers the one that takes the longest prompts …"""
    tokens = 0
    """… and how many tokens it is given; 0: what its settings say."""
    filled = 0
    """Tokens that all prompts are filled up to, where the denoiser looks at the filling; or 0."""
    large_encoders = True
    """Whether the text encoders have billions of weights; on a GPU those are run in bfloat16."""

    def __init__(self, source: str, device: torch.device) -> None:
        self.source, self.cut = source, 0
        self.config = config_of_denoiser(self.name, source)
        half = self.large_encoders and device.type == "cuda"
        # The autoencoder runs once a picture and stays in float32: in half precision some
        # overflow on some pictures.
        self.encoders = load_pipeline(
            self.name,
            source,
            dtype=torch.bfloat16 if half else torch.float32,
            vae_dtype=torch.float32,
            without=(KINDS[self.name].part,),
        ).to(device)
        self.multiple = self.encoders.vae_scale_factor * self.patch
        sides = self.config.get("sample_size") or self.sides
        self.latents = sides if isinstance(sides, int) else sides[0]
        self.size = self.latents * self.encoders.vae_scale_factor
        # at once, so that a model that cannot be trained is refused before anything is encoded
        self.schedule = self._schedule(self.encoders.scheduler)

    @torch.inference_mode()
    def encode_prompt(self, prompt: str) -> Condition:
        reader = getattr(self.encoders, self.reader)
        if reader is not None:
            limit = self.tokens or reader.model_max_length
            self.cut += len(reader(prompt).input_ids) > limit
        # in the encoder's own precision: wider would say no more and take twice the disk
        return {name: tensor.cpu() for name, tensor in self._encode(prompt).items()}

    def _encode(self, prompt: str) -> Condition:
        raise NotImplementedError

    @torch.inference_mode()
    def encode_media(self, pixels: Tensor) -> Moments:
        vae = self.encoders.vae
        found = vae.encode(pixels[None].to(vae.device)).latent_dist
        shift, scale = normal(vae.config)
        return Moments(
            ((found.mean[0].cpu() - shift) * scale).float(), (found.std[0].cpu() * scale).float()
        )

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        del self.encoders
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return load_denoiser(self.name, self.source, dtype=dtype)

    def _schedule(self, scheduler: Any) -> Schedule:
        return Flow.of(scheduler, tokens=(self.latents // self.patch) ** 2)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return stack(conditions)

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        raise NotImplementedError

    def expert(self, times: Tensor) -> Tensor | None:
        return None


def normal(config: Any) -> tuple[Tensor, Tensor]:
    """What is taken from an autoencoder's latents and by what the rest is multiplied, so that the
    denoiser finds them with a spread of about 1: (channels, 1, 1) or a number each."""
    mean, std = config.get("latents_mean"), config.get("latents_std")
    shift = config.get("shift_factor") or 0.0
    scale = config.get("scaling_factor") or 1.0
    if mean is None or std is None:
        return torch.tensor(shift), torch.tensor(scale)
    return torch.tensor(mean).view(-1, 1, 1), scale / torch.tensor(std).view(-1, 1, 1)


def pack(latents: Tensor) -> Tensor:
    """(items, channels, height, width) → a token for each two by two latents."""
    items, channels, height, width = latents.shape
    parts = latents.view(items, channels, height // 2, 2, width // 2, 2)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(items, -1, channels * 4)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The reverse of :func:`pack`. Args: height, width: in latents."""
    items, _, channels = tokens.shape
    parts = tokens.view(items, height // 2, width // 2, channels // 4, 2, 2)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(items, channels // 4, height, width)
