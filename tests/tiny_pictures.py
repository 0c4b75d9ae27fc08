"""Image models small enough to be made in a test, and run directories of picture pairs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from steelyard.lib.records import PreferenceRecord, write_parquet
from steelyard.lib.rundir import RunDir


def make_tiny_class_unet(folder: Path, *, prediction: str = "epsilon", size: int = 8) -> Path:
    """A random class-conditional UNet that knows cats and dogs, with 8 channels."""
    import torch
    from diffusers import DDIMScheduler, UNet2DConditionModel

    from steelyard.inference.class_unet import Labels, save_class_unet

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=size,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        norm_num_groups=4,
        attention_head_dim=4,
        num_class_embeds=3,
    )
    save_class_unet(
        folder,
        unet=unet,
        scheduler=DDIMScheduler(prediction_type=prediction),
        labels=Labels([["cat", "kitten"], ["dog"]], empty=2, enlarge=4),
    )
    return folder


def save_picture(folder: Path, image: Image.Image) -> str:
    """Keep a picture under its hash, as the run directory does; the hash."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "new.png"
    image.save(path, "PNG")
    name = hashlib.sha256(path.read_bytes()).hexdigest()
    path.rename(folder / name)
    return name


def noise_picture(seed: int, *, size: int = 32, mode: str = "L", level: int = 128) -> Image.Image:
    shape = (size, size) if mode == "L" else (size, size, 3)
    spread = np.random.default_rng(seed).integers(-60, 60, shape)
    return Image.fromarray((level + spread).clip(0, 255).astype(np.uint8))


def make_record(number: int, chosen: str, rejected: str, **overrides: Any) -> PreferenceRecord:
    prompt = overrides.pop("prompt", ["A cat.", "One dog, please."][number % 2])
    values = {
        "pair": f"pair-{number}",
        "prompt_key": f"prompt-{number}",
        "category": "",
        "modality": "image",
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": "",
        "rejected": "",
        "chosen_media": chosen,
        "rejected_media": rejected,
        "chosen_model": "x",
        "rejected_model": "x",
        "outcome": "win",
        "chosen_side": "a",
        "strength": 1.0,
        "agreement": 1.0,
    }
    return PreferenceRecord(**{**values, **overrides})


def write_picture_run(
    folder: Path,
    base: dict[str, Any],
    records: list[PreferenceRecord],
    **config: Any,
) -> RunDir:
    """A run directory for diffusion_dpo; the pictures that records name go to ``media/``."""
    rundir = RunDir(folder)
    rundir.create(
        {
            "kind": "train",
            "recipe": "diffusion_dpo",
            "config": {"device": "cpu", "threads": 1, **config},
            "seed": 0,
            "base": {"name": "tiny", "adapters": [], "sampling": {}, **base},
            "dataset": {"digest": "", "file": "data/v.parquet"},
        }
    )
    write_parquet(records, rundir.data / "v.parquet")
    return rundir


def make_picture_run(
    folder: Path,
    base: dict[str, Any],
    *,
    train: int = 6,
    test: int = 0,
    mode: str = "L",
    **config: Any,
) -> RunDir:
    """The same with pairs made here."""
    records = picture_records(folder / "media", train=train, test=test, mode=mode)
    return write_picture_run(folder, base, records, **config)


def picture_records(
    media: Path, *, train: int = 6, test: int = 0, mode: str = "L"
) -> list[PreferenceRecord]:
    """Pairs whose pictures are saved in a folder: dark ones are preferred to light ones."""
    records = []
    for number in range(train + test):
        chosen, rejected = (
            save_picture(media, noise_picture(number, mode=mode, level=level))
            for level in (70, 180)
        )
        split = "train" if number < train else "test"
        records.append(make_record(number, chosen, rejected, split=split))
    return records


def metrics_of(rundir: RunDir) -> dict[int, dict[str, float]]:
    """Step → its numbers; of a step written twice, the later ones."""
    found: dict[int, dict[str, float]] = {}
    for line in (rundir.path / "metrics.jsonl").read_text().splitlines():
        body = json.loads(line)
        found.setdefault(body["step"], {}).update(body["values"])
    return found
