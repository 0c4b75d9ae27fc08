"""The demo's own image model: a class-conditional UNet taught scikit-learn's handwritten digits.

1,797 scans of 8 x 8 pixels (UCI, CC BY 4.0) are enlarged to 16 x 16, dark ink on white paper. The
model has about 0.44 million weights and predicts the noise; 10 % of the labels are hidden, so that
guidance works. About a minute on two cores.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from PIL import Image

from steelyard.demo.engine.words import WORDS as SAYS
from steelyard.inference.class_unet import Labels, save_class_unet
from steelyard.inference.pixels import to_tensor
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.checkpoints import resume, save_checkpoint, trainable

SIZE = 16
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LABELS = Labels([[str(i), word] for i, word in enumerate(WORDS)], empty=10, enlarge=8)
NAME, EARLY = "digit-unet", "digit-unet-early"
STEPS = 260
QUICK_STEPS = 20
"""For a demo with a limit: digits that nobody can read, in a few seconds."""
EARLY_SHARE = 0.3
BATCH = 64
LEARNING_RATE = 3e-3
HIDDEN_LABELS = 0.1
CHECKPOINT_EVERY = 20


def make_scheduler() -> Any:
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="linear",
        prediction_type="epsilon",
        timestep_spacing="leading",
    )


def make_unet(seed: int) -> Any:
    torch.manual_seed(stable_int(seed, "digit-unet"))
    return UNet2DConditionModel(
        sample_size=SIZE,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(32, 48),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        norm_num_groups=8,
        attention_head_dim=8,
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=len(WORDS) + 1,
    )


@cache
def load_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """All scans as (1797, 1, 16, 16) from -1 (ink) to 1 (paper), and the digit each one shows."""
    from sklearn.datasets import load_digits as load

    data = load()
    scans = (255 * (1 - data.images / 16)).round().astype(np.uint8)
    large = [Image.fromarray(scan).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for scan in scans]
    return torch.stack([to_tensor(image) for image in large]), torch.from_numpy(data.target)


def train_step(
    unet: Any,
    optimizer: torch.optim.Optimizer,
    *,
    seed: int,
    step: int,
    steps: int,
) -> float:
    """One step of ``steps``; all chance in it comes from (seed, step). The squared error."""
    images, digits = load_digits()
    chance = torch.Generator().manual_seed(stable_int(seed, "digit-step", step))
    rows = torch.randint(len(images), (BATCH,), generator=chance)
    noise = torch.randn((BATCH, 1, SIZE, SIZE), generator=chance)
    times = torch.randint(1000, (BATCH,), generator=chance)
    hidden = torch.rand(BATCH, generator=chance) < HIDDEN_LABELS
    classes = torch.where(hidden, torch.tensor(LABELS.empty), digits[rows])
    noisy = make_scheduler().add_noise(images[rows], noise, times)
    output = unet(noisy, times, encoder_hidden_states=None, class_labels=classes).sample
    loss = (output - noise).square().mean()
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE * min(1, (step + 1) / 10) * (1 - step / steps)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def teach(rundir: RunDir, stop: Stop, folders: dict[str, Path], *, seed: int, steps: int) -> bool:
    """Leave both models in their folders, or go on from the newest checkpoint toward that.

    Models that are there already are kept as they are.

    Args:
        folders: NAME and EARLY to where each is to be.
        steps: in all; EARLY is the model after EARLY_SHARE of them.

    Returns:
        False where ``stop`` came first.
    """
    if all((folder / "labels.json").exists() for folder in folders.values()):
        return True
    unet = make_unet(seed)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    parameters = trainable(unet)
    first, _ = resume(rundir, parameters=parameters, optimizer=optimizer)
    for step in range(first, steps):
        if stop:
            save_checkpoint(rundir, step=step, parameters=parameters, optimizer=optimizer)
            return False
        loss = train_step(unet, optimizer, seed=seed, step=step, steps=steps)
        rundir.metric(step + 1, loss=loss)
        rundir.progress(step + 1, steps, "steps", Said(SAYS, "teaching"))
        if step + 1 == int(EARLY_SHARE * steps):
            _save(unet, folders[EARLY])
        if (step + 1) % CHECKPOINT_EVERY == 0:
            save_checkpoint(rundir, step=step + 1, parameters=parameters, optimizer=optimizer)
    _save(unet, folders[NAME])
    return True


def _save(unet: Any, folder: Path) -> None:
    save_class_unet(folder, unet=unet, scheduler=make_scheduler(), labels=LABELS)
