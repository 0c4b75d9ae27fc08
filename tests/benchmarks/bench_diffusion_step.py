"""How fast and how large is a step of Diffusion-DPO, against the plain recipe of public scripts?

    python tests/benchmarks/bench_diffusion_step.py
    python tests/benchmarks/bench_diffusion_step.py --size sd15 --device cuda --resolution 512

Both sides train the same adapter (rank 8 on attention) of the same network with random weights on
the same pairs; ``sd15`` is Stable Diffusion 1.5's true architecture. On a CPU all is float32 on one
thread and CPU seconds count; on a GPU the frozen weights are bfloat16 and seconds of the wall do.

plain       what public scripts do, written out here: pictures and prompts through their encoders
            at every step, the reference live with the adapter off, gradient checkpointing
latents     the engine with cached latents and prompts, its reference live, gradient checkpointing
references  the same with prepared draws, whose reference errors are cached
all         the same without gradient checkpointing, for which the memory is free by now

What the engine does once and keeps for all runs (encoding; each reference draw) is told apart, in
seconds a pair.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch import Tensor

from steelyard.lib.hashing import stable_int

STAGES = ("plain", "latents", "references", "all")
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        "unet": {"block_out_channels": (64, 128, 192, 192), "cross_attention_dim": 256},
        "vae": (32, 64, 128, 128),
        "clip": (256, 4, 4),
    },
    "sd15": {
        "unet": {"cross_attention_dim": 768},
        "vae": (128, 256, 512, 512),
        "clip": (768, 12, 12),
    },
}
TOKENS = 77
RATE, BETA = 1e-5, 2000.0


class Parts:
    """Encoders and denoiser with random weights, the same in each process."""

    def __init__(self, size: str, device: torch.device) -> None:
        from diffusers import AutoencoderKL
        from transformers import CLIPTextConfig, CLIPTextModel

        self.shape, self.device = SHAPES[size], device
        torch.manual_seed(0)
        width, layers, heads = self.shape["clip"]
        with device:
            self.vae = AutoencoderKL(
                block_out_channels=self.shape["vae"],
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                latent_channels=4,
            )
            self.clip = CLIPTextModel(
                CLIPTextConfig(
                    hidden_size=width,
                    intermediate_size=4 * width,
                    num_hidden_layers=layers,
                    num_attention_heads=heads,
                    projection_dim=width,
                )
            )
        # the plain recipe never decodes either
        self.vae.decoder = None
        for part in (self.vae, self.clip):
            part.requires_grad_(False).eval()

    def unet(self) -> Any:
        from diffusers import UNet2DConditionModel

        torch.manual_seed(1)
        with self.device:
            return UNet2DConditionModel(
                sample_size=64, attention_head_dim=8, **self.shape["unet"]
            ).eval()

    def tokens(self, prompt: str) -> Tensor:
        drawn = [stable_int(prompt, place) % 49000 for place in range(TOKENS)]
        return torch.tensor([drawn], device=self.device)


def schedule() -> Any:
    from diffusers import DDPMScheduler

    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


class RandomFamily:
    """These parts as the trainer asks for them."""

    name, modality, channels, multiple = "random_sd", "image", 3, 8
    frame_rule, fixed_size, cut = (0, 1), False, 0
    lora_targets = TARGETS

    def __init__(self, size: str, device: torch.device, resolution: int) -> None:
        self.parts, self.size = Parts(size, device), resolution

    @torch.inference_mode()
    def encode_prompt(self, prompt: str) -> dict[str, Tensor]:
        return {"embeds": self.parts.clip(self.parts.tokens(prompt))[0][0].cpu()}

    @torch.inference_mode()
    def encode_media(self, pixels: Tensor) -> Any:
        from training.engine.families import Moments

        found = self.parts.vae.encode(pixels[None].to(self.parts.device)).latent_dist
        return Moments((found.mean[0] * 0.18215).cpu(), (found.std[0] * 0.18215).cpu())

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        from training.engine.families import Discrete

        self.schedule = Discrete.of(schedule())
        del self.parts.vae, self.parts.clip
        if self.parts.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.parts.unet().to(dtype)

    def collate(self, conditions: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        from training.engine.families.base import stack

        return stack(conditions)

    def predict(
        self, denoiser: Any, noisy: Tensor, times: Tensor, prompts: dict[str, Tensor], size: Any
    ) -> Tensor:
        dtype = denoiser.dtype
        embeds = prompts["embeds"].to(dtype)
        return denoiser(noisy.to(dtype), times.long(), embeds).sample.float()

    def expert(self, times: Tensor) -> None:
        return None


class Clock:
    """Seconds of each step but the first, and the most memory that was in use."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu, self.steps = device.type == "cuda", []

    def now(self) -> float:
        if not self.on_gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def timed(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            began = self.now()
            if self.on_gpu and not self.steps:
                torch.cuda.reset_peak_memory_stats()
            made = step(*given, **named)
            self.steps.append(self.now() - began)
            return made

        return run

    def told(self, pairs: int, **more: float) -> dict[str, float]:
        used = (
            torch.cuda.max_memory_allocated() / 2**30
            if self.on_gpu
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        )
        return {"pairs_per_second": pairs / median(self.steps[1:]), "gib": used, **more}


def plain(given: argparse.Namespace, folder: Path) -> dict[str, float]:
    """The public recipe: everything frozen is in memory and asked at each step."""
    from peft import LoraConfig

    from steelyard.inference.pixels import fit_square, open_picture, to_tensor

    device = torch.device(given.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    parts, kept = Parts(given.size, device), schedule().alphas_cumprod.to(device)
    vae, clip, unet = parts.vae.to(dtype), parts.clip.to(dtype), parts.unet().to(dtype)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=list(TARGETS)))
    trained = [p for p in unet.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=1e-2)
    names = sorted(path for path in folder.iterdir())

    def errors(noisy: Tensor, noise: Tensor, times: Tensor, embeds: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=device.type == "cuda"):
            output = unet(noisy, times, embeds).sample
        return (output.float() - noise.float()).square().flatten(1).mean(1)

    def step(number: int) -> None:
        pairs = [(number * given.pairs + n) % (len(names) // 2) for n in range(given.pairs)]
        files = [names[2 * n] for n in pairs] + [names[2 * n + 1] for n in pairs]
        pixels = torch.stack(
            [to_tensor(fit_square(open_picture(path), given.resolution, 3)) for path in files]
        ).to(device, dtype)
        with torch.no_grad():
            latents = vae.encode(pixels).latent_dist.sample() * 0.18215
            tokens = torch.cat([parts.tokens(f"prompt {n}") for n in pairs])
            embeds = clip(tokens)[0].repeat(2, 1, 1)
        noise = torch.randn_like(latents).chunk(2)[0].repeat(2, 1, 1, 1)
        times = torch.randint(0, len(kept), (given.pairs,), device=device).repeat(2)
        share = kept[times].view(-1, 1, 1, 1)
        noisy = (share.sqrt() * latents + (1 - share).sqrt() * noise).to(dtype)
        now = errors(noisy, noise, times, embeds).chunk(2)
        unet.disable_adapters()
        with torch.no_grad():
            before = errors(noisy, noise, times, embeds).chunk(2)
        unet.enable_adapters()
        inside = -0.5 * BETA * ((now[0] - now[1]) - (before[0] - before[1]))
        loss = -torch.nn.functional.logsigmoid(inside).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        loss.item()

    clock = Clock(device)
    timed = clock.timed(step)
    for number in range(given.steps + 1):
        timed(number)
    return clock.told(given.pairs)


def engine(given: argparse.Namespace, folder: Path, stage: str) -> dict[str, float]:
    """The trainer itself on a run's folder."""
    from tests.tiny_pictures import make_record, write_picture_run
    from training.engine import diffusion

    names = sorted(path.name for path in folder.iterdir())
    records = [
        make_record(n, names[2 * n], names[2 * n + 1], prompt=f"prompt {n}")
        for n in range(len(names) // 2)
    ]
    run = Path(tempfile.mkdtemp(dir=folder.parent))
    rundir = write_picture_run(
        run,
        {"family": "random_sd", "source": f"{given.size}-of-random-weights"},
        records,
        device=given.device,
        resolution=given.resolution,
        batch_size=given.pairs,
        max_steps=given.steps + 1,
        learning_rate=RATE,
        beta=BETA,
        weight_decay=0.01,
        gradient_checkpointing=stage != "all",
        reference_draws=0 if stage == "latents" else 1,
        channels_last=given.channels_last,
        compile=given.compile,
        checkpoint_every=10_000,
    )
    rundir.media.rmdir()
    rundir.media.symlink_to(folder)
    device = torch.device(given.device)
    diffusion.open_family = lambda *_: RandomFamily(given.size, device, given.resolution)
    clock, once = Clock(device), Clock(device)
    diffusion._step = clock.timed(diffusion._step)
    diffusion.Prepared.open = once.timed(diffusion.Prepared.open)
    diffusion._prepare_references = once.timed(diffusion._prepare_references)
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    encoding, asking = (seconds / len(records) for seconds in once.steps)
    more = {"encoding": encoding} | ({"reference": asking} if stage != "latents" else {})
    return clock.told(given.pairs, **more)


def make_pictures(folder: Path, count: int, side: int) -> None:
    from tests.tiny_pictures import noise_picture, save_picture

    for number in range(2 * count):
        save_picture(folder, noise_picture(number, size=side, mode="RGB"))


def ask(stage: str, given: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One stage in a process of its own, so that its memory is its own."""
    told = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in vars(given).items()
        if name not in ("size", "stage", "folder", "channels_last", "compile")
    ]
    flags = [f"--{n.replace('_', '-')}" for n in ("channels_last", "compile") if getattr(given, n)]
    command = [sys.executable, __file__, *told, *flags, "--size", given.size, "--stage", stage]
    done = subprocess.run(
        [*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def tell(found: dict[str, dict[str, float]]) -> str:
    base = found["plain"]
    lines = ["  stage        pairs a second     gain   GiB   once, seconds a pair"]
    for stage, one in found.items():
        once = ", ".join(f"{n} {one[n]:.2f}" for n in ("encoding", "reference") if n in one)
        gain = one["pairs_per_second"] / base["pairs_per_second"]
        lines.append(
            f"  {stage:12} {one['pairs_per_second']:13.4f} {gain:8.2f} x {one['gib']:6.2f}   {once}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=2, help="a step")
    parser.add_argument("--steps", type=int, default=3, help="that are timed")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.stage:
        (given.size,) = given.size
        found = (
            plain(given, given.folder)
            if given.stage == "plain"
            else engine(given, given.folder, given.stage)
        )
        print(json.dumps(found))  # noqa: T201
        return
    for size in given.size:
        with tempfile.TemporaryDirectory() as folder:
            media = Path(folder) / "media"
            make_pictures(media, given.pairs * (given.steps + 1), given.resolution)
            one = argparse.Namespace(**{**vars(given), "size": size})
            found = {stage: ask(stage, one, media) for stage in STAGES}
        told = f"{size}, {given.resolution} pixels, {given.pairs} pairs a step, {given.device}"
        print(f"{told}\n{tell(found)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
