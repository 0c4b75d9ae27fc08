"""Over which parts of each sample a loss averages errors."""

from __future__ import annotations

from training.engine.config import DiffusionDPOConfig
from training.engine.diffusion_marks import What as What


def what_of(config: DiffusionDPOConfig) -> What:
    """What the config's loss averages errors over."""
    kinds: dict[str, What] = {"dense": "segments", "masked": "regions"}
    return kinds.get(config.loss_type, "whole")
