"""What the recipes do on a GPU; skipped where there is none.

Nothing here needs the web part, so that a bare machine with a GPU can run it::

    PYTHONPATH=.:platform python -m pytest --noconftest -c /dev/null \\
        tests/training_engine/test_on_gpu.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from steelyard.lib.engine import Stop
from steelyard.lib.records import write_parquet
from steelyard.lib.rundir import RunDir
from tests.tiny_diffusers import make
from tests.tiny_models import make_tiny_lm
from tests.tiny_pictures import metrics_of as told_of
from tests.tiny_pictures import picture_records, write_picture_run
from tests.training_engine.rows import events_of, make_record, metrics_of, train_spec
from training.engine.__main__ import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")

LN2 = math.log(2)
Run = Callable[..., RunDir]


class StopAt(Stop):
    """Turns true once the run has told of so many steps."""

    def __init__(self, rundir: RunDir, step: int) -> None:
        super().__init__(rundir)
        self.path, self.step = rundir.path / "metrics.jsonl", step

    def __bool__(self) -> bool:
        return self.path.exists() and self.path.read_bytes().count(b"\n") >= self.step


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture
def run(tmp_path: Path, base: Path) -> Run:
    def go(name: str, recipe: str = "dpo", stop_at: int = 0, **config: Any) -> RunDir:
        rundir = RunDir(tmp_path / name)
        if not rundir.path.exists():
            rundir.create(train_spec(base, {"device": "cuda", **config}, recipe=recipe))
            reason = {"annotator": "rater", "text": "It is short and it is right.", "tags": []}
            rows = [make_record(n, rationales=[reason]) for n in range(1, 13)]
            write_parquet(rows, rundir.data / "rows.parquet")
        train(rundir, StopAt(rundir, stop_at) if stop_at else Stop(rundir))
        return rundir

    return go


def weights(rundir: RunDir) -> dict[str, torch.Tensor]:
    (path,) = rundir.model.glob("*.safetensors")
    return load_file(path)


def test_in_float32_it_gives_the_losses_of_a_cpu(run: Run) -> None:
    config = {"dtype": "float32", "max_steps": 6}
    there = metrics_of(run("gpu", **config))["loss"]
    here = metrics_of(run("cpu", **config | {"device": "cpu"}))["loss"]
    assert there == pytest.approx(here, abs=1e-4)


def test_in_bfloat16_it_starts_at_ln_2_and_learns_in_float32(run: Run) -> None:
    rundir = run("run", max_steps=20)
    losses = metrics_of(rundir)["loss"]
    assert losses[1] == pytest.approx(LN2, abs=1e-6)
    assert losses[20] < 0.5
    assert {tensor.dtype for tensor in weights(rundir).values()} == {torch.float32}
    assert "bfloat16" in events_of(rundir)


def test_a_run_that_was_stopped_goes_on_to_the_same_model(run: Run) -> None:
    config = {"max_steps": 12, "checkpoint_every": 5, "lora_dropout": 0.1}
    whole = weights(run("whole", **config))
    run("cut", stop_at=7, **config)
    cut = weights(run("cut", **config))
    for name, tensor in whole.items():
        torch.testing.assert_close(cut[name], tensor, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("train_what", ["lora", "all"])
@pytest.mark.parametrize("optimiser", ["adamw_8bit", "lion", "lion_8bit", "schedule_free"])
def test_every_optimiser_learns(run: Run, optimiser: str, train_what: str) -> None:
    rate = 1e-3 if "lion" in optimiser or train_what == "all" else 1e-2
    extra = {"optimiser": optimiser, "train": train_what, "learning_rate": rate}
    losses = metrics_of(run("run", max_steps=20, **extra))["loss"]
    assert losses[20] < 0.6 < losses[1]


@pytest.mark.parametrize(
    "recipe", ["simpo", "orpo", "kto", "rationale_dpo", "rationale_orpo", "srpo", "sft"]
)
def test_every_recipe_learns(run: Run, recipe: str) -> None:
    rundir = run("run", recipe, max_steps=16, max_length=256)
    losses = list(metrics_of(rundir)["loss"].values())
    assert sum(losses[-4:]) < sum(losses[:4])


@pytest.mark.parametrize("faster", [{"attention": "flex"}, {"compile": True}])
def test_what_makes_it_faster_changes_no_loss(run: Run, faster: dict[str, Any]) -> None:
    config = {"dtype": "float32", "max_steps": 4}
    plain = metrics_of(run("plain", **config))["loss"]
    assert metrics_of(run("faster", **config, **faster))["loss"] == pytest.approx(plain, abs=1e-3)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    source = make("stable_diffusion", tmp_path_factory.mktemp("sd") / "m")
    return {"family": "stable_diffusion", "source": str(source), "modality": "image"}


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="adapter"),
        pytest.param({"reference_draws": 4}, id="prepared draws"),
        pytest.param({"train": "all", "learning_rate": 1e-4}, id="all weights"),
        pytest.param({"optimiser": "adamw_8bit"}, id="8 bit"),
        pytest.param({"channels_last": True, "safeguard": True}, id="channels last"),
        pytest.param({"compile": True}, id="compiled"),
    ],
)
def test_a_model_of_pictures_starts_at_ln_2_and_trains(
    painter: dict[str, Any], config: dict[str, Any], tmp_path: Path
) -> None:
    small = {"batch_size": 6, "learning_rate": 2e-3, "resolution": 32, "device": "cuda"}
    records = picture_records(tmp_path / "media", train=6, mode="RGB")
    rundir = write_picture_run(tmp_path, painter, records, max_steps=30, **small | config)
    train(rundir, Stop(rundir))
    losses = [values["loss"] for values in told_of(rundir).values() if "loss" in values]
    assert losses[0] == pytest.approx(LN2, abs=0.01)
    assert all(map(math.isfinite, losses))
    assert min(losses) < 0.6
