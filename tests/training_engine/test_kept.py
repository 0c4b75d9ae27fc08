"""An engine writes the models of checkpoints beside its result, and trains on as if it had not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from steelyard.inference.images import load_painter
from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import sha256_file
from steelyard.lib.rundir import RunDir
from tests.tiny_pictures import make_picture_run, make_tiny_class_unet
from training.engine import diffusion, rounds, text
from training.engine.kept import kept_in
from training.engine.preflight_machine import kept_bytes

Make = Callable[..., RunDir]
SHORT: dict[str, Any] = {"max_steps": 6, "learning_rate": 1e-2, "lora_dropout": 0.1}


class StopOnceKept(Stop):
    """Turns true when a checkpoint's model is there."""

    def __init__(self, rundir: RunDir) -> None:
        super().__init__(rundir)
        self.there = rundir

    def __bool__(self) -> bool:
        return any(kept_in(self.there))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def differ(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return any(not torch.equal(a[name], b[name]) for name in a)


def test_kept_models_load_and_differ_and_the_result_is_what_it_would_have_been(
    make_run: Make,
) -> None:
    plain, keeping = make_run("plain", **SHORT), make_run("keeping", **SHORT, keep_checkpoints=2)
    for rundir in (plain, keeping):
        text.train(rundir, Stop(rundir))
    assert not list(kept_in(plain))
    assert plain.result() == keeping.result()
    first, second = kept_in(keeping)
    assert (first.step, second.step, first.asked, first.form) == (2, 4, True, "adapter")
    assert first.is_whole
    assert sorted(first.files) == ["adapter_config.json", "adapter_model.safetensors"]
    assert first.digest == sha256_file(first.folder / "adapter_model.safetensors")
    assert differ(first.folder, second.folder)
    assert differ(second.folder, keeping.model)
    base = keeping.spec()["base"]["source"]
    said = []
    for folder in (first.folder, second.folder, keeping.model):
        model, _ = load_causal_lm(base, adapters=[str(folder)])
        said.append(model(torch.tensor([[1, 2, 3]])).logits)
    assert not torch.equal(said[0], said[1])
    assert not torch.equal(said[1], said[2])


def test_a_run_that_is_stopped_between_checkpoints_keeps_them_and_ends_the_same(
    make_run: Make,
) -> None:
    whole = make_run("whole", **SHORT, keep_checkpoints=2, checkpoint_every=3)
    text.train(whole, Stop(whole))
    stopped = make_run("stopped", **SHORT, keep_checkpoints=2, checkpoint_every=3)
    text.train(stopped, StopOnceKept(stopped))
    assert stopped.result() is None
    sealed = [kept.digest for kept in kept_in(stopped)]
    assert len(sealed) == 1
    # what was being written when the process was killed
    (stopped.path / "kept" / ".partial-step-00000004").mkdir()
    text.train(stopped, Stop(stopped))
    digests = [kept.digest for kept in kept_in(stopped)]
    assert digests == [kept.digest for kept in kept_in(whole)]
    assert digests[: len(sealed)] == sealed
    assert stopped.result() == whole.result()


def test_unasked_the_checkpoints_of_an_adapter_are_there_to_be_chosen(make_run: Make) -> None:
    rundir = make_run(**SHORT, checkpoint_every=2)
    text.train(rundir, Stop(rundir))
    assert [(kept.step, kept.asked) for kept in kept_in(rundir)] == [(2, False), (4, False)]


def test_of_all_weights_a_whole_model_is_kept_where_it_is_asked_for(make_run: Make) -> None:
    config = {**SHORT, "max_steps": 2, "lora_rank": 0, "lora_dropout": 0.0}
    rundir = make_run(**{**config, "learning_rate": 1e-4}, keep_checkpoints=1)
    text.train(rundir, Stop(rundir))
    (kept,) = kept_in(rundir)
    assert kept.form == "full"
    load_causal_lm(str(kept.folder))


def test_a_checkpoint_of_a_later_round_holds_the_rounds_before_it(make_run: Make) -> None:
    config = {**SHORT, "max_steps": 2, "lora_dropout": 0.0, "rounds": 2, "keep_checkpoints": 1}
    rundir = make_run(**config)
    rounds.train(rundir, Stop(rundir), text.train)
    ranks = {kept.step: weights(kept.folder) for kept in kept_in(rundir)}
    assert sorted(ranks) == [1, 3]
    name = next(name for name in ranks[1] if ".lora_A." in name)
    assert ranks[3][name].shape[0] == 2 * ranks[1][name].shape[0]


def test_a_model_that_sees_keeps_its_checkpoints_too(
    make_seeing_run: Callable[..., RunDir],
) -> None:
    rundir = make_seeing_run(max_steps=3, keep_checkpoints=1, learning_rate=1e-2, lora_rank=2)
    text.train(rundir, Stop(rundir))
    first, second = kept_in(rundir)
    assert differ(first.folder, second.folder)


@pytest.mark.parametrize(
    "extra", [{"lora_rank": 2}, {"train": "all", "channels_last": True}], ids=["adapter", "all"]
)
def test_a_denoiser_on_the_way_is_kept_and_the_result_is_what_it_would_have_been(
    tmp_path: Path, extra: dict[str, Any]
) -> None:
    base = {"family": "class_unet", "source": str(make_tiny_class_unet(tmp_path / "unet"))}
    plain, keeping = (make_picture_run(tmp_path / name, base) for name in ("plain", "keeping"))
    for rundir, every in ((plain, 0), (keeping, 1)):
        spec = rundir.spec()
        config = {"batch_size": 3, "learning_rate": 1e-2, "max_steps": 3, **extra}
        rundir.create({**spec, "config": {**spec["config"], **config, "keep_checkpoints": every}})
        diffusion.train(rundir, Stop(rundir))
    assert plain.result() == keeping.result()
    digests = set()
    for kept in kept_in(keeping):
        folder, is_adapter = str(kept.folder), kept.form == "adapter"
        source = base["source"] if is_adapter else folder
        load_painter(
            {**base, "source": source, "adapters": [folder] if is_adapter else [], "sampling": {}}
        )
        digests.add(kept.digest)
    assert len({*digests, keeping.result()["digest"]}) == 3


def test_a_look_before_counts_what_checkpoints_will_take() -> None:
    lora = {"train": "lora", "lora_rank": 2, "checkpoint_every": 50, "keep_checkpoints": 0}
    assert kept_bytes({**lora, "keep_checkpoints": 100}, 1000, 10, 500) == 9 * 40
    assert kept_bytes(lora, 100, 10, 500) == 40
    assert kept_bytes(lora, 10_000, 10, 500) == 9 * 40
    assert kept_bytes({**lora, "train": "all"}, 1000, 500, 500) == 0
    assert kept_bytes({**lora, "train": "norm", "keep_checkpoints": 500}, 1000, 10, 500) == 2000
