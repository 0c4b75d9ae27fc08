"""LAION's aesthetic predictor: how much people would like a picture, 1 to 10, whatever the prompt.

Five linear layers without anything between them on the embedding of CLIP ViT-L/14, scaled to
length one (``sac+logos+ava1-l14-linearMSE``; dropout counts in training alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steelyard.inference.identity import version_of
from steelyard.inference.saying import WORDS
from steelyard.inference.scorers.base import KINDS, Facts, Item
from steelyard.inference.scorers.clip import features_of, load_clip, load_eye, prepare
from steelyard.inference.scorers.openclip import read_tensors
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

CODE = 1
_BATCH = {"cpu": 8, "cuda": 32}


class Aesthetics:
    """Mean over a clip's frames."""

    def __init__(self, spec: Mapping[str, Any], device: str) -> None:
        self.device, self.batch_size = device, _BATCH.get(device, 8)
        self.model = load_clip(spec["source"])
        self.eye = load_eye(spec["source"])
        self.head = load_head(Path(spec["weights"]), self.model.visual_projection.out_features)
        told = ["aesthetics", CODE, spec.get("frames"), self.eye.to_dict()]
        self.facts = Facts(
            name=spec["name"],
            modality=("image", "video"),
            needs_prompt=False,
            higher_is_better={"score": True},
            version=version_of(told, self.model.state_dict(), self.head.state_dict()),
            licence=KINDS["aesthetics"].licence,
        )
        self.model.to(device)  # type: ignore[arg-type]
        self.head.to(device)

    @torch.inference_mode()
    def score(self, items: Sequence[Item]) -> list[dict[str, float]]:
        pixels = [prepare(self.eye, item.pictures()).to(self.device) for item in items]
        seen = features_of(self.model, pixels)
        return [{"score": self.head(frames).mean().item()} for frames in seen]

    def close(self) -> None:
        del self.model, self.head


def load_head(path: Path, width: int) -> nn.Sequential:
    """The linear layers of a file, in the order of their numbers (``layers.0.weight``, …).

    Raises:
        UserError: ``broken_weights``: they do not follow on each other, from ``width`` to one.
    """
    tensors = read_tensors(path)
    numbers = sorted({int(name.split(".")[1]) for name in tensors if _is_layer(name)})
    layers: list[nn.Module] = []
    for number in numbers:
        weight = tensors.get(f"layers.{number}.weight")
        bias = tensors.get(f"layers.{number}.bias")
        if weight is None or bias is None or weight.ndim != 2 or weight.shape[1] != width:
            raise _unfit(path, width)
        width = weight.shape[0]
        layers.append(_linear(weight.float(), bias.float()))
    if not layers or width != 1:
        raise _unfit(path, width)
    return nn.Sequential(*layers).eval()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _is_layer(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 3 and parts[0] == "layers" and parts[1].isdigit()


def _unfit(path: Path, width: int) -> UserError:
    return UserError(
        Said(WORDS, "no_aesthetic_head", file=path.name, width=width),
        code="broken_weights",
    )
