"""What every recipe for pictures and clips may ask of a kind of model, whichever it is.

A family goes through two phases, so that its large parts are never in memory together: encoders
turn prompts and media into tensors, which are kept; then they are let go and the denoiser is
loaded. Losses, caches, references and logs never look behind this protocol: packing of latents,
sign and scale of times, guidance, ids and masks are the family's own affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.families.schedules import Schedule
from training.engine.words import WORDS

Condition = dict[str, Tensor]
"""What a denoiser is told of one prompt, without padding: ``{"embeds": (tokens, width), …}``."""


class Moments(NamedTuple):
    """A picture's or clip's latent distribution, in the units that the denoiser works in."""

    mean: Tensor
    """float32 (channels, [frames,] height, width)."""
    std: Tensor
    """The same shape; () and zero where the encoder has no spread."""

    def sample(self, noise: Tensor) -> Tensor:
        """A draw. Args: noise: standard normal, shaped like ``mean``."""
        return self.mean + self.std * noise


class Family(Protocol):
    """One model on its way through both phases."""

    name: str
    modality: str
    """``image`` or ``video``."""
    size: int
    """Side in pixels of the square pictures it was made for; other shapes keep ``size`` squared."""
    channels: int
    """Of the pixels: 3, or 1 for a model that paints in grey."""
    multiple: int
    """Sides in pixels are whole multiples of it."""
    frame_rule: tuple[int, int]
    """(a, b): clips have a x k + b frames; (0, 1) for pictures."""
    fixed_size: bool
    """Whether it knows no size but ``size``."""
    lora_targets: tuple[str, ...]
    """Layers that get an adapter where the run does not say."""
    cut: int
    """How many prompts were longer than the encoder takes and have been cut so far."""
    schedule: Schedule
    """Of noise; known at the latest once the denoiser is loaded."""

    def encode_prompt(self, prompt: str) -> Condition:
        """What :meth:`predict` is told of a prompt; "" is the one that guidance starts from.

        Raises:
            UserError: the model has no meaning for the prompt.
        """

    def encode_media(self, pixels: Tensor) -> Moments:
        """The distribution of clean samples of a picture or clip.

        Args:
            pixels: float32 (channels, [frames,] height, width) from -1 to 1, whose sizes
                :func:`check_size` allows.
        """

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        """Let go of the encoders; the denoiser in eval mode, on the CPU."""

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """A batch of prompts, padded and masked; moved to the denoiser's device by the caller."""

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        """The denoiser's output, float32, shaped like ``noisy``, comparable to the schedule's
        target.

        Args:
            times: (items,), as the schedule's ``times`` gives them.
            size: height and width in pixels.
        """

    def expert(self, times: Tensor) -> Tensor | None:
        """Which of several denoisers each time belongs to, (items,); None where there is one."""


def check_size(family: Family, height: int, width: int) -> None:
    """Refuse a size in pixels that the model cannot work at.

    Raises:
        UserError: ``bad_resolution``.
    """
    if family.fixed_size and (height, width) != (family.size, family.size):
        raise UserError(
            Said(WORDS, "one_size", size=family.size, asked=max(height, width)),
            code="bad_resolution",
            field="resolution",
        )
    if height % family.multiple or width % family.multiple:
        raise UserError(
            Said(WORDS, "not_a_multiple", multiple=family.multiple, width=width, height=height),
            code="bad_resolution",
            field="resolution",
        )


def stack(conditions: Sequence[Condition]) -> dict[str, Tensor]:
    """A batch of conditions that are all of one shape."""
    return {name: torch.stack([c[name] for c in conditions]) for name in conditions[0]}


def pad(conditions: Sequence[Condition], name: str) -> tuple[Tensor, Tensor]:
    """A batch of (tokens, width) filled up with zeros, and its mask (items, tokens), bool."""
    rows = [condition[name] for condition in conditions]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, torch.arange(padded.shape[1]) < lengths[:, None]
