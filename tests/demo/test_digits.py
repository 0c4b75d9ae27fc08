"""The demo's digit model and the pairs it paints."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steelyard.demo.engine import digit_model, digits
from steelyard.inference.class_unet import load_class_unet
from steelyard.inference.pixels import fit_square
from steelyard.lib.rundir import RunDir

pytestmark = pytest.mark.filterwarnings("ignore")


def make_rundir(folder: Path, limit: int = 4) -> RunDir:
    rundir = RunDir(folder / "run")
    rundir.create(
        {"kind": "demo", "part": "digits", "limit": limit, "models_dir": str(folder / "models")}
    )
    return rundir


def lines(rundir: RunDir, name: str = "outputs.jsonl") -> list[dict[str, Any]]:
    path = rundir.path / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def made(folder: Path, limit: int = 4, stop: object = False) -> RunDir:
    rundir = make_rundir(folder, limit)
    digits.make_digits(rundir, stop)  # type: ignore[arg-type]
    return rundir


class After:
    """A stop that turns true at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __bool__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_it_works(tmp_path: Path) -> None:
    rundir = made(tmp_path)
    assert rundir.result() == {"status": "succeeded", "counts": {"pairs": 4, "held_out": 4}}
    models = lines(rundir, "models.jsonl")
    assert [(m["name"], m["family"], m["modality"]) for m in models] == [
        ("digit-unet", "class_unet", "image"),
        ("digit-unet-early", "class_unet", "image"),
    ]
    for model in models:
        assert model["options"]["sampling"]["steps"] > 1
        assert load_class_unet(model["source"]).size == 16
    pairs = [line for line in lines(rundir) if not line["held_out"]]
    for pair in pairs:
        for side in "ab":
            picture = Image.open(rundir.media / pair[side]["media"])
            assert (picture.format, picture.size) == ("PNG", (128, 128))
            small = fit_square(picture, 16, 1).resize((128, 128), Image.Resampling.NEAREST)
            assert np.array_equal(np.asarray(small), np.asarray(picture))
        assert pair["a"]["seed"] != pair["b"]["seed"]
    assert {p[s]["model"] for p in pairs for s in "ab"} == {"digit-unet", "digit-unet-early"}


def test_enough_is_asked_and_nothing_twice() -> None:
    asks = digits.prompts(None)
    assert sum(not ask.held_out for ask in asks) >= 24
    assert sum(ask.held_out for ask in asks) >= 20
    assert len({ask.text for ask in asks}) == len(asks)
    for ask in asks:
        assert digit_model.LABELS.class_of(ask.text) == int(ask.digit)


def test_held_out_prompts_have_no_pictures(tmp_path: Path) -> None:
    held_out = [line for line in lines(made(tmp_path)) if line["held_out"]]
    assert len(held_out) == 4
    assert all(set(line) == {"prompt", "category", "held_out"} for line in held_out)


def _everything(rundir: RunDir) -> dict[str, Any]:
    media = {path.name: path.read_bytes() for path in rundir.media.iterdir()}
    return {"lines": lines(rundir), "media": media}


def test_stopped_anywhere_it_goes_on_to_the_same_material(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole", limit=6)
    rundir = make_rundir(tmp_path / "cut", limit=6)
    starts = 0
    while rundir.result() is None:
        digits.make_digits(rundir, After(9))  # type: ignore[arg-type]
        starts += 1
    assert starts > 2
    assert _everything(rundir) == _everything(whole)
    assert len(lines(rundir, "models.jsonl")) == 2


def test_killed_it_goes_on_to_the_same_material(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole", limit=9)
    rundir = make_rundir(tmp_path / "cut", limit=9)
    command = [sys.executable, "-m", "steelyard.demo.engine", str(rundir.path)]
    process = subprocess.Popen(command)
    while not lines_begun(rundir) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with (rundir.path / "outputs.jsonl").open("ab") as stream:
        stream.write(b'{"prompt": [{"ro')
    subprocess.run(command, check=True)
    assert _everything(rundir) == _everything(whole)


def lines_begun(rundir: RunDir) -> bool:
    return (rundir.path / "outputs.jsonl").exists()


def test_models_that_are_there_are_kept(tmp_path: Path) -> None:
    made(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "models").rglob("*") if p.is_file()}
    second = make_rundir(tmp_path / "second")
    spec = {**second.spec(), "models_dir": str(tmp_path / "models")}
    second.create(spec)
    digits.make_digits(second, False)  # type: ignore[arg-type]
    assert second.result() is not None
    assert not (second.path / "metrics.jsonl").exists()
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "models").rglob("*") if p.is_file()}
    assert after == before


def test_scans_are_dark_on_white() -> None:
    images, shown = digit_model.load_digits()
    assert tuple(images.shape) == (1797, 1, 16, 16)
    assert images[:, :, 0, 0].mean() > 0.9
    assert -1 <= images.min() < -0.9
    assert sorted(set(shown.tolist())) == list(range(10))
