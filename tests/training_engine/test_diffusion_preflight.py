"""Before a run on pictures starts, files, shapes, prompts, cache and machine are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from steelyard.inference.shapes import rule_of
from steelyard.lib.rundir import RunDir
from tests import tiny_diffusers
from tests.tiny_pictures import (
    make_picture_run,
    make_record,
    make_tiny_class_unet,
    noise_picture,
    save_picture,
    write_picture_run,
)
from tests.tiny_videos import tiny_ltx, tiny_wan
from training.engine import diffusion, diffusion_preflight, preflight
from training.engine.config import config_of_run
from training.engine.diffusion_data import read_pairs
from training.engine.diffusion_geometry import geometry_of, reader_of
from training.engine.diffusion_media import Place
from training.engine.diffusion_prepared import Prepared
from training.engine.families import open_family
from training.engine.preflight_machine import Machine

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tiny_unet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make_tiny_class_unet(tmp_path_factory.mktemp("class-unet") / "m")
    return {"family": "class_unet", "source": str(folder), "modality": "image"}


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tiny_diffusers.make("stable_diffusion", tmp_path_factory.mktemp("sd") / "m", across=8)
    return {"family": "stable_diffusion", "source": str(folder), "modality": "image"}


SAID = ("name", "modality", "size", "channels", "multiple", "frame_rule", "fixed_size")


def looked(rundir: RunDir) -> dict[str, Any]:
    preflight.check(rundir, False)  # type: ignore[arg-type]
    result = rundir.result()
    assert result is not None
    report: dict[str, Any] = result["report"]
    return {**report, "by": {one["code"]: one for one in report["findings"]}}


def rows_in(finding: dict[str, Any]) -> list[int]:
    return [row["number"] for row in finding["rows"]]


def test_what_becomes_of_each_file_and_prompt_is_told(
    tiny_sd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # however much the tests beside it leave free
    roomy = Machine("cpu", 1e11, 0)
    monkeypatch.setattr(diffusion_preflight, "machine_of", lambda settings: roomy)
    media = tmp_path / "media"
    photo = Image.fromarray(load_sample_image("china.jpg"))
    square, wide, clear = photo.crop((0, 0, 64, 64)), photo.crop((0, 0, 96, 40)), photo.convert("L")
    clear = clear.crop((0, 0, 64, 64)).convert("RGBA")
    clear.putalpha(9)
    names = [save_picture(media, p) for p in (square, wide, clear, noise_picture(3))]
    tiny = [save_picture(media, noise_picture(i, size=5)) for i in (7, 8)]
    broken = save_picture(media, noise_picture(9))
    (media / broken).write_bytes((media / broken).read_bytes()[:200])
    records = [
        make_record(0, names[0], names[1]),
        make_record(1, names[2], names[0], prompt="a very long prompt " * 5),
        make_record(2, names[0], broken),
        make_record(3, names[1], names[3], outcome="tie"),
        make_record(4, *tiny, split="test"),
    ]
    rundir = write_picture_run(tmp_path, tiny_sd, records, max_steps=5, random_flip=True)
    report = looked(rundir)
    by = report["by"]
    assert report["level"] == "look"
    assert by["no_winner"]["values"]["ties"] == "1"
    assert rows_in(by["unreadable"]) == [3]
    assert "cannot be decoded" in by["unreadable"]["text"]
    assert by["odd_files"]["values"]["told"] == "1 transparent"
    assert rows_in(by["sides_differ"]) == [1]
    assert rows_in(by["enlarged"]) == [5]
    assert rows_in(by["prompts_cut"]) == [2]
    assert by["shapes"]["values"]["shapes"] == "16 x 16 (2), 20 x 12 (1)"
    assert by["encoded"]["values"] == {"known": "0", "files": "6", "there": "0", "prompts": "3"}
    assert by["steps"]["values"]["epochs"] == "5"
    assert {"memory", "disk", "passes", "time_unknown", "cpu_only"} <= by.keys()
    # 4 channels of 8 x 8 latents
    assert by["beta_units"]["values"] == {"beta": "2000", "elements": "256", "sum": "7.81"}
    # a run leaves behind what the next look finds
    spec = rundir.spec()
    family, config = open_family(spec["base"], torch.device("cpu")), config_of_run(spec)
    dataset = read_pairs(rundir, spec, config, "image")
    assert Prepared.open(rundir, family, dataset, config) is not None
    told = looked(rundir)["by"]["encoded"]["values"]
    assert told == {"known": "6", "files": "6", "there": "3", "prompts": "3"}


@pytest.mark.parametrize(
    ("change", "config", "code"),
    [
        ({"prompt": "A horse."}, {}, "prompts_unknown"),
        ({}, {"resolution": 16}, "bad_size"),
        ({"modality": "text"}, {}, "bad_rows"),
        ({"outcome": "tie"}, {}, "bad_rows"),
    ],
)
def test_what_would_stop_the_run_is_found(
    tiny_unet: Any, tmp_path: Path, change: dict[str, Any], config: dict[str, Any], code: str
) -> None:
    names = [save_picture(tmp_path / "media", noise_picture(i)) for i in range(2)]
    rundir = write_picture_run(tmp_path, tiny_unet, [make_record(0, *names, **change)], **config)
    report = looked(rundir)
    assert (report["level"], report["by"][code]["level"]) == ("stop", "stop")
    if code == "bad_size":
        assert report["by"][code]["remedies"][0]["set"] == {"resolution": 0}


def test_what_the_frozen_model_said_in_a_run_is_found_before_the_next(
    tiny_unet: Any, tmp_path: Path
) -> None:
    settings = {"max_steps": 3, "batch_size": 2, "reference_draws": 2, "lora_rank": 2}
    first = make_picture_run(tmp_path / "a", tiny_unet, train=4, **settings)
    first.create({**first.spec(), "cache": str(tmp_path / "cache")})
    assert looked(first)["by"]["passes"]["values"]["asked"] == "8"
    (first.path / "result.json").unlink()
    diffusion.train(first, False)  # type: ignore[arg-type]
    again = make_picture_run(
        tmp_path / "b", tiny_unet, train=4, **{**settings, "beta": 9.0, "learning_rate": 1e-3}
    )
    again.create({**again.spec(), "cache": str(tmp_path / "cache")})
    by = looked(again)["by"]
    assert by["errors_known"]["values"] == {"known": "8", "wanted": "8"}
    told = {"encode": "0", "asked": "0", "steps": "3", "pairs": "6"}
    assert by["passes"]["values"] == told
    assert by["encoded"]["values"]["known"] == "8"


def test_files_that_are_gone_stop_it(tiny_unet: Any, tmp_path: Path) -> None:
    rundir = write_picture_run(tmp_path, tiny_unet, [make_record(0, "x", "y")])
    rundir.create({**rundir.spec(), "media_lost": 2})
    assert {"media_lost", "no_files"} <= looked(rundir)["by"].keys()


def test_a_loss_without_what_it_learns_from_is_told(tiny_unet: Any, tmp_path: Path) -> None:
    names = [save_picture(tmp_path / "media", noise_picture(i)) for i in range(2)]
    rundir = write_picture_run(
        tmp_path, tiny_unet, [make_record(0, *names)], loss_type="masked", max_steps=1
    )
    finding = looked(rundir)["by"]["without_masked"]
    assert rows_in(finding) == [1]
    assert finding["remedies"][0]["set"] == {"loss_type": "dpo"}


def test_settings_say_of_a_model_what_it_says_once_it_is_loaded(
    tiny_unet: Any, tiny_sd: Any, tmp_path: Path
) -> None:
    clips = {"wan": tiny_wan, "ltx_video": tiny_ltx}
    made = [{"family": name, "source": str(make(tmp_path / name))} for name, make in clips.items()]
    packed = tiny_diffusers.make("flux", tmp_path / "flux")
    made.append({"family": "flux", "source": str(packed)})
    for base in (tiny_unet, tiny_sd, *made):
        family = open_family(base, torch.device("cpu"))
        told = geometry_of(base["family"], Path(base["source"]))
        assert {name: getattr(told, name) for name in SAID} == {
            name: getattr(family, name) for name in SAID
        }
        rule = rule_of(base["family"], base["source"])
        assert rule is not None
        assert rule.multiple == family.multiple
        assert (rule.every, rule.only) == (
            family.frame_rule[0],
            family.size if family.fixed_size else 0,
        )
        if base["family"] in ("flux", "wan", "ltx_video"):
            read = reader_of(base["family"], Path(base["source"]))("a red square")
            kept = family.encode_prompt("a red square")["embeds"]
            assert told.prompt_bytes(read.tokens, "cpu") == kept.nbytes > 0
        side = family.size if family.fixed_size else 2 * family.multiple
        place = Place(side, side, 1 + 2 * family.frame_rule[0])
        clip = family.modality == "video"
        pixels = (family.channels, *((place.frames,) if clip else ()), side, side)
        shape = family.encode_media(torch.zeros(pixels)).mean.shape
        assert told.latent(place) == (shape[0], *(() if clip else (1,)), *shape[1:])
