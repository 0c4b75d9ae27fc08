"""Flux.1: tokens of two by two latents, T5 and one CLIP's summary, rectified flow.

The published "dev" model was distilled to take guidance as an input: it is trained with 1, where
it says what an unguided model would, and paints with its usual value afterwards.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxPipeline
from torch import Tensor

from training.engine.families.base import Condition
from training.engine.families.image import ImageFamily, pack, unpack


class FluxFamily(ImageFamily):
    name = "flux"
    reader = "tokenizer_2"
    tokens = filled = 512

    def _encode(self, prompt: str) -> Condition:
        embeds, pooled, _ = self.encoders.encode_prompt(
            prompt, device=self.encoders.device, max_sequence_length=self.tokens
        )
        return {"embeds": embeds[0], "pooled": pooled[0]}

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        items, _, height, width = noisy.shape
        words = prompts["embeds"].to(denoiser.dtype)
        places = FluxPipeline._prepare_latent_image_ids(
            items, height // 2, width // 2, noisy.device, denoiser.dtype
        )
        guided = denoiser.config.guidance_embeds
        made = denoiser(
            hidden_states=pack(noisy).to(denoiser.dtype),
            timestep=times.to(denoiser.dtype),
            guidance=torch.ones(items, device=noisy.device) if guided else None,
            pooled_projections=prompts["pooled"].to(denoiser.dtype),
            encoder_hidden_states=words,
            txt_ids=torch.zeros(words.shape[1], 3, device=noisy.device, dtype=denoiser.dtype),
            img_ids=places,
            return_dict=False,
        )[0]
        return unpack(made.float(), height, width)
