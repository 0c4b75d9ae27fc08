"""Loading the pipelines of video models by hub name or folder, whole or in parts."""

from __future__ import annotations

from typing import Any, NamedTuple

import diffusers
import torch
from diffusers import DiffusionPipeline

from steelyard.inference.kinds import PIPELINES
from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said


class Clip(NamedTuple):
    """The shape of a clip."""

    height: int
    width: int
    frames: int
    rate: int
    """Frames a second."""


class Kind(NamedTuple):
    """What diffusers calls a family's parts, and what the family was made for."""

    words: str
    """What is said to have been expected where it is missing."""
    denoiser: str
    """Class of what is trained."""
    clip: Clip
    """What it makes where nobody says otherwise."""
    multiple: int
    """Sides in pixels are whole multiples of it."""
    every: int
    """Clips have a multiple of so many frames and one."""


KINDS = {
    "wan": Kind("a Wan pipeline", "WanTransformer3DModel", Clip(480, 832, 81, 16), 16, 4),
    "cogvideox": Kind(
        "a CogVideoX pipeline", "CogVideoXTransformer3DModel", Clip(480, 720, 49, 8), 16, 4
    ),
    "ltx_video": Kind(
        "an LTX-Video pipeline", "LTXVideoTransformer3DModel", Clip(512, 704, 161, 25), 32, 8
    ),
    "hunyuan_video": Kind(
        "a HunyuanVideo pipeline",
        "HunyuanVideoTransformer3DModel",
        Clip(720, 1280, 129, 24),
        16,
        4,
    ),
}
"""Family of the registry → its kind."""


def kind_of(family: str, source: str) -> Kind:
    """The family's kind, as this model of it has it.

    Raises:
        UserError: as :func:`index_of` says.
    """
    kind = KINDS[family]
    if family == "wan" and index_of(family, source).get("expand_timesteps"):
        # 2.2-TI2V-5B, whose autoencoder takes twice as many pixels a side
        return kind._replace(clip=Clip(704, 1280, 121, 24), multiple=32)
    if family == "cogvideox":
        config = config_of_part(family, source, "transformer")
        height, width = config["sample_height"] * 8, config["sample_width"] * 8
        frames, rate = (81, 16) if config.get("patch_size_t") else (49, 8)  # 1.5 or 1.0
        return kind._replace(clip=Clip(height, width, frames, rate))
    return kind


def index_of(family: str, source: str) -> dict[str, Any]:
    """What ``model_index.json`` says.

    Raises:
        UserError: as :func:`.sources.explain` says, and ``not_a_model`` where it is another kind
            of pipeline.
    """
    kind = KINDS[family]
    try:
        index: dict[str, Any] = DiffusionPipeline.load_config(source)
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error
    name = index.get("_class_name")
    if name not in PIPELINES[family]:
        raise UserError(
            Said(
                WORDS,
                "other_video_pipeline",
                source=source,
                name=name,
                known=" or ".join(PIPELINES[family]),
            ),
            code="not_a_model",
        )
    return index


def config_of_part(family: str, source: str, part: str) -> dict[str, Any]:
    """The settings of the ``transformer`` or the ``scheduler``, without weights.

    Raises:
        UserError: as :func:`.sources.explain` says.
    """
    kind = KINDS[family]
    # Any scheduler's class reads all their files.
    name = "DDPMScheduler" if part == "scheduler" else kind.denoiser
    try:
        found: dict[str, Any] = _class(name).load_config(source, subfolder=part)
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error
    return found


def load_pipeline(
    family: str, source: str, *, dtype: torch.dtype, with_denoiser: bool = True
) -> Any:
    """The pipeline, weights from safetensors only. Its autoencoder stays in float32: it runs once
    a clip, and in half precision some of them overflow.

    Args:
        dtype: of the text encoders and the denoiser.

    Raises:
        UserError: as :func:`index_of` says.
    """
    index, kind = index_of(family, source), KINDS[family]
    absent = dict.fromkeys(_denoisers(index)) if not with_denoiser else {}
    try:
        return _class(PIPELINES[family][0]).from_pretrained(
            source,
            dtype={"default": dtype, "vae": torch.float32},
            use_safetensors=True,
            **absent,
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error


def load_denoiser(family: str, source: str, *, dtype: torch.dtype) -> Any:
    """The denoiser in eval mode, on the CPU; of two that share the work, both as one module.

    Raises:
        UserError: as :func:`index_of` says.
    """
    index, kind = index_of(family, source), KINDS[family]
    model = _class(kind.denoiser)
    try:
        parts = [
            model.from_pretrained(source, subfolder=part, dtype=dtype, use_safetensors=True).eval()
            for part in _denoisers(index)
        ]
    except LOAD_ERRORS as error:
        raise explain(error, source, kind.words) from error
    return parts[0] if len(parts) == 1 else Experts(*parts)


def boundary_of(index: dict[str, Any]) -> float | None:
    """The share of noise from which on the first of two denoisers works; None where there is
    one."""
    return float(index["boundary_ratio"]) if len(_denoisers(index)) > 1 else None


class Experts(torch.nn.Module):
    """Two denoisers that share the work, as Wan 2.2-A14B has: the first for much noise.

    Adapters are put on both, and switched off and on together.
    """

    _repeated_blocks = ("WanTransformerBlock",)

    def __init__(self, transformer: Any, transformer_2: Any) -> None:
        super().__init__()
        self.transformer, self.transformer_2 = transformer, transformer_2

    @property
    def parts(self) -> dict[str, Any]:
        """As the parts are called in the pipeline and in the file of an adapter."""
        return {"transformer": self.transformer, "transformer_2": self.transformer_2}

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self.transformer.dtype
        return found

    @property
    def config(self) -> Any:
        return self.transformer.config

    def add_adapter(self, config: Any, adapter_name: str = "default") -> None:
        for part in self.parts.values():
            part.add_adapter(config, adapter_name=adapter_name)

    def disable_adapters(self) -> None:
        for part in self.parts.values():
            part.disable_adapters()

    def enable_adapters(self) -> None:
        for part in self.parts.values():
            part.enable_adapters()

    def enable_gradient_checkpointing(self) -> None:
        for part in self.parts.values():
            part.enable_gradient_checkpointing()

    def compile_repeated_blocks(self, *args: Any, **kwargs: Any) -> None:
        for part in self.parts.values():
            part.compile_repeated_blocks(*args, **kwargs)


def _denoisers(index: dict[str, Any]) -> list[str]:
    second = (index.get("transformer_2") or [None])[0]
    return ["transformer", "transformer_2"] if second else ["transformer"]


def _class(name: str) -> Any:
    return getattr(diffusers, name)
