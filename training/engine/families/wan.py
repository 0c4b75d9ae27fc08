"""Wan 2.1 and 2.2, from words to clips: one denoiser, one with a time a token, or two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steelyard.inference.video_pipelines import Experts, boundary_of
from training.engine.families.base import Condition
from training.engine.families.video import STEPS, VideoFamily


class WanFamily(VideoFamily):
    name = "wan"
    tokens = 512

    def _look(self) -> None:
        self.boundary = boundary_of(self.index)
        self.per_token = bool(self.index.get("expand_timesteps"))

    def _encode(self, prompt: str) -> Condition:
        embeds, _ = self.encoders.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=self.tokens
        )
        return {"embeds": embeds[0, : min(self._length(prompt), self.tokens)]}

    def _normal(self) -> tuple[Tensor, Tensor]:
        config, device = self.vae.config, self.vae.device
        mean, std = (
            torch.tensor(values, device=device).view(-1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, 1 / std

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        which = self.expert(times)
        if which is None:
            return self._ask(denoiser, noisy, times, prompts["embeds"])
        assert isinstance(denoiser, Experts)
        made = torch.empty_like(noisy)
        for number, part in enumerate(denoiser.parts.values()):
            rows = (which == number).nonzero().flatten()
            if len(rows):
                answer = self._ask(part, noisy[rows], times[rows], prompts["embeds"][rows])
                made = made.index_copy(0, rows, answer)
        return made

    def _ask(self, denoiser: Any, noisy: Tensor, times: Tensor, embeds: Tensor) -> Tensor:
        steps = times * STEPS
        if self.per_token:
            _, height, width = denoiser.config.patch_size
            tokens = noisy.shape[2] * (noisy.shape[3] // height) * (noisy.shape[4] // width)
            steps = steps[:, None].expand(-1, tokens)
        made = denoiser(
            hidden_states=noisy.to(denoiser.dtype),
            timestep=steps,
            encoder_hidden_states=embeds.to(denoiser.dtype),
            return_dict=False,
        )[0]
        return made.float()

    def expert(self, times: Tensor) -> Tensor | None:
        return (times < self.boundary).long() if self.boundary is not None else None
