"""What the families of video models share: an autoencoder of clips, text encoders, one denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steelyard.inference.video_pipelines import (
    config_of_part,
    index_of,
    kind_of,
    load_denoiser,
    load_pipeline,
)
from training.engine.families.base import Condition, Moments
from training.engine.families.schedules import Flow, Schedule

STEPS = 1000
"""What denoisers are told of a time is its share of noise times this."""


class VideoFamily:
    """A kind of video model but for its own: what it makes of prompts, and the call of its
    denoiser."""

    name: str
    modality = "video"
    channels = 3
    frame_rule = (4, 1)
    fixed_size = False
    lora_targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    schedule: Schedule
    tokens: int
    """Of a prompt at most; what is beyond is cut off."""
    filled = 0
    """As of pictures' families."""

    def __init__(self, source: str, device: torch.device) -> None:
        self.source, self.cut = source, 0
        self.index = index_of(self.name, source)
        kind = kind_of(self.name, source)
        self.native, self.multiple, self.frame_rule = kind.clip, kind.multiple, (kind.every, 1)
        self.frames, self.rate = kind.clip.frames, kind.clip.rate
        # The text encoders of these models are of billions of weights; on a GPU they are run in
        # the precision that they were published in.
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.encoders = load_pipeline(self.name, source, dtype=dtype, with_denoiser=False)
        self.encoders.to(device)
        self.vae = self.encoders.vae.eval()
        side = sqrt(kind.clip.height * kind.clip.width)
        self.size = ceil(side / self.multiple) * self.multiple
        self._look()

    def _look(self) -> None:
        """Set what depends on the model's own settings."""

    @torch.inference_mode()
    def encode_prompt(self, prompt: str) -> Condition:
        self.cut += self._length(prompt) > self.tokens
        # in the encoder's own precision: wider would say no more and take twice the disk
        return {name: tensor.cpu() for name, tensor in self._encode(prompt).items()}

    def _length(self, prompt: str) -> int:
        """Tokens of the whole prompt."""
        return len(self.encoders.tokenizer(prompt).input_ids)

    def _encode(self, prompt: str) -> Condition:
        raise NotImplementedError

    @torch.inference_mode()
    def encode_media(self, pixels: Tensor) -> Moments:
        given = pixels[None].to(self.vae.device, self.vae.dtype)
        found = self.vae.encode(given).latent_dist
        shift, scale = self._normal()
        mean, std = (found.mean[0] - shift) * scale, found.std[0] * scale
        return Moments(mean.float().cpu(), std.float().cpu())

    def _normal(self) -> tuple[Any, Any]:
        """What latents are shifted and then multiplied by; each a number or (channels, 1, 1, 1)."""
        return 0.0, self.vae.config.scaling_factor

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        del self.encoders, self.vae
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.schedule = self._schedule()
        return load_denoiser(self.name, self.source, dtype=dtype)

    def _schedule(self) -> Schedule:
        config = config_of_part(self.name, self.source, "scheduler")
        return Flow.of(SimpleNamespace(config=config), self._latent_tokens())

    def _latent_tokens(self) -> int:
        """Of a clip at the model's own size, where the schedule asks for it."""
        return 0

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """All prompts are filled up to the same length with zeros, as the pipelines do: a denoiser
        without a mask looks at them too, and with one the length makes no difference."""
        rows = [condition["embeds"] for condition in conditions]
        embeds = torch.zeros(len(rows), self.tokens, rows[0].shape[-1])
        mask = torch.zeros(len(rows), self.tokens, dtype=torch.bool)
        for number, row in enumerate(rows):
            embeds[number, : len(row)], mask[number, : len(row)] = row, True
        rest = {
            name: torch.stack([c[name] for c in conditions])
            for name in conditions[0]
            if name != "embeds"
        }
        return {"embeds": embeds, "mask": mask, **rest}

    def expert(self, times: Tensor) -> Tensor | None:
        return None
