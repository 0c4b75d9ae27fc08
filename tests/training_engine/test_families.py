"""What every family of image models keeps to, tried on random ones of a few thousand weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    DiffusionPipeline,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from torch import Tensor

from steelyard.inference.image_adapters import add_adapter, merge_adapters, save_adapter
from steelyard.inference.image_pipelines import KINDS, load_pipeline
from steelyard.inference.images import load_painter
from steelyard.lib.errors import UserError
from tests.tiny_diffusers import MAKERS, SIZE, make
from tests.tiny_pictures import make_picture_run, make_tiny_class_unet, metrics_of
from training.engine import diffusion
from training.engine.families import (
    FAMILIES,
    Discrete,
    Family,
    Flow,
    check_size,
    open_family,
)
from training.engine.families.image import pack, unpack

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")
PIPELINES = sorted(MAKERS)
ALL = ["class_unet", *PIPELINES]
PROMPTS = ("a cat", "one very small dog", "")
TOLD = {"stable_diffusion_3": 1000.0, "flux": 1.0, "qwen_image": 1.0, "sana": 1000.0}
"""What a pipeline tells its denoiser of a time, as a multiple of the share of noise."""


class Opened:
    """A family that has been through both phases, and what it made of prompts and a picture."""

    def __init__(self, name: str, source: Path) -> None:
        self.name, self.source = name, source
        family = open_family({"family": name, "source": str(source)}, CPU)
        side = family.size if family.fixed_size else SIZE
        check_size(family, side, side)
        chance = torch.Generator().manual_seed(5)
        self.pixels = torch.rand(family.channels, side, side, generator=chance) * 2 - 1
        prompts = PROMPTS if name != "class_unet" else ("a cat", "one dog", "")
        self.conditions = [family.encode_prompt(prompt) for prompt in prompts]
        self.moments = family.encode_media(self.pixels)
        self.denoiser = family.load_denoiser(torch.float32)
        self.family: Family = family
        shape = (3, *self.moments.mean.shape)
        self.noise = torch.randn(shape, generator=chance)
        self.clean = torch.stack([self.moments.mean] * 3)
        self.times = family.schedule.times(torch.tensor([0.2, 0.5, 0.8]))
        self.size = (side, side)

    def predict(self, denoiser: Any = None, rows: slice = slice(None)) -> Tensor:
        noisy = self.family.schedule.corrupt(self.clean, self.noise, self.times)
        return self.family.predict(
            denoiser or self.denoiser,
            noisy[rows],
            self.times[rows],
            self.family.collate(self.conditions[rows]),
            self.size,
        )

    def fresh(self) -> Any:
        """The denoiser as it lies on disk."""
        return open_family({"family": self.name, "source": str(self.source)}, CPU).load_denoiser(
            torch.float32
        )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Opened]:
    @cache
    def one(name: str) -> Opened:
        folder = tmp_path_factory.mktemp(name) / "m"
        made = make_tiny_class_unet(folder) if name == "class_unet" else make(name, folder)
        return Opened(name, made)

    return one


def pipeline(one: Opened) -> Any:
    loaded = DiffusionPipeline.from_pretrained(one.source)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def paint(pipe: Any, one: Opened, *, guidance: float, steps: int, **settings: Any) -> Any:
    name = "true_cfg_scale" if one.name == "qwen_image" else "guidance_scale"
    if one.name == "qwen_image" and guidance > 1:
        settings["negative_prompt"] = " "
    if one.name == "sana":
        settings |= {"use_resolution_binning": False, "clean_caption": False}
    return pipe(
        PROMPTS[0],
        height=SIZE,
        width=SIZE,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(3),
        **{name: guidance},
        **settings,
    ).images


def unpacked(pipe: Any, latents: Tensor) -> Tensor:
    if latents.ndim == 4:
        return latents
    found: Tensor = pipe._unpack_latents(latents, SIZE, SIZE, pipe.vae_scale_factor)
    return found[:, :, 0] if found.ndim == 5 else found


@pytest.mark.parametrize("name", ALL)
def test_an_adapter_starts_at_nothing_is_off_to_the_bit_and_alone_is_trained(
    opened: Callable[[str], Opened], name: str
) -> None:
    one = opened(name)
    # frozen weights are multiplied by other kernels than those that could be trained
    denoiser = one.fresh().requires_grad_(False)
    with torch.no_grad():
        before = one.predict(denoiser)
        add_adapter(denoiser, rank=2, alpha=4, targets=one.family.lora_targets)
        assert torch.equal(one.predict(denoiser), before)
    target = one.family.schedule.target(one.clean, one.noise, one.times)
    (one.predict(denoiser) - target).square().mean().backward()
    trained = {n: p for n, p in denoiser.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert all(p.grad is None for n, p in denoiser.named_parameters() if n not in trained)
    # A starts at random and B at zero, so the first gradient is B's alone
    assert any(bool(p.grad.abs().sum() > 0) for n, p in trained.items() if "lora_B" in n)
    _shake(denoiser)
    with torch.no_grad():
        assert not torch.equal(one.predict(denoiser), before)
        denoiser.disable_adapters()
        assert torch.equal(one.predict(denoiser), before)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_saved_adapter_says_the_same_in_the_pipeline(
    opened: Callable[[str], Opened], name: str, tmp_path: Path
) -> None:
    one = opened(name)
    denoiser = one.fresh()
    add_adapter(denoiser, rank=2, alpha=6, targets=one.family.lora_targets)
    _shake(denoiser)
    save_adapter(denoiser, tmp_path)
    with torch.no_grad():
        trained = one.predict(denoiser)
        pipe = pipeline(one)
        plain = one.predict(getattr(pipe, KINDS[name].part))
        pipe.load_lora_weights(str(tmp_path))
        read = one.predict(getattr(pipe, KINDS[name].part))
        merged = one.fresh()
        merge_adapters(merged, [str(tmp_path)])
        sunk = one.predict(merged)
    assert (trained - plain).abs().max() > 1e-3
    torch.testing.assert_close(read, trained, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sunk, trained, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_row_is_judged_alike_in_any_batch(opened: Callable[[str], Opened], name: str) -> None:
    """Prompts of different lengths stand side by side: what fills them up says nothing."""
    one = opened(name)
    with torch.no_grad():
        together = one.predict()
        for row in range(3):
            alone = one.predict(rows=slice(row, row + 1))
            torch.testing.assert_close(alone, together[row : row + 1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_denoiser_is_asked_as_the_pipeline_asks(
    opened: Callable[[str], Opened], name: str
) -> None:
    """With the prompt's words and with the ones that guidance starts from."""
    one, seen = opened(name), []
    pipe = pipeline(one)
    denoiser = getattr(pipe, KINDS[name].part)

    def note(module: Any, args: Any, given: dict[str, Any], said: Any) -> None:
        latents = args[0] if args else given["hidden_states"]
        told = args[1] if len(args) > 1 else given["timestep"]
        seen.append((unpacked(pipe, latents), torch.as_tensor(told), unpacked(pipe, said[0])))

    denoiser.register_forward_hook(note, with_kwargs=True)
    # guidance-distilled, it is trained as it would be painted with at 1
    paint(pipe, one, guidance=1.0 if name == "flux" else 4.0, steps=2, output_type="latent")
    words, nothing = one.conditions[0], one.conditions[2]
    latents, told, _ = seen[0]
    if name == "flux":
        asked = [(words, seen[0][2][0])]
    elif name == "qwen_image":
        asked = [(words, seen[0][2][0]), (nothing, seen[1][2][0])]
    else:
        asked = [(nothing, seen[0][2][0]), (words, seen[0][2][1])]
    time = told.reshape(-1)[:1].float()
    time = time / TOLD[name] if name in TOLD else time
    if name == "sana":
        time = time / denoiser.config.timestep_scale
    for condition, said in asked:
        with torch.no_grad():
            found = one.family.predict(
                one.denoiser, latents[:1], time, one.family.collate([condition]), (SIZE, SIZE)
            )
        torch.testing.assert_close(found[0], said, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_perfect_denoiser_has_no_error_and_paints_the_picture_that_was_encoded(
    opened: Callable[[str], Opened], name: str
) -> None:
    one = opened(name)
    pipe, schedule = pipeline(one), one.family.schedule
    clean = one.moments.mean[None]

    def perfect(*args: Any, **given: Any) -> Any:
        latents = args[0] if args else given["hidden_states"]
        told = torch.as_tensor(args[1] if len(args) > 1 else given["timestep"])
        wanted = pack(clean) if latents.ndim == 3 else clean
        time = told.reshape(-1).float().expand(len(latents))
        if isinstance(schedule, Discrete):
            kept = schedule.kept[time.long()].view(-1, 1, 1, 1)
            said = (latents - kept.sqrt() * wanted) / (1 - kept).sqrt()
        else:
            share = time / TOLD[name]
            said = (latents - wanted) / share.view(-1, *[1] * (latents.ndim - 1))
        return (said,)

    model = _Callable(perfect, one.denoiser.config)
    target = schedule.target(one.clean, one.noise, one.times)
    assert (one.predict(model) - target).square().mean() < 1e-9
    getattr(pipe, KINDS[name].part).forward = perfect
    shown = paint(pipe, one, guidance=1.0, steps=5, output_type="np")[0]
    with torch.no_grad():
        pixels = one.pixels[None, :, None] if name == "qwen_image" else one.pixels[None]
        found = pipe.vae.encode(pixels)
        latent = found.latent if name == "sana" else found.latent_dist.mean
        wanted = pipe.vae.decode(latent).sample
    wanted = (wanted[:, :, 0] if wanted.ndim == 5 else wanted)[0].permute(1, 2, 0)
    difference = torch.from_numpy(shown) - (wanted / 2 + 0.5).clamp(0, 1)
    # Sana's scheduler rounds the times that it tells
    assert difference.abs().max() < (1e-2 if name == "sana" else 1e-3)


@pytest.mark.parametrize("name", ALL)
def test_latents_have_the_spread_that_the_encoder_says(
    opened: Callable[[str], Opened], name: str
) -> None:
    moments = opened(name).moments
    assert moments.mean.dtype == moments.std.dtype == torch.float32
    assert moments.std.shape in {(), moments.mean.shape}
    drawn = moments.sample(torch.ones_like(moments.mean))
    torch.testing.assert_close(drawn - moments.mean, moments.std.expand(drawn.shape))


def test_weights_in_half_precision_answer_in_single(opened: Callable[[str], Opened]) -> None:
    for name in ALL:
        one = opened(name)
        family = open_family({"family": name, "source": str(one.source)}, CPU)
        denoiser = family.load_denoiser(torch.bfloat16)
        add_adapter(denoiser, rank=2, alpha=2, targets=family.lora_targets)
        assert {p.dtype for p in denoiser.parameters() if p.requires_grad} == {torch.float32}
        with torch.no_grad():
            said = one.predict(denoiser)
        assert said.dtype == torch.float32
        assert (said - one.predict()).abs().mean() < 0.1


def test_encoders_in_half_precision_leave_the_autoencoder_in_single(
    opened: Callable[[str], Opened],
) -> None:
    """As they are on a GPU."""
    one = opened("flux")
    half = load_pipeline(
        "flux",
        str(one.source),
        dtype=torch.bfloat16,
        vae_dtype=torch.float32,
        without=("transformer",),
    )
    assert half.text_encoder_2.dtype == half.text_encoder.dtype == torch.bfloat16
    assert half.vae.dtype == torch.float32
    # what they say of a prompt is kept as they say it, at half the size, and means the same
    family = open_family({"family": "flux", "source": str(one.source)}, CPU)
    family.encoders = half
    kept = family.encode_prompt(PROMPTS[0])
    assert {tensor.dtype for tensor in kept.values()} == {torch.bfloat16}
    wide = {name: tensor.float() for name, tensor in kept.items()}
    noisy = one.noise[:1]
    with torch.no_grad():
        said = [
            one.family.predict(
                one.denoiser, noisy, one.times[:1], one.family.collate([told]), one.size
            )
            for told in (kept, wide)
        ]
    assert torch.equal(*said)


@pytest.mark.parametrize("name", ["flux", "qwen_image", "stable_diffusion_xl"])
def test_a_run_starts_at_the_logarithm_of_two_and_keeps_an_adapter_that_paints(
    opened: Callable[[str], Opened], name: str, tmp_path: Path
) -> None:
    base = {"family": name, "source": str(opened(name).source), "modality": "image"}
    small = {"batch_size": 2, "lora_rank": 2, "learning_rate": 1e-2, "resolution": SIZE}
    rundir = make_picture_run(tmp_path, base, train=2, mode="RGB", max_steps=2, **small)
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    found = metrics_of(rundir)
    assert found[1]["loss"] == pytest.approx(log(2), abs=1e-6)
    assert found[2]["loss"] != found[1]["loss"]
    spec = {**base, "adapters": [str(rundir.model)]}
    asked: dict[str, Any] = {"seeds": [1], "sampling": {"steps": 1, "size": SIZE}}
    assert load_painter(spec).paint(["a cat"], **asked)[0].size == (SIZE, SIZE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
@pytest.mark.parametrize("name", PIPELINES)
def test_on_a_gpu_it_answers_and_paints_in_half_precision(
    opened: Callable[[str], Opened], name: str
) -> None:
    one, gpu = opened(name), torch.device("cuda")
    family = open_family({"family": name, "source": str(one.source)}, gpu)
    conditions = [family.encode_prompt(prompt) for prompt in PROMPTS]
    moments = family.encode_media(one.pixels)
    torch.testing.assert_close(moments.mean, one.moments.mean, atol=0.02, rtol=0.05)
    denoiser = family.load_denoiser(torch.bfloat16).to(gpu)
    noisy = one.family.schedule.corrupt(one.clean, one.noise, one.times).to(gpu)
    prompts = {key: value.to(gpu) for key, value in family.collate(conditions).items()}
    with torch.no_grad():
        said = family.predict(denoiser, noisy, one.times.to(gpu), prompts, one.size).cpu()
        assert (said - one.predict()).abs().mean() < 0.1
    spec = {"family": name, "source": str(one.source)}
    asked: dict[str, Any] = {"seeds": [1], "sampling": {"steps": 2, "size": SIZE}}
    assert load_painter(spec, "cuda").paint(["a cat"], **asked)[0].size == (SIZE, SIZE)


def test_a_prompt_that_is_cut_is_counted(opened: Callable[[str], Opened]) -> None:
    for name, longest in (("stable_diffusion", 14), ("stable_diffusion_3", 256)):
        family = open_family({"family": name, "source": str(opened(name).source)}, CPU)
        family.encode_prompt("a" * (longest // 2))
        assert family.cut == 0
        family.encode_prompt("a" * (longest + 10))
        assert family.cut == 1


def test_stable_diffusion_3_does_without_t5(tmp_path: Path) -> None:
    folder = make("stable_diffusion_3", tmp_path / "m", t5=False)
    family = open_family({"family": "stable_diffusion_3", "source": str(folder)}, CPU)
    found = family.encode_prompt("a cat")["embeds"]
    assert found[:16].abs().sum() > 0
    assert found[16:].abs().sum() == 0
    pipe = DiffusionPipeline.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
    with torch.inference_mode():
        wanted = pipe.encode_prompt("a cat", None, None, do_classifier_free_guidance=False)[0]
    torch.testing.assert_close(found, wanted[0])


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    shutil.copytree(make("sana", tmp_path / "s") / "transformer", tmp_path / "transformer")
    with pytest.raises(UserError, match="FluxPipeline") as error:
        open_family({"family": "sana", "source": str(tmp_path)}, CPU)
    assert error.value.code == "not_a_model"
    with pytest.raises(UserError, match="class_unet, stable_diffusion") as error:
        open_family({"family": "imported", "source": ""}, CPU)
    assert error.value.code == "cannot_train"


def test_a_relative_that_was_trained_with_other_noise_is_refused(
    opened: Callable[[str], Opened], tmp_path: Path
) -> None:
    folder = shutil.copytree(opened("stable_diffusion_xl").source, tmp_path / "m")
    EDMEulerScheduler().save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "EDMEulerScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="EDMEulerScheduler") as error:
        open_family({"family": "stable_diffusion_xl", "source": str(folder)}, CPU)
    assert error.value.code == "bad_scheduler"


def test_every_family_trains_what_it_says() -> None:
    assert set(ALL) < set(FAMILIES)


def test_sides_that_the_model_cannot_work_at_are_refused(
    opened: Callable[[str], Opened],
) -> None:
    check_size(opened("flux").family, 64, 36)
    for name, sides in (("flux", (64, 34)), ("class_unet", (16, 16))):
        with pytest.raises(UserError) as error:
            check_size(opened(name).family, *sides)
        assert error.value.code == "bad_resolution"


def test_tokens_become_latents_again() -> None:
    latents = torch.randn(2, 4, 6, 8)
    assert pack(latents).shape == (2, 12, 16)
    assert torch.equal(unpack(pack(latents), 6, 8), latents)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_discrete_noise_is_what_the_library_mixes_in(prediction: str) -> None:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", prediction_type=prediction)
    schedule = Discrete.of(scheduler)
    clean, noise = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    times = schedule.times(torch.tensor([0.0, 0.9999999]))
    assert times.tolist() == [0.0, 999.0]
    mixed = schedule.corrupt(clean, noise, times)
    torch.testing.assert_close(mixed, scheduler.add_noise(clean, noise, times.long()))
    if prediction == "v_prediction":
        wanted = scheduler.get_velocity(clean, noise, times.long())
        torch.testing.assert_close(schedule.target(clean, noise, times), wanted)


@pytest.mark.parametrize(
    "schedule",
    [
        Discrete(torch.linspace(0.9, 0.1, 10), "epsilon"),
        Discrete(torch.linspace(0.9, 0.1, 10), "v_prediction"),
        Flow(shift=3.0),
    ],
    ids=["epsilon", "v", "flow"],
)
def test_an_error_in_the_output_is_told_as_one_in_the_noise(schedule: Any) -> None:
    """A model that believes in another noise says what would be right for it: with the corrupted
    sample fixed, the clean one that it must then believe in follows."""
    clean, noise, wrong = torch.randn(3, 5, 2, 4, 4, dtype=torch.float64).unbind()
    times = schedule.times(torch.tensor([0.05, 0.3, 0.5, 0.7, 0.93]))
    mixed = schedule.corrupt(clean, noise, times)
    ones = torch.ones_like(clean)
    share = schedule.corrupt(torch.zeros_like(clean), ones, times)
    left = schedule.corrupt(ones, torch.zeros_like(clean), times)
    believed = (mixed - share * wrong) / left
    off = schedule.target(believed, wrong, times) - schedule.target(clean, noise, times)
    found = off.square().flatten(1).mean(1) * schedule.in_noise(times)
    torch.testing.assert_close(
        found, (wrong - noise).square().flatten(1).mean(1), rtol=1e-4, atol=1e-5
    )


def test_shares_of_noise_are_shifted_as_large_pictures_need_it() -> None:
    uniforms = torch.arange(1000) / 1000
    for schedule in (Flow(), Flow(shift=3.0)):
        times = schedule.times(uniforms)
        assert bool((times > 0).all() and (times < 1).all() and (times.diff() >= 0).all())
    assert Flow().times(torch.tensor([0.5])).item() == pytest.approx(0.5)
    assert Flow(shift=3.0).times(torch.tensor([0.5])).item() == pytest.approx(0.75)
    fixed = FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert Flow.of(fixed).shift == 3
    moving = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
    )
    moving.set_timesteps(sigmas=[0.5], mu=1.15)
    found = Flow.of(moving, tokens=4096).times(torch.tensor([0.5]))
    assert found.item() == pytest.approx(moving.sigmas[0].item(), abs=1e-4)


class _Callable:
    """A function with the attributes of a denoiser."""

    dtype = torch.float32

    def __init__(self, function: Callable[..., Any], config: Any) -> None:
        self.function, self.config = function, config

    def __call__(self, *args: Any, **given: Any) -> Any:
        return self.function(*args, **given)


def _shake(denoiser: Any) -> None:
    torch.manual_seed(7)
    for name, parameter in denoiser.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
