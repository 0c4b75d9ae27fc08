"""Qwen-Image: tokens of two by two latents and the words as Qwen2.5-VL reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from training.engine.families.base import Condition, Moments, pad
from training.engine.families.image import ImageFamily, normal, pack, unpack


class QwenImageFamily(ImageFamily):
    name = "qwen_image"
    tokens = 512

    def _encode(self, prompt: str) -> Condition:
        # Its guidance starts from one blank, which is also what painting gives it.
        embeds, mask = self.encoders.encode_prompt(
            prompt or " ", device=self.encoders.device, max_sequence_length=self.tokens
        )
        return {"embeds": embeds[0] if mask is None else embeds[0][mask[0].bool()]}

    @torch.inference_mode()
    def encode_media(self, pixels: Tensor) -> Moments:
        # The autoencoder is one of clips; a picture is a clip of one frame.
        vae = self.encoders.vae
        found = vae.encode(pixels[None, :, None].to(vae.device)).latent_dist
        shift, scale = normal(vae.config)
        mean, std = found.mean[0, :, 0].cpu(), found.std[0, :, 0].cpu()
        return Moments(((mean - shift) * scale).float(), (std * scale).float())

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        embeds, mask = pad(conditions, "embeds")
        return {"embeds": embeds} if bool(mask.all()) else {"embeds": embeds, "mask": mask}

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        items, _, height, width = noisy.shape
        guided = denoiser.config.guidance_embeds
        made = denoiser(
            hidden_states=pack(noisy).to(denoiser.dtype),
            timestep=times.to(denoiser.dtype),
            guidance=torch.ones(items, device=noisy.device) if guided else None,
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
            encoder_hidden_states_mask=prompts.get("mask"),
            img_shapes=[[(1, height // 2, width // 2)]] * items,
            return_dict=False,
        )[0]
        return unpack(made.float(), height, width)
