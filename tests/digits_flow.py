"""A flow-matching model of handwritten digits, small enough to be taught here from nothing.

The architecture is Stable Diffusion 3's, with 400 thousand parameters, on the 8-pixel scans that
come with scikit-learn; a class is two tokens and a pooled vector. It has the shape of a family of
the trainer, so that what is tried with it is the trainer itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from steelyard.inference.image_adapters import merge_adapters
from training.engine.families import Condition, Flow, Moments
from training.engine.families.base import stack

SIZE, WIDTH, TOKENS = 8, 32, 2
EMPTY = 10
GUIDANCE, STEPS = 1.5, 16


def scans() -> tuple[Tensor, Tensor]:
    """Pictures from -1 to 1, (1797, 1, 8, 8), and their digits."""
    found = load_digits()
    pictures = torch.tensor(found.images, dtype=torch.float32)[:, None] / 8 - 1
    return pictures, torch.tensor(found.target)


def small_transformer() -> Any:
    return SD3Transformer2DModel(
        sample_size=SIZE,
        patch_size=2,
        in_channels=1,
        out_channels=1,
        num_layers=3,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        caption_projection_dim=64,
        pooled_projection_dim=WIDTH,
        pos_embed_max_size=8,
    )


def teach(folder: Path, *, steps: int, batch: int = 128, seed: int = 0) -> None:
    """Write a model that has been taught from nothing: Adam with a falling rate, the running mean
    of its weights, one class in ten left out for guidance."""
    torch.manual_seed(seed)
    pictures, digits = scans()
    model, table = small_transformer(), nn.Embedding(EMPTY + 1, WIDTH * (TOKENS + 1))
    both = nn.ModuleDict({"model": model, "table": table})
    mean = {name: p.detach().clone() for name, p in both.named_parameters()}
    optimizer = torch.optim.AdamW(both.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    flow = Flow()
    for step in range(steps):
        rows = torch.randint(len(pictures), (batch,))
        asked = torch.where(torch.rand(batch) < 0.1, EMPTY, digits[rows])
        clean, noise = pictures[rows], torch.randn(batch, 1, SIZE, SIZE)
        times = flow.times((torch.arange(batch) + torch.rand(batch)) / batch)
        conditions = table(asked).view(batch, TOKENS + 1, WIDTH)
        output = _ask(model, flow.corrupt(clean, noise, times), times, conditions)
        loss = (output - flow.target(clean, noise, times)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        keep = min(0.99, (step + 1) / (step + 10))
        for name, parameter in both.named_parameters():
            mean[name].lerp_(parameter.detach(), 1 - keep)
    with torch.no_grad():
        for name, parameter in both.named_parameters():
            parameter.copy_(mean[name])
    model.save_pretrained(folder)
    save_file({"table": table.weight.detach().clone()}, folder / "classes.safetensors")


def _ask(model: Any, noisy: Tensor, times: Tensor, conditions: Tensor) -> Tensor:
    made = model(
        noisy,
        encoder_hidden_states=conditions[:, :TOKENS],
        pooled_projections=conditions[:, TOKENS],
        timestep=times * 1000,
    )
    return made.sample.float()


class DigitsFamily:
    """What the trainer asks of a kind of model; prompts are "A handwritten 7."."""

    name, modality = "digits_flow", "image"
    size, channels, multiple = SIZE, 1, 1
    frame_rule, fixed_size, cut = (0, 1), True, 0
    lora_targets: tuple[str, ...] = (
        *("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj"),
        *("to_add_out", "net.0.proj", "net.2"),
    )

    def __init__(self, source: str, device: torch.device) -> None:
        self.source = Path(source)
        self.table = load_file(self.source / "classes.safetensors")["table"].float()

    def encode_prompt(self, prompt: str) -> Condition:
        digit = int(prompt[-2]) if prompt else EMPTY
        return {"tokens": self.table[digit].view(TOKENS + 1, WIDTH)}

    def encode_media(self, pixels: Tensor) -> Moments:
        return Moments(pixels, torch.zeros(()))

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        self.schedule = Flow()
        return SD3Transformer2DModel.from_pretrained(self.source).to(dtype).eval()

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return stack(conditions)

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        return _ask(denoiser, noisy, times, prompts["tokens"])

    def expert(self, times: Tensor) -> None:
        return None


@torch.inference_mode()
def draw(
    source: str, count: int, *, seed: int, adapters: Sequence[str] = ()
) -> tuple[Tensor, Tensor]:
    """Pictures from -1 to 1, (count, 1, 8, 8), of the digits 0 to 9 in turn, and these digits; by
    Euler's steps with guidance."""
    family = DigitsFamily(source, torch.device("cpu"))
    model = family.load_denoiser(torch.float32)
    merge_adapters(model, adapters)
    digits = torch.arange(count) % 10
    asked = family.table[digits].view(count, TOKENS + 1, WIDTH)
    nothing = family.table[EMPTY].view(1, TOKENS + 1, WIDTH).expand_as(asked)
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn((count, 1, SIZE, SIZE), generator=generator)
    sigmas = torch.linspace(1, 0, STEPS + 1)
    for now, then in pairwise(sigmas):
        times = now.expand(2 * count)
        both = _ask(model, torch.cat([pictures, pictures]), times, torch.cat([asked, nothing]))
        told, untold = both.chunk(2)
        pictures = pictures + (then - now) * (untold + GUIDANCE * (told - untold))
    return pictures.clamp(-1, 1), digits


def ink(pictures: Tensor) -> Tensor:
    """How much of each picture is stroke, (pictures,)."""
    return pictures.flatten(1).mean(1)
