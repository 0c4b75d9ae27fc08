"""The demo's digit model and the pairs it paints."""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from tests import forked

pytestmark = pytest.mark.filterwarnings("ignore")


LIMIT = 9


def make_rundir(folder: Path) -> RunDir:
    rundir = RunDir(folder / "run")
    rundir.create(
        {"kind": "demo", "part": "digits", "limit": LIMIT, "models_dir": str(folder / "models")}
    )
    return rundir


def lines(rundir: RunDir, name: str = "outputs.jsonl") -> list[dict[str, Any]]:
    path = rundir.path / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """All of it, made in one go; its models lie beside it. To be read, not changed."""
    rundir = make_rundir(tmp_path_factory.mktemp("whole"))
    digits.make_digits(rundir, False)
    return rundir


@pytest.fixture
def taught(whole: RunDir, tmp_path: Path) -> RunDir:
    """A run that finds the models of another."""
    shutil.copytree(whole.path.parent / "models", tmp_path / "models")
    return make_rundir(tmp_path)


class After:
    """A stop that turns true at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __bool__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_it_works(whole: RunDir) -> None:
    counts = {"pairs": LIMIT, "held_out": LIMIT}
    assert whole.result() == {"status": "succeeded", "counts": counts}
    models = lines(whole, "models.jsonl")
    assert [(m["name"], m["family"], m["modality"]) for m in models] == [
        ("digit-unet", "class_unet", "image"),
        ("digit-unet-early", "class_unet", "image"),
    ]
    for model in models:
        assert model["options"]["sampling"]["steps"] > 1
        assert load_class_unet(model["source"]).size == 16
    pairs = [line for line in lines(whole) if not line["held_out"]]
    for pair in pairs:
        for side in "ab":
            picture = Image.open(whole.media / pair[side]["media"])
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


def test_held_out_prompts_have_no_pictures(whole: RunDir) -> None:
    held_out = [line for line in lines(whole) if line["held_out"]]
    assert len(held_out) == LIMIT
    assert all(set(line) == {"prompt", "category", "held_out"} for line in held_out)


def _everything(rundir: RunDir) -> dict[str, Any]:
    media = {path.name: path.read_bytes() for path in rundir.media.iterdir()}
    return {"lines": lines(rundir), "media": media}


def test_stopped_anywhere_it_goes_on_to_the_same_material(whole: RunDir, tmp_path: Path) -> None:
    rundir = make_rundir(tmp_path)
    starts = 0
    while rundir.result() is None:
        digits.make_digits(rundir, After(9))  # type: ignore[arg-type]
        starts += 1
    assert starts > 2
    assert _everything(rundir) == _everything(whole)
    assert len(lines(rundir, "models.jsonl")) == 2


class Held:
    """The engine, which goes no further than its first lines."""

    def __init__(self, command: forked.Command) -> None:
        self.command = command

    def __call__(self) -> None:
        plain = digits.append

        def append(rundir: RunDir, name: str, line: dict[str, Any]) -> None:
            plain(rundir, name, line)
            if name == digits.OUTPUTS and lines_begun(rundir) == digits.AT_A_TIME:
                time.sleep(600)

        digits.append = append
        self.command()


def test_killed_it_goes_on_to_the_same_material(whole: RunDir, taught: RunDir) -> None:
    command = forked.Command("steelyard.demo.engine", taught.path, os.environ)
    process = forked.Forked(Held(command), taught.log).go()
    while lines_begun(taught) < digits.AT_A_TIME and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with (taught.path / "outputs.jsonl").open("ab") as stream:
        stream.write(b'{"prompt": [{"ro')
    assert forked.Forked(command, taught.log).go().wait() == 0, taught.log_tail()
    assert _everything(taught) == _everything(whole)


def lines_begun(rundir: RunDir) -> int:
    path = rundir.path / "outputs.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_models_that_are_there_are_kept(taught: RunDir) -> None:
    def files() -> dict[Path, int]:
        models = Path(taught.spec()["models_dir"]).rglob("*")
        return {path: path.stat().st_mtime_ns for path in models if path.is_file()}

    before = files()
    digits.make_digits(taught, False)
    assert taught.result() is not None
    assert not (taught.path / "metrics.jsonl").exists()
    assert files() == before


def test_scans_are_dark_on_white() -> None:
    images, shown = digit_model.load_digits()
    assert tuple(images.shape) == (1797, 1, 16, 16)
    assert images[:, :, 0, 0].mean() > 0.9
    assert -1 <= images.min() < -0.9
    assert sorted(set(shown.tolist())) == list(range(10))
