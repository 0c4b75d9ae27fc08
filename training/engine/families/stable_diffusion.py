"""Stable Diffusion 1.x and 2.x: latents of an autoencoder and embeddings of one CLIP."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.families.base import Condition
from training.engine.families.image import ImageFamily
from training.engine.families.schedules import Discrete, Schedule
from training.engine.words import WORDS


class StableDiffusionFamily(ImageFamily):
    name = "stable_diffusion"
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    patch = 1
    filled = 77
    large_encoders = False

    def _encode(self, prompt: str) -> Condition:
        embeds, _ = self.encoders.encode_prompt(
            prompt, self.encoders.device, 1, do_classifier_free_guidance=False
        )
        return {"embeds": embeds[0]}

    def _schedule(self, scheduler: Any) -> Schedule:
        # Whatever it paints with, it was trained with the noise of all steps; some relatives were
        # trained otherwise.
        if scheduler.config.get("beta_start") is None and not scheduler.config.get("trained_betas"):
            raise UserError(
                Said(WORDS, "no_noise_steps", scheduler=type(scheduler).__name__),
                code="bad_scheduler",
                field="base",
            )
        return Discrete.of(DDPMScheduler.from_config(scheduler.config))

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
            times.long(),
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
            added_cond_kwargs=self._added(prompts, size, denoiser.dtype),
            return_dict=False,
        )[0]
        return made.float()

    def _added(
        self, prompts: dict[str, Tensor], size: tuple[int, int], dtype: torch.dtype
    ) -> dict[str, Tensor] | None:
        return None
