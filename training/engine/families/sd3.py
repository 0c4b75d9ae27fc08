"""Stable Diffusion 3 and 3.5: two CLIPs and T5 in one row of tokens, rectified flow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from training.engine.families.base import Condition
from training.engine.families.image import ImageFamily


class StableDiffusion3Family(ImageFamily):
    name = "stable_diffusion_3"
    reader = "tokenizer_3"
    tokens = 256
    filled = 77 + 256

    def __init__(self, source: str, device: torch.device) -> None:
        super().__init__(source, device)
        if self.encoders.text_encoder_3 is None:
            # Models are also published without T5; its tokens are zeros then, as wide as the
            # transformer says.
            self.encoders.transformer = SimpleNamespace(config=SimpleNamespace(**self.config))
            self.reader, self.tokens = "tokenizer", 0

    def _encode(self, prompt: str) -> Condition:
        embeds, _, pooled, _ = self.encoders.encode_prompt(
            prompt,
            None,
            None,
            device=self.encoders.device,
            do_classifier_free_guidance=False,
            max_sequence_length=256,
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
        made: Tensor = denoiser(
            hidden_states=noisy.to(denoiser.dtype),
            timestep=times * 1000,
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
            pooled_projections=prompts["pooled"].to(denoiser.dtype),
            return_dict=False,
        )[0]
        return made.float()
