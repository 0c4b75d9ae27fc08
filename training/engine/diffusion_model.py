"""The denoiser that is trained and, with its adapter off, the reference it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from steelyard.inference.image_adapters import add_adapter, merge_adapters
from steelyard.lib.hashing import stable_int
from training.engine.config import DiffusionDPOConfig, names_in
from training.engine.diffusion_data import Batch
from training.engine.diffusion_losses import PairErrors
from training.engine.families import Discrete, Family


@dataclass
class DiffusionModel:
    family: Family
    unet: Any
    """Frozen, with a new adapter on it; in eval mode, so no dropout tells it from its reference."""
    device: torch.device

    @property
    def steps(self) -> int:
        """Of the noise schedule."""
        schedule = self.family.schedule
        assert isinstance(schedule, Discrete)
        return len(schedule.kept)

    def errors(self, batch: Batch) -> PairErrors:
        """Squared errors of the adapted model, in terms of the noise."""
        schedule = self.family.schedule
        noisy = schedule.corrupt(batch.clean, batch.noise, batch.times)
        target = schedule.target(batch.clean, batch.noise, batch.times)
        size = (self.family.size, self.family.size)
        output = self.family.predict(self.unet, noisy, batch.times, batch.prompts, size)
        both = (output - target).square().flatten(1).mean(1) * schedule.in_noise(batch.times)
        chosen, rejected = both.chunk(2)
        return PairErrors(chosen, rejected)

    @torch.no_grad()
    def reference_errors(self, batch: Batch) -> PairErrors:
        """The same for the model as it was before training: the adapter switched off."""
        self.unet.disable_adapters()
        try:
            return self.errors(batch)
        finally:
            self.unet.enable_adapters()


def open_model(
    family: Family,
    base: dict[str, Any],
    config: DiffusionDPOConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> DiffusionModel:
    """The family's denoiser with earlier adapters merged in and a new one, that changes nothing
    yet, to be trained.

    Args:
        base: the spec of the model to start from.
        dtype: of the frozen weights; the adapter is float32.

    Raises:
        UserError: an adapter is missing or does not fit, a layer or the kind of prediction is
            unknown.
    """
    unet = family.load_denoiser(dtype)
    merge_adapters(unet, base.get("adapters", ()))
    torch.manual_seed(stable_int(config.seed, "adapter"))
    targets = names_in(config.lora_targets)
    add_adapter(unet, rank=config.lora_rank, alpha=config.lora_alpha, targets=targets)
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    unet.to(device).eval()
    return DiffusionModel(family, unet, device)
