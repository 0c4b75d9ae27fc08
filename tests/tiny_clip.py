"""A CLIP model of random weights in a folder, and the same kind of model in OpenCLIP's layout."""

from __future__ import annotations

import string
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

SIDE, PATCH, WIDTH, HEADS, LAYERS, OUT, LENGTH = 32, 8, 32, 4, 2, 16, 16


def make_clip(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    names = [c + end for end in ("", "</w>") for c in string.ascii_lowercase]
    names += ["<|startoftext|>", "<|endoftext|>"]
    tower = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "projection_dim": OUT,
        "hidden_act": "gelu",
    }
    config = CLIPConfig(
        text_config=tower
        | {
            "vocab_size": len(names),
            "max_position_embeddings": LENGTH,
            "bos_token_id": len(names) - 2,
            "eos_token_id": len(names) - 1,
            "pad_token_id": len(names) - 1,
        },
        vision_config=tower | {"image_size": SIDE, "patch_size": PATCH},
        projection_dim=OUT,
    )
    model = CLIPModel(config)
    with torch.no_grad():  # as they are initialised, a picture hardly matters
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    model.save_pretrained(folder)
    CLIPTokenizer({name: number for number, name in enumerate(names)}, []).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size).save_pretrained(folder)
    return folder


class OpenClip(nn.Module):
    """A CLIP model with a ViT as OpenCLIP builds it: names, shapes and order of operations."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.visual = _Visual()
        self.transformer = _Transformer()
        self.token_embedding = nn.Embedding(vocabulary, WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(LENGTH, WIDTH))
        self.ln_final = nn.LayerNorm(WIDTH)
        self.text_projection = nn.Parameter(torch.randn(WIDTH, OUT))
        self.logit_scale = nn.Parameter(torch.tensor(4.0))

    def encode_image(self, pixels: Tensor) -> Tensor:
        return normalize(self.visual(pixels), dim=-1)

    def encode_text(self, ids: Tensor) -> Tensor:
        """Pooled where the id is highest, which is the end of the text."""
        seen = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        mask = torch.full((ids.shape[1],) * 2, float("-inf")).triu(1)
        seen = self.ln_final(self.transformer(seen, mask))
        return normalize(
            seen[torch.arange(len(ids)), ids.argmax(dim=1)] @ self.text_projection, dim=-1
        )


class _Visual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.positional_embedding = nn.Parameter(torch.randn((SIDE // PATCH) ** 2 + 1, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.transformer = _Transformer()
        self.proj = nn.Parameter(torch.randn(WIDTH, OUT))

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(patches), 1, -1)
        seen = torch.cat([first, patches], dim=1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(seen), None)[:, 0]) @ self.proj


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([_Block() for _ in range(LAYERS)])

    def forward(self, seen: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.resblocks:
            seen = block(seen, mask)
        return seen


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(WIDTH, 4 * WIDTH), gelu=nn.GELU(), c_proj=nn.Linear(4 * WIDTH, WIDTH)
            )
        )

    def forward(self, seen: Tensor, mask: Tensor | None) -> Tensor:
        inner = self.ln_1(seen)
        seen = seen + self.attn(inner, inner, inner, need_weights=False, attn_mask=mask)[0]
        return seen + self.mlp(self.ln_2(seen))
