"""Sana: an autoencoder that shrinks 32 times, Gemma's words, linear attention, rectified flow."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from diffusers import SanaPipeline
from torch import Tensor

from training.engine.families.base import Condition, Moments, pad
from training.engine.families.image import ImageFamily

INSTRUCTION = signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
"""What the pipeline says before every prompt but the empty one."""


class SanaFamily(ImageFamily):
    name = "sana"
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    patch = 1
    sides = 32
    tokens = 300

    def _encode(self, prompt: str) -> Condition:
        embeds, mask, _, _ = self.encoders.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            device=self.encoders.device,
            max_sequence_length=self.tokens,
            complex_human_instruction=INSTRUCTION if prompt else None,
        )
        return {"embeds": embeds[0][mask[0].bool()]}

    @torch.inference_mode()
    def encode_media(self, pixels: Tensor) -> Moments:
        vae = self.encoders.vae
        latent = vae.encode(pixels[None].to(vae.device)).latent[0] * vae.config.scaling_factor
        return Moments(latent.float().cpu(), torch.zeros(()))

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        embeds, mask = pad(conditions, "embeds")
        return {"embeds": embeds, "mask": mask}

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        made: Tensor = denoiser(
            noisy.to(denoiser.dtype),
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
            encoder_attention_mask=prompts["mask"],
            timestep=times * 1000 * denoiser.config.timestep_scale,
            return_dict=False,
        )[0]
        # Some say a spread as well.
        return made.float()[:, : noisy.shape[1]]
