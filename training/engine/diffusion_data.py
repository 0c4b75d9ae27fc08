"""The rows of an image dataset version: chosen, encoded once, and the chances drawn for each.

Encoded pictures and prompts lie under ``cache/`` of the run directory, a file each, so that a run
that goes on encodes nothing twice and memory holds one batch, not the dataset.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from torch import Tensor

from steelyard.inference.pixels import fit_square, open_picture, to_tensor
from steelyard.inference.prompts import picture_prompt
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex, stable_int, stable_uniform
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from training.engine.checkpoints import fingerprint
from training.engine.families import Family

TEST_DRAWS = 4


@dataclass(frozen=True)
class PicturePair:
    """One preference between two pictures of a prompt; pictures are names under ``media/``."""

    key: str
    prompt: str
    chosen: str
    rejected: str
    weight: float


@dataclass(frozen=True)
class PictureDataset:
    train: list[PicturePair]
    test: list[PicturePair]
    counts: dict[str, int]
    """train, test, dropped_ties, dropped_identical."""


class Draw(NamedTuple):
    """What chance decides for one pair at one visit, the same for both of its pictures."""

    time: int
    noise: Tensor
    """float32 (channels, height, width)."""
    empty: bool
    """Whether the prompt is replaced by the empty one."""
    flip: bool


class Batch(NamedTuple):
    """Pairs side by side: all chosen pictures, then all rejected ones with the same chances."""

    clean: Tensor
    noise: Tensor
    """float32 (2 x pairs, channels, height, width), as is clean."""
    times: Tensor
    """int64 (2 x pairs,)."""
    prompts: dict[str, Tensor]


def choose_pairs(records: Sequence[PreferenceRecord]) -> PictureDataset:
    """The rows with a winner; ties and pairs of one and the same picture are left out and counted.

    Weights are scaled to a mean of 1 over the rows to train on, so that the learning rate means
    the same with every weighting.

    Raises:
        UserError: nothing is left, or a weight is no number from 0 up.
    """
    counts: Counter[str] = Counter()
    parts: dict[str, list[PicturePair]] = {"train": [], "test": []}
    for number, record in enumerate(records, 1):
        if not 0 <= record.weight < float("inf"):
            raise UserError(
                f"Row {number} has the weight {record.weight}; a weight is a number from 0 up.",
                code="bad_dataset",
            )
        if record.outcome == "tie":
            counts["dropped_ties"] += 1
        elif record.chosen_media == record.rejected_media:
            counts["dropped_identical"] += 1
        else:
            pair = PicturePair(
                record.pair,
                picture_prompt(record.prompt),
                record.chosen_media,
                record.rejected_media,
                record.weight,
            )
            parts["train" if record.split == "train" else "test"].append(pair)
    total = sum(pair.weight for pair in parts["train"])
    if not total:
        raise UserError(
            f"Of {len(records)} rows none is left to train on: {counts['dropped_ties']} are ties "
            f"and {counts['dropped_identical']} pairs of one and the same picture, and rows of "
            "weight 0 do not count. Label more pairs and freeze a new version.",
            code="no_train_rows",
        )
    scale = len(parts["train"]) / total
    scaled = {
        split: [PicturePair(p.key, p.prompt, p.chosen, p.rejected, p.weight * scale) for p in rows]
        for split, rows in parts.items()
    }
    counts |= Counter(train=len(scaled["train"]), test=len(scaled["test"]))
    names = ("train", "test", "dropped_ties", "dropped_identical")
    return PictureDataset(scaled["train"], scaled["test"], {name: counts[name] for name in names})


class Encoded:
    """Encoded prompts and pictures of a run, on disk."""

    def __init__(self, rundir: RunDir) -> None:
        self.rundir = rundir
        # Known by all that the run depends on: a changed run.json begins anew.
        self.folder = rundir.path / "cache" / fingerprint(rundir)[:16]
        self.folder.mkdir(parents=True, exist_ok=True)

    def add_prompt(self, family: Family, prompt: str) -> None:
        path = self._prompt_path(prompt)
        if not path.exists():
            keep(path, **family.encode_prompt(prompt))

    def add_picture(self, family: Family, name: str, *, size: int, flipped: bool) -> None:
        """Args: flipped: keep its mirror image too; an encoder's output cannot be mirrored."""
        wanted = [flip for flip in {False, flipped} if not self._picture_path(name, flip).exists()]
        if not wanted:
            return
        picture = open_picture(self.rundir.media / name)
        for flip in wanted:
            turned: Image.Image = ImageOps.mirror(picture) if flip else picture
            pixels = to_tensor(fit_square(turned, size, family.channels))
            keep(self._picture_path(name, flip), x=family.encode_media(pixels).mean)

    def prompt(self, prompt: str) -> dict[str, Tensor]:
        return load_file(self._prompt_path(prompt))

    def picture(self, name: str, flip: bool = False) -> Tensor:
        return read(self._picture_path(name, flip))

    def batch(
        self, pairs: Sequence[PicturePair], draws: Sequence[Draw], device: torch.device
    ) -> Batch:
        sides = [(p.chosen, d) for p, d in zip(pairs, draws, strict=True)]
        sides += [(p.rejected, d) for p, d in zip(pairs, draws, strict=True)]
        prompts = [
            self.prompt("" if d.empty else p.prompt) for p, d in zip(pairs, draws, strict=True)
        ]
        return Batch(
            torch.stack([self.picture(name, d.flip) for name, d in sides]).to(device),
            torch.stack([d.noise for _, d in sides]).to(device),
            torch.tensor([d.time for _, d in sides], device=device),
            {
                name: torch.stack([p[name] for p in (*prompts, *prompts)]).to(device)
                for name in prompts[0]
            },
        )

    def _prompt_path(self, prompt: str) -> Path:
        return self.folder / f"prompt-{sha256_hex(prompt.encode())}"

    def _picture_path(self, name: str, flip: bool) -> Path:
        return self.folder / f"picture-{name}{'-mirrored' if flip else ''}"


class Chances(NamedTuple):
    """All that is random in training but the order of the rows and the adapter's start.

    A draw is a function of (seed, pair, number) alone: never of the batch it falls into, of the
    rows beside it, or of what was drawn before.
    """

    seed: int
    times: int
    """Timesteps of the noise schedule."""
    shape: torch.Size
    empty: float
    """Share of prompts to replace by the empty one."""
    flip: bool

    def draw(self, key: str, number: int) -> Draw:
        """The chances of a pair at its visit ``number``."""
        return Draw(
            time=stable_int(self.seed, "time", key, number) % self.times,
            noise=self._noise("noise", key, number),
            empty=stable_uniform(self.seed, "empty", key, number) < self.empty,
            flip=self.flip and stable_uniform(self.seed, "flip", key, number) < 0.5,
        )

    def test(self, key: str, number: int) -> Draw:
        """The same at every test: timesteps spread evenly over TEST_DRAWS, nothing replaced."""
        place = (number + stable_uniform("test time", key, number)) / TEST_DRAWS
        noise = self._noise("test noise", key, number)
        return Draw(int(place * self.times), noise, empty=False, flip=False)

    def _noise(self, what: str, key: str, number: int) -> Tensor:
        seed = stable_int(self.seed, what, key, number)
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed))


def keep(path: Path, **tensors: Tensor) -> None:
    """Write tensors, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, partial)
    partial.rename(path)


def read(path: Path) -> Tensor:
    return load_file(path)["x"]
