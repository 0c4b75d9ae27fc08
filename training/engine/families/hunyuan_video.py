"""HunyuanVideo, from words to clips: two text encoders, and guidance as something it is told."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from torch import Tensor

from training.engine.families.base import Condition
from training.engine.families.video import STEPS, VideoFamily

TEMPLATE: dict[str, Any] = DEFAULT_PROMPT_TEMPLATE
GUIDANCE = 1.0
"""What the denoiser is told in training: that nothing is exaggerated. Sampling tells it more."""


class HunyuanVideoFamily(VideoFamily):
    name = "hunyuan_video"
    tokens = 256
    lora_targets = (
        "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
    )  # fmt: skip

    def _look(self) -> None:
        # whole clips of its own size are beyond most GPUs
        self.vae.enable_tiling()

    def _length(self, prompt: str) -> int:
        framed = TEMPLATE["template"].format(prompt)
        return len(self.encoders.tokenizer(framed).input_ids) - TEMPLATE["crop_start"]

    def _encode(self, prompt: str) -> Condition:
        embeds, pooled, mask = self.encoders.encode_prompt(prompt, max_sequence_length=self.tokens)
        return {"embeds": embeds[0, mask[0].bool()], "pooled": pooled[0]}

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        dtype = denoiser.dtype
        guidance = torch.full_like(times, GUIDANCE * STEPS, dtype=dtype)
        made = denoiser(
            hidden_states=noisy.to(dtype),
            timestep=times * STEPS,
            encoder_hidden_states=prompts["embeds"].to(dtype),
            encoder_attention_mask=prompts["mask"].to(dtype),
            pooled_projections=prompts["pooled"].to(dtype),
            guidance=guidance if denoiser.config.guidance_embeds else None,
            return_dict=False,
        )[0]
        return made.float()
