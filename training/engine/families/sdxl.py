"""Stable Diffusion XL and its relatives: two CLIPs, and the picture's size told to the UNet."""

from __future__ import annotations

import torch
from torch import Tensor

from training.engine.families.base import Condition
from training.engine.families.stable_diffusion import StableDiffusionFamily


class StableDiffusionXLFamily(StableDiffusionFamily):
    name = "stable_diffusion_xl"

    def _encode(self, prompt: str) -> Condition:
        embeds, _, pooled, _ = self.encoders.encode_prompt(
            prompt, device=self.encoders.device, do_classifier_free_guidance=False
        )
        if not prompt and self.encoders.config.force_zeros_for_empty_prompt:
            embeds, pooled = torch.zeros_like(embeds), torch.zeros_like(pooled)
        return {"embeds": embeds[0], "pooled": pooled[0]}

    def _added(
        self, prompts: dict[str, Tensor], size: tuple[int, int], dtype: torch.dtype
    ) -> dict[str, Tensor]:
        # Size before cropping, place of the crop, size: as if the picture had always been so.
        ids = torch.tensor([*size, 0, 0, *size], dtype=dtype, device=prompts["pooled"].device)
        pooled = prompts["pooled"].to(dtype)
        return {"text_embeds": pooled, "time_ids": ids.expand(len(pooled), 6)}
