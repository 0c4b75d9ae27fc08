"""What image recipes can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.engine.config.base import Recipe


@dataclass(frozen=True)
class DiffusionDPOConfig(Recipe):
    """Diffusion-DPO of an image model (Wallace et al. 2023), errors averaged over elements."""

    at_least = {"lora_rank": 1, "max_steps": 1}

    beta: float = 2000.0
    """How strongly the model is held near the one it starts from. It multiplies squared errors
    averaged over all elements, so it is in the thousands: 2000 to 5000 is usual."""
    learning_rate: float = 1e-4
    """The peak learning rate. An adapter on a small model: 1e-4. Stable Diffusion: 1e-5. With
    too much of it pictures get worse, and guidance can turn what was learnt into its opposite: if
    reward_chosen falls far below zero, lower it. It goes with 1 / beta. AdamW moves every weight
    by about this much a step, so it is never above 1."""
    max_steps: int = 100
    """How many optimiser steps to train."""
    batch_size: int = 32
    """Pairs in one pass through the model. Memory grows with it."""
    accumulation: int = 1
    """Passes gathered into one optimiser step: batch_size x accumulation pairs a step."""
    lora_rank: int = 8
    """Rank of the low-rank adapter that is trained."""
    lora_alpha: int = 8
    """Scale of the adapter: its effect is multiplied by lora_alpha / lora_rank."""
    lora_targets: str = "to_q,to_k,to_v,to_out.0,conv1,conv2,proj_in,proj_out"
    """Names of the layers that get an adapter, with commas between. Attention alone is
    to_q,to_k,to_v,to_out.0; with convolutions the model learns faster and forgets faster."""
    proportion_empty_prompts: float = 0.2
    """Share of training prompts replaced by the empty one, so that guidance keeps working."""
    resolution: int = 0
    """Pictures are resized (short side) and cropped to so many pixels square; 0 takes the
    model's own size."""
    random_flip: bool = False
    """Mirror both pictures of a pair left to right, half of the time."""
    reference_draws: int = 0
    """Prepare so many (timestep, noise) draws a pair and compute the frozen model's errors for
    them once. 0 makes a new draw at every step and asks the frozen model each time."""
    warmup_ratio: float = 0.0
    """Share of all steps in which the learning rate rises from zero to its peak."""
    scheduler: Literal["linear", "cosine", "constant"] = "constant"
    """How the learning rate falls after the warm-up: to zero in a line, along a cosine, or not."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them as they are."""
    weight_decay: float = 0.0
    """AdamW's pull of the trained weights toward zero."""
    seed: int = 0
    """Decides the order of the pairs, timesteps, noise and the adapter's start. Same seed, data
    and machine: same model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the frozen weights. auto: bfloat16 on a GPU, float32 on a CPU. What is
    trained is always float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run; auto takes a GPU if there is one."""
    threads: int = 0
    """CPU threads to use, at most the machine's cores; 0 leaves it to the machine's setting."""
    gradient_checkpointing: bool = False
    """Save memory by computing the forward pass twice; about 30 % slower."""
    eval_every: int = 0
    """Measure the test pairs every so many steps, besides at the end; 0 only at the end."""
    checkpoint_every: int = 50
    """Save a point to resume from every so many steps."""

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_optimiser()
