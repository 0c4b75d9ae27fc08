"""What sizes a base model of pictures or clips works at and how long its prompts may be, from its
settings alone: no weights are loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from math import ceil, prod, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.diffusion_media import Place
from training.engine.families import FAMILIES
from training.engine.words import WORDS

DENOISERS = ("unet", "transformer")
_PACKED = ("flux", "qwen_image")
"""Families whose denoiser is given two by two latents as one token."""
_WIDTHS = (
    "joint_attention_dim", "caption_channels", "text_dim", "text_embed_dim", "cross_attention_dim",
)  # fmt: skip
"""What denoisers' settings call the width of a prompt's tokens, the first one that they have."""
_SMALL_ENCODERS = ("stable_diffusion", "stable_diffusion_xl")
"""Families whose encoders are run in float32 on a GPU too."""


@dataclass(frozen=True)
class Geometry:
    """As a family says it of itself once its encoders are loaded; ``places_of`` takes either."""

    name: str
    modality: str
    size: int
    channels: int
    multiple: int
    frame_rule: tuple[int, int]
    fixed_size: bool
    lora_targets: tuple[str, ...]
    across: int
    """Pixels across a latent."""
    denoiser: dict[str, Any]
    """Its settings."""
    frames: int = 0
    rate: float = 0.0

    def latent(self, place: Place) -> tuple[int, ...]:
        """Channels, frames, height and width of a clean sample of this shape."""
        every = self.frame_rule[0]
        frames = (place.frames - 1) // every + 1 if every else 1
        channels = self.denoiser.get("in_channels") or self.channels
        if self.name in _PACKED:
            channels //= 4
        return channels, frames, place.height // self.across, place.width // self.across

    def prompt_bytes(self, tokens: int, device: str) -> int:
        """What is kept of an encoded prompt of so many tokens.

        Args:
            device: where it is encoded, ``cpu`` or ``cuda``.
        """
        width = next((self.denoiser[name] for name in _WIDTHS if self.denoiser.get(name)), 0)
        half = device == "cuda" and self.name not in _SMALL_ENCODERS
        return tokens * int(width) * (2 if half else 4)


def geometry_of(family: str, folder: Path) -> Geometry:
    """
    Args:
        folder: where the model lies.

    Raises:
        UserError: ``cannot_train``: no family of that name is trained; ``not_a_model``: settings
            are missing or make no sense.
    """
    if family not in FAMILIES:
        raise UserError(Said(WORDS, "no_such_family", family=family), code="cannot_train")
    module, name = FAMILIES[family].split(":")
    kind = getattr(import_module(f"training.engine.families.{module}"), name)
    try:
        if family == "class_unet":
            return _pixels(kind, folder)
        return _clips(kind, folder) if kind.modality == "video" else _pictures(kind, folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            Said(WORDS, "bad_base_settings", error=error), code="not_a_model"
        ) from error


def _pixels(kind: Any, folder: Path) -> Geometry:
    config = _json(folder / "config.json")
    return Geometry(
        **_said(kind), size=config["sample_size"], channels=config["in_channels"], multiple=1,
        across=1, denoiser=config,
    )  # fmt: skip


def _pictures(kind: Any, folder: Path) -> Geometry:
    denoiser = _denoiser(folder)
    across = _across(_json(folder / "vae" / "config.json"))
    sides = denoiser.get("sample_size") or kind.sides
    latents = sides if isinstance(sides, int) else sides[0]
    return Geometry(
        **_said(kind), size=latents * across, channels=kind.channels,
        multiple=across * kind.patch, across=across, denoiser=denoiser,
    )  # fmt: skip


def _clips(kind: Any, folder: Path) -> Geometry:
    from steelyard.inference.video_pipelines import kind_of

    made = kind_of(kind.name, str(folder))
    height, width, frames, rate = made.clip
    vae = _json(folder / "vae" / "config.json")
    across = made.multiple
    if kind.name != "ltx_video":  # whose denoiser takes latents one by one
        across = vae.get("scale_factor_spatial") or vae.get("spatial_compression_ratio") or 0
        across = across or _across(vae)
    said = {**_said(kind), "frame_rule": (made.every, 1)}
    return Geometry(
        **said, size=ceil(sqrt(height * width) / made.multiple) * made.multiple,
        channels=kind.channels, multiple=made.multiple, across=int(across),
        denoiser=_denoiser(folder), frames=frames, rate=rate,
    )  # fmt: skip


def _said(kind: Any) -> dict[str, Any]:
    names = ("name", "modality", "frame_rule", "fixed_size", "lora_targets")
    return {name: getattr(kind, name) for name in names}


def _across(vae: dict[str, Any]) -> int:
    """Pixels across a latent: each stage of the autoencoder but the last halves the sides."""
    if "temperal_downsample" in vae:
        return int(2 ** len(vae["temperal_downsample"]))
    stages = vae.get("block_out_channels") or vae["encoder_block_out_channels"]
    return int(2 ** (len(stages) - 1))


def _denoiser(folder: Path) -> dict[str, Any]:
    found = next(part for part in DENOISERS if (folder / part / "config.json").is_file())
    return _json(folder / found / "config.json")


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


class Read(NamedTuple):
    """What becomes of a prompt."""

    why: str
    """Why the model cannot take it all: ``cut``, what an unknown one lacks, or nothing."""
    tokens: int = 0
    """Of what is kept of it once it is encoded."""


def reader_of(family: str, folder: Path) -> Callable[[str], Read]:
    """Tells of a prompt what becomes of it.

    Raises:
        UserError: its tokenizer or its labels cannot be read.
    """
    if family == "class_unet":
        from steelyard.inference.class_unet import Labels

        labels = Labels.read(folder / "labels.json")

        def unknown(prompt: str) -> Read:
            try:
                labels.class_of(prompt)
            except UserError as error:
                return Read(error.message)
            return Read("")

        return unknown
    from transformers import AutoTokenizer

    module, name = FAMILIES[family].split(":")
    kind = getattr(import_module(f"training.engine.families.{module}"), name)
    reader = getattr(kind, "reader", "tokenizer")
    if not (folder / reader).is_dir():
        reader = "tokenizer"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / reader)
    except (OSError, ValueError) as error:
        raise UserError(Said(WORDS, "bad_tokenizer", error=error), code="not_a_model") from error
    own = kind.tokens if reader == getattr(kind, "reader", "tokenizer") else 0
    limit = own or tokenizer.model_max_length

    def read(prompt: str) -> Read:
        count = len(tokenizer(prompt).input_ids)
        return Read("cut" if count > limit else "", kind.filled or min(count, limit))

    return read


def activations(
    geometry: Geometry, latent: tuple[int, ...], samples: int, size: int, *, checkpointing: bool
) -> float:
    """Bytes that a pass keeps for the way back, good to a half or so.

    Args:
        latent: channels, frames, height and width of a sample.
        size: bytes of a number.
    """
    config = geometry.denoiser
    _, frames, height, width = latent
    if widths := config.get("block_out_channels"):
        deep = config.get("layers_per_block", 2)
        deep = deep if isinstance(deep, int) else max(deep)
        kept = sum(
            _UNET * channels * frames * height * width / 4**level * (2 * deep + 1)
            for level, channels in enumerate(widths)
        )
        return samples * kept * size / (4 if checkpointing else 1)
    hidden = (config.get("num_attention_heads") or 1) * (config.get("attention_head_dim") or 64)
    layers = (config.get("num_layers") or 1) + (config.get("num_single_layers") or 0)
    patch = config.get("patch_size") or 1
    across = prod(patch[1:]) if isinstance(patch, list | tuple) else patch**2
    if geometry.name in _PACKED:
        across = 4
    tokens = frames * height * width / across + _WORDS
    if checkpointing:
        return samples * tokens * size * hidden * (layers + _TRANSFORMER)
    return samples * tokens * size * hidden * layers * _TRANSFORMER


_UNET = 24
"""Numbers that a block of a UNet keeps of each place and channel: norms, activations, convolutions
and, where it has any, attention."""
_TRANSFORMER = 17
"""The same of a transformer's layer (Korthikanti et al. 2022, without the attention matrix)."""
_WORDS = 256
"""Tokens of a prompt that stand beside those of the picture."""
