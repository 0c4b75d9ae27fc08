"""What training may take for granted of every kind of video model, on models of random weights."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, LTXPipeline
from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift

from steelyard.inference.image_adapters import WEIGHTS, add_adapter, save_adapter
from steelyard.inference.sampling import Interrupted
from steelyard.inference.videos import encode, load_filmer
from steelyard.lib.errors import UserError
from tests.tiny_videos import tiny_cogvideox, tiny_hunyuan_video, tiny_ltx, tiny_wan
from training.engine.families import Moments, check_size, open_family

PROMPT = "a red square moves"
FRAMES, HEIGHT, WIDTH = 9, 32, 64
CPU = torch.device("cpu")
KINDS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "wan": ("wan", tiny_wan),
    "wan 2.2 14B": ("wan", lambda folder: tiny_wan(folder, experts=True)),
    "wan 2.2 5B": ("wan", lambda folder: tiny_wan(folder, per_token=True)),
    "cogvideox": ("cogvideox", tiny_cogvideox),
    "cogvideox 1.5": ("cogvideox", lambda folder: tiny_cogvideox(folder, patch_frames=2)),
    "ltx": ("ltx_video", tiny_ltx),
    "hunyuan": ("hunyuan_video", tiny_hunyuan_video),
}


@dataclass
class Opened:
    """A model that has gone through both phases."""

    kind: str
    folder: Path
    family: Any
    prompts: list[dict[str, torch.Tensor]]
    clip: Moments
    denoiser: Any
    pipeline: Any

    def predict(self, denoiser: Any, noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        prompts = self.family.collate([*self.prompts, *self.prompts][: len(noisy)])
        made: torch.Tensor = self.family.predict(denoiser, noisy, times, prompts, (HEIGHT, WIDTH))
        return made

    def noisy(self, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Corrupted samples, their times, noise and what they were."""
        chance = torch.Generator().manual_seed(5)
        noise = torch.randn(rows, *self.clip.mean.shape, generator=chance)
        clean = self.clip.sample(torch.randn(noise.shape, generator=chance))
        times = self.family.schedule.times(torch.linspace(0.2, 0.95, rows))
        return self.family.schedule.corrupt(clean, noise, times), times, noise, clean


@pytest.fixture(scope="module", params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    name, make = KINDS[request.param]
    folder = make(tmp_path_factory.mktemp("model") / "it")
    family = open_family({"family": name, "source": str(folder)}, CPU)
    prompts = [family.encode_prompt(PROMPT), family.encode_prompt("")]
    pixels = torch.rand(3, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    clip = family.encode_media(pixels * 2 - 1)
    denoiser = family.load_denoiser(torch.float32)
    return Opened(request.param, folder, family, prompts, clip, denoiser, pipeline_of(folder))


def pipeline_of(folder: Path) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def filmed(
    opened: Opened, pipeline: Any, steps: int = 2
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Latents at the start and after each step, as the pipeline has them."""
    seen: list[torch.Tensor] = []

    def look(_: Any, step: int, time: torch.Tensor, given: dict[str, Any]) -> dict[str, Any]:
        seen.append(given["latents"].clone())
        return {}

    shaped = packed(opened.kind, opened.clip.mean[None]).shape
    start = torch.randn(shaped, generator=torch.Generator().manual_seed(3))
    pipeline(
        PROMPT,
        **shape(),
        num_inference_steps=steps,
        latents=start,
        callback_on_step_end=look,
        **plain(pipeline),
    )
    return start, seen


def shape() -> dict[str, Any]:
    return {"height": HEIGHT, "width": WIDTH, "num_frames": FRAMES}


def plain(pipeline: Any) -> dict[str, Any]:
    """Unguided, and no pixels."""
    return {"guidance_scale": 1.0, "output_type": "latent"}


def unpacked(kind: str, latents: torch.Tensor) -> torch.Tensor:
    """In the order of a family: (items, channels, frames, height, width)."""
    if kind.startswith("cogvideox"):
        return latents.transpose(1, 2)
    return LTXPipeline._unpack_latents(latents, 2, 1, 2) if kind == "ltx" else latents


def packed(kind: str, latents: torch.Tensor) -> torch.Tensor:
    if kind.startswith("cogvideox"):
        return latents.transpose(1, 2)
    return LTXPipeline._pack_latents(latents) if kind == "ltx" else latents


def scheduler_of(kind: str, pipeline: Any, steps: int) -> Any:
    """The pipeline's own, set as the pipeline sets it."""
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    if kind == "ltx":
        shift = calculate_shift(4, 1024, 4096, 0.95, 2.05)
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=shift)
    elif kind == "hunyuan":
        scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1])
    else:
        scheduler.set_timesteps(steps)
    return scheduler


