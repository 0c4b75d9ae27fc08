"""How noise is mixed in and what a denoiser is to say of it, as pure functions.

Two kinds cover all families: steps of a discrete schedule whose output is the noise or the
velocity, and rectified flow. ``in_noise`` turns a squared error of either into that of the noise,
so that one beta means the same for every model.
"""

from __future__ import annotations

from math import exp
from typing import Any, Protocol

import torch
from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.words import WORDS

PREDICTIONS = ("epsilon", "v_prediction")


class Schedule(Protocol):
    prediction: str
    """``epsilon``, ``v_prediction`` or ``flow``."""

    def times(self, uniforms: Tensor) -> Tensor:
        """Numbers evenly spread in [0, 1) → times as the family meets them in training."""

    def corrupt(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor: ...

    def target(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What a perfect model says of the corrupted sample."""

    def in_noise(self, times: Tensor) -> Tensor:
        """(items,): a squared error of the output times this is one of the noise."""


class Discrete:
    """Steps 0 to T - 1: sqrt(kept) clean + sqrt(1 - kept) noise."""

    def __init__(self, alphas_cumprod: Tensor, prediction: str) -> None:
        if prediction not in PREDICTIONS:
            raise UserError(
                Said(
                    WORDS,
                    "bad_prediction",
                    prediction=f"{prediction!r}",
                    known=" and ".join(PREDICTIONS),
                ),
                code="bad_prediction_type",
            )
        self.kept, self.prediction = alphas_cumprod.float(), prediction

    @classmethod
    def of(cls, scheduler: Any) -> Discrete:
        """Of a diffusers scheduler that was made for training."""
        return cls(scheduler.alphas_cumprod, scheduler.config.prediction_type)

    def times(self, uniforms: Tensor) -> Tensor:
        steps = len(self.kept)
        return (uniforms * steps).floor().clamp(0, steps - 1).float()

    def corrupt(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        kept = self._kept(times, clean)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def target(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        if self.prediction == "epsilon":
            return noise
        kept = self._kept(times, clean)
        return kept.sqrt() * noise - (1 - kept).sqrt() * clean

    def in_noise(self, times: Tensor) -> Tensor:
        if self.prediction == "epsilon":
            return torch.ones_like(times, dtype=torch.float32)
        return self._share(times)

    def _share(self, times: Tensor) -> Tensor:
        if self.kept.device != times.device:
            self.kept = self.kept.to(times.device)
        return self.kept[times.long()]

    def _kept(self, times: Tensor, like: Tensor) -> Tensor:
        return _wide(self._share(times), like)


class Flow:
    """Rectified flow: (1 - sigma) clean + sigma noise, and the output is noise - clean.

    Times are sigmas, logit-normal and then shifted towards noise as large pictures need it.
    """

    prediction = "flow"

    def __init__(self, shift: float = 1.0, mean: float = 0.0, std: float = 1.0) -> None:
        self.shift, self.mean, self.std = shift, mean, std

    @classmethod
    def of(cls, scheduler: Any, tokens: int = 0) -> Flow:
        """Of a diffusers flow-matching scheduler.

        Args:
            tokens: of a picture at the model's own size, for schedulers whose shift depends on
                it; their fixed ``shift`` does nothing.
        """
        config = scheduler.config
        if not config.get("use_dynamic_shifting"):
            return cls(float(config.get("flow_shift") or config.get("shift") or 1.0))
        low, high = config["base_image_seq_len"], config["max_image_seq_len"]
        slope = (config["max_shift"] - config["base_shift"]) / (high - low)
        return cls(exp(config["base_shift"] + slope * (min(max(tokens, low), high) - low)))

    def times(self, uniforms: Tensor) -> Tensor:
        inside = uniforms.double().clamp(1e-4, 1 - 1e-4)
        drawn = torch.sigmoid(self.mean + self.std * torch.special.ndtri(inside))
        return (self.shift * drawn / (1 + (self.shift - 1) * drawn)).float()

    def corrupt(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        sigma = _wide(times, clean)
        return (1 - sigma) * clean + sigma * noise

    def target(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return noise - clean

    def in_noise(self, times: Tensor) -> Tensor:
        return (1 - times).square()


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """(items,) → (items, 1, 1, …) to go with ``like``."""
    return values.view(-1, *[1] * (like.ndim - 1))
