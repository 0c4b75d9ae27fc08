"""The model a text recipe starts from, of either family: its words first, its weights later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from steelyard.inference.text import load_causal_lm, load_tokenizer
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.data import Encoder
from training.engine.words import WORDS

FAMILIES = ("causal_lm", "vision_language")


class Base(Protocol):
    shape: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase

    def encoder(self, max_length: int) -> Encoder: ...

    def load(self, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
        """The weights, with the adapters of earlier runs merged into them."""
        ...

    def save_pretrained(self, folder: Path, /) -> None:
        """What belongs to whole weights: the tokenizer, or the processor."""
        ...


def check_family(base: dict[str, Any]) -> None:
    """
    Raises:
        UserError: ``wrong_family``.
    """
    if base["family"] not in FAMILIES:
        raise UserError(
            Said(WORDS, "not_a_language_model", base=base["name"], family=base["family"]),
            code="wrong_family",
            field="base",
        )


def open_base(
    base: dict[str, Any], rundir: RunDir, records: Sequence[PreferenceRecord], *, frames: int
) -> Base:
    """Load all but the weights: enough to say whether prompts fit.

    Args:
        base: as run.json has it.
        frames: as how many pictures a clip in a prompt is shown.

    Raises:
        UserError: ``wrong_family``; ``prompt_media`` where prompts are about pictures and the model
            sees none; or the model cannot be loaded.
    """
    check_family(base)
    if base["family"] == "vision_language":
        return SeeingBase(base, rundir, frames)
    if asked := sum(bool(record.prompt_media) for record in records):
        raise UserError(
            Said(WORDS, "base_sees_nothing", asked=asked, of=len(records), base=base["name"]),
            code="prompt_media",
            field="base",
        )
    return BlindBase(base)


class BlindBase:
    """A language model."""

    def __init__(self, base: dict[str, Any]) -> None:
        self._base = base
        self.shape, self.tokenizer = load_tokenizer(base["source"])

    def encoder(self, max_length: int) -> Encoder:
        return Encoder(self.tokenizer, max_length)

    def load(self, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
        source, adapters = self._base["source"], self._base["adapters"]
        return load_causal_lm(source, adapters=adapters, dtype=dtype, device=device)[0]

    def save_pretrained(self, folder: Path, /) -> None:
        self.tokenizer.save_pretrained(folder)


class SeeingBase:
    """A vision-language model."""

    def __init__(self, base: dict[str, Any], rundir: RunDir, frames: int) -> None:
        from steelyard.inference.vision import load_processor
        from training.engine.vision import Sight

        self._base = base
        self.shape, processor = load_processor(base["source"])
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self.sight = Sight(rundir, processor, frames)

    def encoder(self, max_length: int) -> Encoder:
        from training.engine.vision import VisionEncoder

        return VisionEncoder(self.sight, max_length)

    def load(self, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
        from steelyard.inference.vision import load_vision_language
        from training.engine.vision import check_trainable

        source, adapters = self._base["source"], self._base["adapters"]
        model, _ = load_vision_language(source, adapters=adapters, dtype=dtype, device=device)
        check_trainable(model)
        # forward.score asks it for the pictures of the rows
        model.sight = self.sight  # type: ignore[assignment]
        return model

    def save_pretrained(self, folder: Path, /) -> None:
        from steelyard.inference.vision import save_processor

        save_processor(self.sight.processor, self._base["source"], folder)
