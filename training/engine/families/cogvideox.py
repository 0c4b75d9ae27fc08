"""CogVideoX 1.0 and 1.5, from words to clips: frames before channels, and steps of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline
from torch import Tensor

from steelyard.inference.video_pipelines import config_of_part
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.families.base import Condition, Moments, stack
from training.engine.families.schedules import Discrete, Schedule
from training.engine.families.video import VideoFamily
from training.engine.words import WORDS


class CogVideoXFamily(VideoFamily):
    name = "cogvideox"
    tokens = filled = 226

    def _look(self) -> None:
        config = config_of_part(self.name, self.source, "transformer")
        self.tokens = int(config["max_text_seq_length"])
        self.patch_frames = config.get("patch_size_t")
        self.side = int(self.encoders.vae_scale_factor_spatial)
        self.rotary: dict[Any, Any] = {}

    def _encode(self, prompt: str) -> Condition:
        # Nothing masks the padding: it stays.
        embeds, _ = self.encoders.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=self.tokens
        )
        return {"embeds": embeds[0]}

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return stack(conditions)

    def encode_media(self, pixels: Tensor) -> Moments:
        """Of 1.5, whose denoiser takes frames two by two, the first frame stands twice where they
        are odd in number; the pipeline makes one more in front and drops it."""
        self._check_size(*pixels.shape[-2:])
        found = super().encode_media(pixels)
        missing = -found.mean.shape[1] % (self.patch_frames or 1)
        return Moments(*(torch.cat([part[:, :1]] * missing + [part], dim=1) for part in found))

    def _check_size(self, height: int, width: int) -> None:
        if self.patch_frames and (height > self.native.height or width > self.native.width):
            raise UserError(
                Said(
                    WORDS,
                    "too_large",
                    most_width=self.native.width,
                    most_height=self.native.height,
                    width=width,
                    height=height,
                ),
                code="bad_resolution",
                field="resolution",
            )

    def _schedule(self) -> Schedule:
        scheduler = CogVideoXDDIMScheduler.from_config(
            config_of_part(self.name, self.source, "scheduler")
        )
        return Discrete.of(scheduler)

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        frames_first = noisy.transpose(1, 2)
        made = denoiser(
            hidden_states=frames_first.to(denoiser.dtype),
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
            timestep=times.long(),
            image_rotary_emb=self._rotary(denoiser, size, frames_first.shape[1], noisy.device),
            return_dict=False,
        )[0]
        return made.float().transpose(1, 2)

    def _rotary(
        self, denoiser: Any, size: tuple[int, int], frames: int, device: torch.device
    ) -> tuple[Tensor, Tensor] | None:
        if not denoiser.config.use_rotary_positional_embeddings:
            return None
        key = (size, frames, device)
        if key not in self.rotary:
            # The pipeline's own, which differs between 1.0 and 1.5; it asks for these two only.
            pipeline = SimpleNamespace(vae_scale_factor_spatial=self.side, transformer=denoiser)
            with torch.inference_mode(False):  # kept, so it must do for training as well
                self.rotary[key] = CogVideoXPipeline._prepare_rotary_positional_embeddings(
                    pipeline, *size, frames, device
                )
        return self.rotary[key]
