"""Scores by the angle between a picture and its prompt: CLIPScore, PickScore and HPSv2.

All three are a CLIP model and differ in its weights and in how large a number they make of the
cosine. CLIPScore here is the plain cosine: the 2.5 and the floor at 0 of the paper change nothing
that people compare by. A clip's score is the mean over its frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel

from steelyard.inference.identity import version_of
from steelyard.inference.saying import WORDS
from steelyard.inference.scorers.base import KINDS, Facts, Item
from steelyard.inference.scorers.openclip import clip_state, read_tensors
from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

CODE = 1
"""Raised when the numbers of the same weights change: it is part of a scorer's version."""
_BATCH = {"cpu": 8, "cuda": 32}
_WHAT = "a CLIP model"


class ClipScorer:
    """CLIPScore, PickScore or HPSv2, by ``spec["kind"]``."""

    def __init__(self, spec: Mapping[str, Any], device: str) -> None:
        kind = self.kind = spec["kind"]
        self.device, self.batch_size = device, _BATCH.get(device, 8)
        self.model = load_clip(spec["source"], spec["weights"] if kind == "hpsv2" else "")
        self.model.to(device)  # type: ignore[arg-type]
        self.eye = load_eye(spec["source"])
        self.tokenizer = load_tokenizer(spec["source"])
        told = [kind, CODE, spec.get("frames"), self.eye.to_dict(), self.tokenizer.get_vocab()]
        self.facts = Facts(
            name=spec["name"],
            modality=("image", "video"),
            needs_prompt=True,
            higher_is_better={"score": True},
            version=version_of(told, self.model.state_dict()),
            licence=KINDS[kind].licence,
        )

    @torch.inference_mode()
    def score(self, items: Sequence[Item]) -> list[dict[str, float]]:
        looked = [item.pictures() for item in items]
        said = self._said([item.prompt for item in items])
        seen = features_of(self.model, [self._pixels(pictures) for pictures in looked])
        scale = self.model.logit_scale.exp().item() if self.kind == "pickscore" else 1.0
        return [
            {"score": scale * (frames @ words).mean().item()}
            for frames, words in zip(seen, said, strict=True)
        ]

    def close(self) -> None:
        del self.model

    def _pixels(self, pictures: Sequence[Image.Image]) -> Tensor:
        if self.kind == "hpsv2":
            side = int(self.model.vision_model.embeddings.image_size)
            pictures = [letterbox(picture, side) for picture in pictures]
        return prepare(self.eye, pictures).to(self.device)

    def _said(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors of the prompts, (n, width); what is beyond the encoder's length is cut."""
        length = self.model.text_model.embeddings.position_embedding.num_embeddings
        ids = self.tokenizer(
            list(prompts),
            padding=True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        ).to(self.device)
        found = self.model.get_text_features(
            input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]
        )
        return normalize(_pooled(found), dim=-1)


def load_clip(source: str, checkpoint: str = "") -> CLIPModel:
    """In eval mode, in float32, on the CPU.

    Args:
        source: a folder or a name on the hub, in safetensors.
        checkpoint: an OpenCLIP file that the weights come from; ``source`` then says only the
            model's shape.

    Raises:
        UserError: as :func:`steelyard.inference.sources.explain` says; ``broken_weights`` where
            the checkpoint does not fit.
    """
    try:
        config = CLIPConfig.from_pretrained(source)
        if config.model_type != "clip":
            raise UserError(
                Said(WORDS, "other_type", source=source, type=config.model_type, what=_WHAT),
                code="not_a_model",
            )
        if not checkpoint:
            loaded: Any = CLIPModel.from_pretrained(
                source, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
            model, told = loaded
            if lost := told["missing_keys"]:
                raise UserError(
                    Said(WORDS, "lacks_weights", source=source, first=sorted(lost)[0], what=_WHAT),
                    code="broken_weights",
                )
            return model.eval()
    except LOAD_ERRORS as error:
        raise explain(error, source, _WHAT) from error
    with torch.device("meta"):
        model = CLIPModel(config)
    state = {name: one.float() for name, one in clip_state(read_tensors(Path(checkpoint))).items()}
    model.to_empty(device="cpu")
    _fill_positions(model)
    try:
        missing, _ = model.load_state_dict(state, strict=False)
        unknown = set(state) - set(model.state_dict())
    except RuntimeError as error:
        raise _unfit(checkpoint, source, " ".join(str(error).split())[:300]) from error
    missing = [name for name in missing if not name.endswith("position_ids")]
    if missing or unknown:
        raise _unfit(checkpoint, source, f"{sorted([*missing, *unknown])[0]} does not match")
    return model.eval()


def load_eye(source: str) -> CLIPImageProcessor:
    """How a model's pictures are cut and normalised."""
    try:
        return CLIPImageProcessor.from_pretrained(source)
    except LOAD_ERRORS as error:
        raise explain(error, source, "a CLIP model with its preprocessor_config.json") from error


def load_tokenizer(source: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except LOAD_ERRORS as error:
        raise explain(error, source, "a CLIP model with its tokenizer") from error


def prepare(eye: CLIPImageProcessor, pictures: Sequence[Image.Image]) -> Tensor:
    """float32 (n, 3, side, side)."""
    return eye(images=list(pictures), return_tensors="pt")["pixel_values"].float()


def features_of(model: CLIPModel, pixels: Sequence[Tensor]) -> list[Tensor]:
    """Of each item's pictures their unit vectors (n, width), computed together."""
    found = _pooled(model.get_image_features(pixel_values=torch.cat(list(pixels))))
    return list(normalize(found, dim=-1).split([len(one) for one in pixels]))


def letterbox(picture: Image.Image, side: int) -> Image.Image:
    """The whole picture in a black square, as HPSv2 was taught: its longer side is ``side``."""
    scale = side / max(picture.size)
    width, height = (max(1, round(one * scale)) for one in picture.size)
    paper = Image.new("RGB", (side, side))
    small = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    paper.paste(small, ((side - width) // 2, (side - height) // 2))
    return paper


def _pooled(found: Any) -> Tensor:
    """Since transformers 5 the features come in an object."""
    return found if isinstance(found, Tensor) else found.pooler_output


def _fill_positions(model: CLIPModel) -> None:
    """Buffers that no checkpoint holds are numbers in order."""
    for name, buffer in model.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1]).expand_as(buffer))


def _unfit(checkpoint: str, source: str, why: str) -> UserError:
    return UserError(
        Said(WORDS, "other_shape", file=Path(checkpoint).name, source=source, why=why),
        code="broken_weights",
    )