def time_of(opened: Opened, step: torch.Tensor) -> torch.Tensor:
    """A pipeline's timestep as the family's time."""
    return step.float()[None] / (1 if opened.family.schedule.prediction != "flow" else 1000)


def test_a_denoiser_is_asked_as_its_pipeline_asks_it(opened: Opened) -> None:
    """Packing, masks, padding, sign, scale of times, guidance and positions, to the bit."""
    pipeline = opened.pipeline
    start, seen = filmed(opened, pipeline)
    scheduler, latents = scheduler_of(opened.kind, pipeline, 2), start
    for step, expected in zip(scheduler.timesteps, seen, strict=True):
        with torch.no_grad():
            made = opened.predict(
                opened.denoiser, unpacked(opened.kind, latents), time_of(opened, step)
            )
        latents = scheduler.step(packed(opened.kind, made), step, latents, return_dict=False)[0]
        assert torch.equal(latents, expected)


def test_what_a_perfect_model_says_leads_the_scheduler_to_the_clip(opened: Opened) -> None:
    scheduler, schedule = scheduler_of(opened.kind, opened.pipeline, 4), opened.family.schedule
    _, _, noise, clean = opened.noisy(1)
    latents = noise
    for number, step in enumerate(scheduler.timesteps):
        time = time_of(opened, step)
        if number == 0:
            latents = schedule.corrupt(clean, noise, time)
        said = packed(opened.kind, schedule.target(clean, noise, time))
        latents = scheduler.step(said, step, packed(opened.kind, latents), return_dict=False)[0]
        latents = unpacked(opened.kind, latents)
    assert torch.allclose(latents, clean, atol=2e-2)


