"""Which sizes and lengths a model of pictures or clips can make, from its small files alone:
nothing is loaded, and torch is not imported."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from steelyard.inference.kinds import IMAGE, VIDEO

_PATCH = {"stable_diffusion": 1, "stable_diffusion_xl": 1, "sana": 1}
"""Latents across that a picture's denoiser takes for one token; 2 for others."""
_CLIPS = {"wan": (16, 4), "cogvideox": (16, 4), "ltx_video": (32, 8), "hunyuan_video": (16, 4)}
"""Sides in whole multiples of so many pixels; frames of so many, and one."""
_WIDE = 32
"""Of Wan 2.2-TI2V-5B."""


class Rule(NamedTuple):
    multiple: int
    every: int = 0
    """A clip has a multiple of so many frames, and one; 0 for pictures."""
    only: int = 0
    """The one side that it can work at; 0 where there are several."""

    def refuses(self, name: str, value: int) -> str:
        """Why a setting (resolution, size, width, height, frames) is not possible; else empty."""
        if name == "frames":
            if not self.every or (value - 1) % self.every == 0:
                return ""
            near = max(1, round((value - 1) / self.every) * self.every + 1)
            return (
                f"This model makes clips of a multiple of {self.every} frames and one; frames is "
                f"{value}. Set it to {near}."
            )
        if name not in ("resolution", "size", "width", "height") or not value:
            return ""
        if self.only and value != self.only:
            return (
                f"This model works at {self.only} pixels and no other size; set {name} to 0 or "
                f"{self.only}, not {value}."
            )
        if value % self.multiple:
            near = max(1, round(value / self.multiple)) * self.multiple
            return (
                f"{name} must be a multiple of {self.multiple} pixels for this model; it is "
                f"{value}. Set it to {near}."
            )
        return ""


def rule_of(family: str, source: str) -> Rule | None:
    """None where it is not known without loading: a model on the hub, or files without it."""
    folder = Path(source)
    if family not in (*IMAGE, *VIDEO) or not folder.is_absolute():
        return None
    try:
        return _read(family, folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


@lru_cache(maxsize=256)
def _read(family: str, folder: Path) -> Rule:
    if family == "class_unet":
        return Rule(1, only=int(_json(folder / "config.json")["sample_size"]))
    if family in _CLIPS:
        multiple, every = _CLIPS[family]
        if _json(folder / "model_index.json").get("expand_timesteps"):
            multiple = _WIDE
        return Rule(multiple, every)
    vae = _json(folder / "vae" / "config.json")
    if "temperal_downsample" in vae:
        across = 2 ** len(vae["temperal_downsample"])
    else:
        across = 2 ** (len(vae.get("block_out_channels") or vae["encoder_block_out_channels"]) - 1)
    return Rule(across * _PATCH.get(family, 2))


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found
