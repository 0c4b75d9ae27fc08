"""Pixels and classes: no encoders at all (see steelyard.inference.class_unet)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.inference.class_unet import ClassUnet, load_class_unet
from training.engine.families.base import Condition, Moments, stack
from training.engine.families.schedules import Discrete, Schedule


class ClassUnetFamily:
    name = "class_unet"
    modality = "image"
    multiple = 1
    frame_rule = (0, 1)
    fixed_size = True
    lora_targets: tuple[str, ...] = (
        "to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "proj_in", "proj_out",
    )  # fmt: skip
    schedule: Schedule

    def __init__(self, source: str, device: torch.device) -> None:
        self.model: ClassUnet = load_class_unet(source)
        self.size, self.channels = self.model.size, self.model.channels
        self.schedule = Discrete.of(self.model.scheduler)
        self.cut = 0

    def encode_prompt(self, prompt: str) -> Condition:
        return {"class": torch.tensor(self.model.labels.class_of(prompt))}

    def encode_media(self, pixels: Tensor) -> Moments:
        return Moments(pixels, torch.zeros(()))

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        unet = self.model.unet
        return unet if unet.dtype == dtype else unet.to(dtype)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return stack(conditions)

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        made = denoiser(
            noisy.to(denoiser.dtype),
            times.long(),
            encoder_hidden_states=None,
            class_labels=prompts["class"],
        )
        return made.sample.float()

    def expert(self, times: Tensor) -> Tensor | None:
        return None
