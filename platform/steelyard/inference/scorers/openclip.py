"""Checkpoints of OpenCLIP (HPSv2 is published as one) as state dicts of transformers' CLIPModel.

The two hold the same numbers under other names; OpenCLIP keeps the three projections of attention
in one matrix, and its two output projections the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

_BLOCK = {
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "attn.out_proj.": "self_attn.out_proj.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}
_OUTSIDE = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    # transformers has spelled it so from the beginning
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
}
_TOWERS = {
    "transformer.resblocks.": "text_model.encoder.layers.",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
}
_TURNED = {"text_projection", "visual.proj"}
_IGNORED = {"attn_mask"}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU: safetensors, or what ``torch.save`` wrote, read
    without running anything in it.

    Raises:
        UserError: ``no_such_file``, or ``broken_weights`` where it holds something else.
    """
    if not path.is_file():
        raise UserError(Said(WORDS, "no_file", path=path), code="no_such_file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    # what torch raises of a file that is none of its own depends on where it stumbles
    except (*LOAD_ERRORS, EOFError, AttributeError, ImportError, IndexError, TypeError) as error:
        raise _broken(path, " ".join(str(error).split())[:200]) from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise _broken(path, "it holds more than tensors, which could run code") from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise _broken(path, "it holds no tensors by name")
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def clip_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's tensors under the names of transformers' CLIPModel.

    Raises:
        UserError: ``broken_weights``: a name is none of an OpenCLIP model with a ViT.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in _IGNORED:
            continue
        if name in _OUTSIDE:
            state[_OUTSIDE[name]] = tensor.T.contiguous() if name in _TURNED else tensor
        else:
            state.update(_of_block(name, tensor))
    return state


def _of_block(name: str, tensor: Tensor) -> dict[str, Tensor]:
    for start, place in _TOWERS.items():
        number, _, part = name.removeprefix(start).partition(".")
        if not name.startswith(start) or not number.isdigit():
            continue
        layer = f"{place}{number}."
        if part in ("attn.in_proj_weight", "attn.in_proj_bias"):
            kind = part.rsplit("_", 1)[1]
            thirds = zip("qkv", tensor.chunk(3), strict=True)
            return {f"{layer}self_attn.{one}_proj.{kind}": third for one, third in thirds}
        for there, here in _BLOCK.items():
            if part.startswith(there):
                return {f"{layer}{here}{part.removeprefix(there)}": tensor}
    raise UserError(
        Said(WORDS, "no_openclip_tensor", name=f"{name!r}"),
        code="broken_weights",
    )


def _broken(path: Path, why: str) -> UserError:
    return UserError(
        Said(WORDS, "no_weights_file", file=path.name, why=why),
        code="broken_weights",
    )
