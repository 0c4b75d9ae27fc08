"""Painting: what a picture depends on, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from steelyard.inference.class_unet import Labels, load_class_unet
from steelyard.inference.image_adapters import (
    WEIGHTS,
    add_adapter,
    merge_adapters,
    save_adapter,
)
from steelyard.inference.image_pipelines import load_denoiser
from steelyard.inference.images import Sampling, load_painter
from steelyard.inference.pixels import fit_square, open_picture, to_picture, to_tensor
from steelyard.inference.prompts import picture_prompt
from steelyard.lib.errors import UserError
from tests.tiny_diffusers import MAKERS, make
from tests.tiny_pictures import (
    make_tiny_class_unet,
    noise_picture,
)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tiny_unet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make_tiny_class_unet(tmp_path_factory.mktemp("class-unet") / "m")
    return {"name": "tiny", "family": "class_unet", "source": str(folder)}


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make("stable_diffusion", tmp_path_factory.mktemp("sd") / "m", across=8)
    return {"name": "sd", "family": "stable_diffusion", "source": str(folder)}


@pytest.fixture(params=["tiny_unet", "tiny_sd"])
def spec(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.getfixturevalue(request.param)


def pixels(image: Image.Image) -> list[int]:
    return np.asarray(image).tolist()


def refusal(error: pytest.ExceptionInfo[UserError]) -> tuple[str, str]:
    return error.value.code, error.value.message


def test_it_works(tiny_unet: dict[str, Any]) -> None:
    painted = load_painter(tiny_unet).paint(["A cat.", "a DOG"], seeds=[1, 2], sampling={})
    assert [image.size for image in painted] == [(32, 32)] * 2
    assert pixels(painted[0]) != pixels(painted[1])


def test_a_picture_is_the_same_in_any_batch(spec: dict[str, Any]) -> None:
    painter, sampling = load_painter(spec), {"steps": 3, "guidance": 2}
    prompts = [["a cat", "a dog"][i % 2] for i in range(11)]
    together = painter.paint(prompts, seeds=list(range(11)), sampling=sampling)
    order = [10, 3, 0, 7]
    apart = painter.paint([prompts[i] for i in order], seeds=order, sampling=sampling)
    alone = painter.paint([prompts[9]], seeds=[9], sampling=sampling)
    assert [pixels(image) for image in apart] == [pixels(together[i]) for i in order]
    assert pixels(alone[0]) == pixels(together[9])


@pytest.mark.parametrize("family", sorted(MAKERS.keys() - {"stable_diffusion"}))
def test_every_pipeline_paints_by_prompt_and_seed_alone(family: str, tmp_path: Path) -> None:
    source = make(family, tmp_path / "m")
    spec = {"name": family, "family": family, "source": str(source)}
    painter = load_painter(spec)
    assert painter.multiple in {2, 4, 32}
    asked = {"steps": 2, "size": 32}
    prompts, seeds = ["a cat", "one dog", "a cat"], [1, 1, 2]
    together = painter.paint(prompts, seeds=seeds, sampling=asked)
    assert [picture.size for picture in together] == [(32, 32)] * 3
    assert len({str(pixels(picture)) for picture in together}) == 3
    assert pixels(painter.paint(["a cat"], seeds=[2], sampling=asked)[0]) == pixels(together[2])
    with pytest.raises(UserError, match="multiple of") as error:
        painter.paint(["a cat"], seeds=[1], sampling={"size": 33})
    assert error.value.field == "size"
    (oblong,) = painter.paint(["a cat"], seeds=[1], sampling={"steps": 2, "width": 64, "size": 32})
    assert oblong.size == (64, 32)
    denoiser = load_denoiser(family, str(source), dtype=torch.float32)
    add_adapter(denoiser, rank=2, alpha=8, targets=["to_q", "to_v"])
    for name, parameter in denoiser.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_adapter(denoiser, tmp_path / "adapter")
    other = load_painter({**spec, "adapters": [str(tmp_path / "adapter")]})
    changed = other.paint(["a cat"], seeds=[2], sampling=asked)[0]
    assert pixels(changed) != pixels(together[2])


def test_a_flux_without_guidance_paints_in_few_steps(tmp_path: Path) -> None:
    for guidance, steps in ((True, 28), (False, 4)):
        source = make("flux", tmp_path / str(guidance), guidance=guidance)
        painter: Any = load_painter({"family": "flux", "source": str(source)})
        assert painter.DEFAULT.steps == steps


def test_another_seed_is_another_picture(spec: dict[str, Any]) -> None:
    first, second = load_painter(spec).paint(
        ["a cat", "a cat"], seeds=[1, 2], sampling={"steps": 2}
    )
    assert pixels(first) != pixels(second)


def test_nothing_asked_nothing_painted(spec: dict[str, Any]) -> None:
    assert load_painter(spec).paint([], seeds=[], sampling={}) == []


def test_as_many_seeds_as_prompts(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="zip"):
        load_painter(spec).paint(["a cat"], seeds=[], sampling={"steps": 1})


def test_the_models_own_sampling_is_overruled_by_the_callers(tiny_unet: dict[str, Any]) -> None:
    slow = load_painter({**tiny_unet, "sampling": {"steps": 4, "guidance": 1}})
    plain = load_painter(tiny_unet)
    asked: dict[str, Any] = {"prompts": ["a cat"], "seeds": [5]}
    own = slow.paint(**asked, sampling={})[0]
    assert pixels(own) == pixels(plain.paint(**asked, sampling={"steps": 4, "guidance": 1})[0])
    overruled = slow.paint(**asked, sampling={"steps": 2})[0]
    assert pixels(overruled) == pixels(
        plain.paint(**asked, sampling={"steps": 2, "guidance": 1})[0]
    )


def test_ddim_agrees_with_the_formula(tiny_unet: dict[str, Any]) -> None:
    """One step from the last timestep: the predicted clean picture, by hand."""
    model = load_class_unet(tiny_unet["source"])
    noise = torch.randn((1, 8, 8), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        predicted = model.unet(
            noise[None], torch.tensor(0), None, class_labels=torch.tensor([1])
        ).sample[0]
    share = model.scheduler.alphas_cumprod[0]
    clean = ((noise - (1 - share).sqrt() * predicted) / share.sqrt()).clamp(-1, 1)
    painted = load_painter(tiny_unet).paint(
        ["a dog"], seeds=[4], sampling={"steps": 1, "guidance": 1}
    )
    difference = np.abs(
        np.asarray(fit_square(painted[0], 8, 1), dtype=int)
        - np.asarray(to_picture(clean), dtype=int)
    )
    assert difference.max() <= 1


@pytest.mark.parametrize(
    ("sampling", "word"),
    [
        ({"steps": 0}, "from 1 to"),
        ({"steps": 2.5}, "whole number"),
        ({"guidance": -1}, "from 0 to"),
        ({"guidance": float("nan")}, "number"),
        ({"steps": "20"}, "whole number"),
        ({"size": 16}, "8 pixels"),
        ({"colour": 1}, "steps, guidance, size"),
    ],
)
def test_bad_sampling_is_refused(
    tiny_unet: dict[str, Any], sampling: dict[str, Any], word: str
) -> None:
    with pytest.raises(UserError) as error:
        load_painter(tiny_unet).paint(["a cat"], seeds=[1], sampling=sampling)
    code, message = refusal(error)
    assert code == "bad_sampling"
    assert word in message


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("A horse.", "unknown_label"),
        ("A cat and a dog.", "several_labels"),
        ("cats", "unknown_label"),
    ],
)
def test_a_prompt_must_name_one_label(tiny_unet: dict[str, Any], prompt: str, code: str) -> None:
    with pytest.raises(UserError) as error:
        load_painter(tiny_unet).paint([prompt], seeds=[1], sampling={})
    assert error.value.code == code
    assert prompt in error.value.message
    assert "cat" in error.value.message


def test_labels_are_words_in_any_case() -> None:
    labels = Labels([["cat", "kitten"], ["dog"]], empty=2)
    assert [labels.class_of(p) for p in ("", " ", "KITTEN!", "my (dog)")] == [2, 2, 0, 1]


def test_a_family_that_paints_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="class_unet, stable_diffusion, ") as error:
        load_painter({"name": "m", "family": "causal_lm", "source": "x"})
    assert error.value.code == "cannot_paint"


@pytest.mark.parametrize("family", ["class_unet", "stable_diffusion"])
def test_an_unknown_model_is_refused(family: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load_painter({"family": family, "source": str(tmp_path / "nothing")})
    assert "nothing" in error.value.message


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("labels.json", "[]", "labels.json"),
        ("labels.json", '{"labels": [["a"], ["b"], ["c"], ["d"]], "empty": 4}', "3 classes"),
        ("config.json", "{}", "could not be loaded"),
        ("diffusion_pytorch_model.safetensors", "junk", "broken"),
        ("diffusion_pytorch_model.safetensors", None, "safetensors"),
        ("scheduler/scheduler_config.json", None, "scheduler_config.json"),
    ],
)
def test_a_spoilt_folder_says_what_is_wrong(
    tiny_unet: dict[str, Any], tmp_path: Path, name: str, text: str | None, word: str
) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny_unet["source"], folder)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(UserError) as error:
        load_painter({**tiny_unet, "source": str(folder)})
    assert word in error.value.message


def test_another_kind_of_pipeline_is_refused(tiny_sd: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    with pytest.raises(UserError, match="StableDiffusionXLPipeline") as error:
        load_painter({**tiny_sd, "source": str(tmp_path)})
    assert error.value.code == "not_a_model"


def _adapter(source: str, folder: Path, seed: int) -> Path:
    """An adapter whose both halves are random, so that it changes what is painted."""
    unet = load_class_unet(source).unet
    torch.manual_seed(seed)
    add_adapter(unet, rank=2, alpha=6, targets=["to_q", "to_v", "conv1"])
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_adapter(unet, folder)
    return folder


def test_adapters_are_merged_by_the_formula(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    """W + alpha / rank * B A for each, the second on the result of the first."""
    from safetensors.torch import load_file

    folders = [_adapter(tiny_unet["source"], tmp_path / str(i), seed=i) for i in (1, 2)]
    before = load_class_unet(tiny_unet["source"]).unet.state_dict()
    merged = load_class_unet(tiny_unet["source"]).unet
    merge_adapters(merged, [str(folder) for folder in folders])
    after = merged.state_dict()
    assert after.keys() == before.keys()
    saved = [load_file(folder / WEIGHTS) for folder in folders]
    layers = sorted(key.removesuffix(".lora_A.weight") for key in saved[0] if "lora_A" in key)
    assert len(layers) > 4
    for layer in layers:
        weight = before[f"{layer.removeprefix('unet.')}.weight"]
        wanted = weight.clone()
        for tensors in saved:
            a, b = tensors[f"{layer}.lora_A.weight"], tensors[f"{layer}.lora_B.weight"]
            wanted += 3 * (b.flatten(1) @ a.flatten(1)).view_as(weight)
        torch.testing.assert_close(after[f"{layer.removeprefix('unet.')}.weight"], wanted)


def test_an_adapter_changes_what_is_painted(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    folder = _adapter(tiny_unet["source"], tmp_path / "a", seed=1)
    asked: dict[str, Any] = {"prompts": ["a cat"], "seeds": [1], "sampling": {"steps": 2}}
    with_it = load_painter({**tiny_unet, "adapters": [str(folder)]}).paint(**asked)
    assert pixels(with_it[0]) != pixels(load_painter(tiny_unet).paint(**asked)[0])


def test_a_missing_or_foreign_adapter_is_refused(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load_painter({**tiny_unet, "adapters": [str(tmp_path)]})
    assert error.value.code == "no_adapter"
    (tmp_path / WEIGHTS).write_text("junk")
    with pytest.raises(UserError) as error:
        load_painter({**tiny_unet, "adapters": [str(tmp_path)]})
    assert error.value.code == "bad_adapter"
    other = make("stable_diffusion", tmp_path / "sd", across=8) / "unet"
    unet = UNet2DConditionModel.from_pretrained(other)
    add_adapter(unet, rank=2, alpha=2, targets=["to_k"])
    save_adapter(unet, tmp_path)
    with pytest.raises(UserError) as error:
        load_painter({**tiny_unet, "adapters": [str(tmp_path)]})
    assert error.value.code == "bad_adapter"


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_an_enlarged_picture_comes_back_exactly(mode: str, channels: int) -> None:
    small = noise_picture(3, size=16, mode=mode)
    shown = to_picture(to_tensor(small), enlarge=8)
    assert shown.size == (128, 128)
    assert pixels(fit_square(shown, 16, channels)) == pixels(small)


@pytest.mark.parametrize("size", [(40, 25), (25, 40), (33, 16), (7, 5), (64, 48), (16, 16)])
def test_any_shape_becomes_the_middle_square(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "red")
    assert fit_square(picture, 16, 3).size == (16, 16)
    assert pixels(fit_square(picture, 16, 3))[8][8] == [255, 0, 0]


def test_what_is_transparent_becomes_white() -> None:
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert to_tensor(fit_square(picture, 8, 1)).unique().tolist() == [1.0]


def test_pixels_keep_their_values() -> None:
    picture = noise_picture(1, size=8, mode="RGB")
    assert pixels(to_picture(to_tensor(picture))) == pixels(picture)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("no picture")
    noise_picture(1).save(tmp_path / "whole.png")
    (tmp_path / "half").write_bytes((tmp_path / "whole.png").read_bytes()[:400])
    for name, code in (("abc", "bad_picture"), ("half", "bad_picture"), ("none", "no_picture")):
        with pytest.raises(UserError, match=name) as error:
            open_picture(tmp_path / name)
        assert error.value.code == code


def test_the_last_word_of_the_user_is_the_prompt() -> None:
    messages = [
        {"role": "system", "content": "You paint."},
        {"role": "user", "content": "a dog"},
        {"role": "assistant", "content": "(a picture)"},
        {"role": "user", "content": " a cat "},
    ]
    assert picture_prompt(messages) == "a cat"
    with pytest.raises(UserError):
        picture_prompt(messages[:1])


def test_who_asks_for_a_square_does_not_get_the_models_own_oblong() -> None:
    usual, own = Sampling(steps=3, guidance=2.0), {"width": 96, "height": 64}
    assert Sampling.of(usual, own).sides(32) == (96, 64)
    assert Sampling.of(usual, own, {"size": 48}).sides(32) == (48, 48)
    assert Sampling.of(usual, own, {"width": 16}).sides(32) == (16, 64)
    assert Sampling.of(usual, {"height": 16}).sides(32) == (32, 16)
    assert Sampling.of(usual).told() == {"steps": 3, "guidance": 2.0, "size": 0}