def test_the_latents_of_a_clip_are_what_the_pipeline_decodes(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put where the pipeline has its own after a step, they reach its decoder as the autoencoder
    gave them."""
    pipeline, vae = opened.pipeline, opened.pipeline.vae
    pixels = torch.rand(3, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    raw = vae.encode(pixels[None] * 2 - 1).latent_dist.mean
    decode, given = vae.decode, []

    def look(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        given.append(latents)
        return decode(latents, *args, **kwargs)

    monkeypatch.setattr(vae, "decode", look)
    latents = packed(opened.kind, opened.clip.mean[None])
    skip = {"callback_on_step_end": lambda *_: {"latents": latents}}
    pipeline(
        PROMPT,
        **shape(),
        num_inference_steps=2,
        guidance_scale=1.0,
        output_type="np",
        **skip,
    )
    assert torch.allclose(given[0], raw, atol=1e-4)
    assert opened.clip.std.shape == opened.clip.mean.shape
    assert (opened.clip.std > 0).all()


def test_training_starts_from_the_base_and_moves_the_adapter_alone(
    opened: Opened, tmp_path: Path
) -> None:
    # frozen weights and others go through different kernels, which differ in the last bits
    family, denoiser = opened.family, deepcopy(opened.denoiser).requires_grad_(False)
    noisy, times, noise, clean = opened.noisy(4)
    base = {name: tensor.clone() for name, tensor in denoiser.state_dict().items()}
    with torch.no_grad():
        before = opened.predict(denoiser, noisy, times)
    torch.manual_seed(0)
    add_adapter(denoiser, rank=2, alpha=4, targets=family.lora_targets)
    trained = {name: p for name, p in denoiser.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)

    with torch.no_grad():
        assert torch.equal(opened.predict(denoiser, noisy, times), before)
    made = opened.predict(denoiser, noisy, times)
    assert torch.allclose(made, before, atol=1e-5)
    off = (made - family.schedule.target(clean, noise, times)).square().flatten(1).mean(1)
    off = off * family.schedule.in_noise(times)
    reference = off.detach()  # a pass without gradients may differ in its last bits
    chosen, rejected = (off - reference).chunk(2)
    loss = -torch.nn.functional.logsigmoid(-500 * (chosen - rejected)).mean()
    assert loss.item() == pytest.approx(log(2), abs=1e-6)
    loss.backward()
    assert all(p.grad is None for n, p in denoiser.named_parameters() if n not in trained)
    moved = {n for n, p in trained.items() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any("lora_B" in name for name in moved)
    if opened.kind == "wan 2.2 14B":
        assert {name.split(".")[0] for name in moved} == {"transformer", "transformer_2"}

    with torch.no_grad():
        for number, parameter in enumerate(trained.values()):
            chance = torch.Generator().manual_seed(number)
            parameter.copy_(torch.randn(parameter.shape, generator=chance) * 0.2)
        changed = opened.predict(denoiser, noisy, times)
        denoiser.disable_adapters()
        assert torch.equal(opened.predict(denoiser, noisy, times), before)
        denoiser.enable_adapters()
        assert torch.equal(opened.predict(denoiser, noisy, times), changed)
    assert not torch.allclose(changed, before, atol=1e-4)
    plain_names = {name.replace(".base_layer", ""): t for name, t in denoiser.state_dict().items()}
    assert all(torch.equal(plain_names[name], tensor) for name, tensor in base.items())

    save_adapter(denoiser, tmp_path / "adapter")
    pipeline = pipeline_of(opened.folder)
    pipeline.load_lora_weights(tmp_path / "adapter")
    if opened.kind == "wan 2.2 14B":
        pipeline.transformer_2.load_lora_adapter(
            tmp_path / "adapter", prefix="transformer_2", weight_name=WEIGHTS
        )
        own = type(denoiser)(pipeline.transformer, pipeline.transformer_2)
    else:
        own = pipeline.transformer
    with torch.no_grad():
        assert torch.allclose(opened.predict(own, noisy, times), changed, atol=1e-6)


def test_a_clip_is_told_the_same_whoever_is_beside_it_in_the_batch(opened: Opened) -> None:
    noisy, times, _, _ = opened.noisy(2)
    with torch.no_grad():
        together = opened.predict(opened.denoiser, noisy, times)
        alone = opened.predict(opened.denoiser, noisy[:1], times[:1])
    assert torch.allclose(together[:1], alone, atol=1e-5)


@pytest.mark.parametrize(
    "opened", ["wan 2.2 14B", "cogvideox 1.5", "ltx", "hunyuan"], indirect=True
)
def test_a_filmed_clip_is_the_same_whatever_else_is_filmed(opened: Opened) -> None:
    filmer = load_filmer({"family": opened.family.name, "source": str(opened.folder)})
    sampling = {"steps": 2, "guidance": 1, "frames": 9, "width": WIDTH, "height": HEIGHT, "fps": 6}
    both = filmer.film([PROMPT, PROMPT], seeds=[1, 2], sampling=sampling)
    assert filmer.film([PROMPT], seeds=[2], sampling=sampling) == both[1:]
    assert both[0] != both[1]
    with av.open(io.BytesIO(both[0])) as clip:
        stream = clip.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (WIDTH, HEIGHT, 6)
        assert len(list(clip.decode(stream))) == 9


def test_a_prompt_that_is_too_long_is_cut_and_counted(tmp_path: Path) -> None:
    family = open_family({"family": "wan", "source": str(tiny_wan(tmp_path))}, CPU)
    long = family.encode_prompt("red " * 600)
    assert len(long["embeds"]) == family.tokens
    family.encode_prompt("red")
    assert family.cut == 1
    with pytest.raises(UserError, match="multiples of 16"):
        check_size(family, 40, 64)


def test_clips_of_another_length_than_the_model_makes_are_refused(tmp_path: Path) -> None:
    filmer = load_filmer({"family": "ltx_video", "source": str(tiny_ltx(tmp_path))})
    for sampling, advice in [
        ({"frames": 10}, "Set it to 9"),
        ({"width": 100}, "multiple of 32"),
        ({"seconds": 3}, "knows no setting"),
        ({"steps": 1.5}, "whole number"),
    ]:
        with pytest.raises(UserError, match=advice) as refused:
            filmer.settings(sampling)
        assert refused.value.code == "bad_sampling"


def test_filming_stops_between_two_steps(tmp_path: Path) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 2

    filmer = load_filmer({"family": "ltx_video", "source": str(tiny_ltx(tmp_path))}, stop=stop)
    sampling = {"steps": 6, "frames": 9, "width": WIDTH, "height": HEIGHT}
    with pytest.raises(Interrupted):
        filmer.film([PROMPT], seeds=[1], sampling=sampling)
    assert len(asked) == 2


def test_a_model_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "WanImageToVideoPipeline"}))
    with pytest.raises(UserError, match="WanImageToVideoPipeline") as refused:
        open_family({"family": "wan", "source": str(folder)}, CPU)
    assert refused.value.code == "not_a_model"
    with pytest.raises(UserError, match="makes no clips"):
        load_filmer({"family": "stable_diffusion", "source": "x"})


def test_a_coded_clip_tells_nothing_of_its_maker() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 16, 32, 3), np.uint8)
    data = encode(frames, 8)
    assert data == encode(frames, 8)
    assert b"x264" not in data
    assert b"Lavf" not in data
    assert data.find(b"moov") < data.find(b"mdat")


def test_clips_beyond_the_positions_of_a_model_are_refused_before_they_are_encoded(
    tmp_path: Path,
) -> None:
    folder = tiny_cogvideox(tmp_path, patch_frames=2)
    family = open_family({"family": "cogvideox", "source": str(folder)}, CPU)
    with pytest.raises(UserError, match="beyond 64 x 64") as refused:
        family.encode_media(torch.zeros(3, 5, 48, 80))
    assert (refused.value.code, refused.value.field) == ("bad_resolution", "resolution")
