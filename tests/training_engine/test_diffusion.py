"""Diffusion-DPO from a run directory to an adapter that painters and pipelines read."""

from __future__ import annotations

import math
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from steelyard.inference.image_adapters import WEIGHTS
from steelyard.inference.images import load_painter
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_file
from steelyard.lib.records import read_parquet, write_parquet
from steelyard.lib.rundir import RunDir
from tests.tiny_diffusers import make
from tests.tiny_pictures import (
    make_picture_run,
    make_record,
    make_tiny_class_unet,
    metrics_of,
    write_picture_run,
)
from tests.training_engine import forked
from training.engine import diffusion
from training.engine.config import DiffusionDPOConfig
from training.engine.diffusion_data import MediaDataset, MediaPair, choose_pairs, controlled
from training.engine.diffusion_work import weights_of

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"batch_size": 3, "lora_rank": 2, "lora_alpha": 2, "learning_rate": 1e-2, "max_steps": 4}


@pytest.fixture(scope="module")
def tiny_unet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make_tiny_class_unet(tmp_path_factory.mktemp("class-unet") / "m")
    return {"family": "class_unet", "source": str(folder)}


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make("stable_diffusion", tmp_path_factory.mktemp("sd") / "m", across=8)
    return {"family": "stable_diffusion", "source": str(folder)}


def trained(folder: Path, base: dict[str, Any], **settings: Any) -> RunDir:
    rundir = make_picture_run(folder, base, **{**SMALL, **settings})
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    return rundir


def weights(rundir: RunDir) -> dict[str, torch.Tensor]:
    return load_file(rundir.model / WEIGHTS)


def losses(rundir: RunDir) -> list[float]:
    return [values["loss"] for _, values in sorted(metrics_of(rundir).items()) if "loss" in values]


def levels_in(values: dict[str, float]) -> list[int]:
    return [n for n in (1, 2, 3, 4) if f"loss_noise_{n}" in values]


def refused(rundir: RunDir) -> UserError:
    with pytest.raises(UserError) as error:
        diffusion.train(rundir, False)  # type: ignore[arg-type]
    assert not rundir.model.exists()
    return error.value


def test_it_works(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    rundir = trained(tmp_path / "run", tiny_unet, test=3, max_steps=12, eval_every=5)
    result = rundir.result()
    assert result is not None
    assert (result["status"], result["form"]) == ("succeeded", "adapter")
    assert result["digest"] == sha256_file(rundir.model / WEIGHTS)
    assert result["counts"]["train"] == 6
    assert result["metrics"]["reward_accuracy"] == 1
    found = metrics_of(rundir)
    assert set(found[1]) == {
        *("loss", "reward_margin", "reward_accuracy", "reward_chosen", "reward_rejected"),
        *("error_chosen", "error_rejected", "rise_chosen", "rise_rejected"),
        *("learning_rate", "grad_norm", "pairs_per_second"),
        # three pairs whose noise levels are spread evenly
        *(f"{name}_noise_{n}" for name in ("loss", "reward_margin") for n in levels_in(found[1])),
    }
    assert len(levels_in(found[1])) >= 2
    assert [step for step, values in sorted(found.items()) if "test_loss" in values] == [
        0,
        5,
        10,
        12,
    ]
    assert found[12]["test_loss"] < found[0]["test_loss"]
    assert found[12]["test_reward_accuracy"] > 0.5


def test_before_the_first_step_the_model_is_its_reference(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    found = metrics_of(trained(tmp_path / "run", tiny_unet, test=2, max_steps=1))
    assert found[1]["loss"] == pytest.approx(math.log(2), abs=1e-7)
    assert found[1]["reward_margin"] == 0
    assert found[0]["test_loss"] == pytest.approx(math.log(2), abs=1e-7)
    assert found[0]["test_reward_accuracy"] == 0.5


def test_the_same_run_makes_the_same_weights(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    first = trained(tmp_path / "one", tiny_unet)
    second = trained(tmp_path / "two", tiny_unet)
    assert first.result() == second.result()
    other = trained(tmp_path / "three", tiny_unet, seed=1)
    assert first.result() != other.result()


def test_a_step_cut_into_passes_is_the_same_step(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", tiny_unet, batch_size=6)
    parts = trained(tmp_path / "parts", tiny_unet, batch_size=2, accumulation=3)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-3)


def test_prepared_references_are_the_live_ones(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    """As long as no draw comes twice (2 steps go through the 6 pairs once)."""
    same: dict[str, Any] = {"stratified": False}
    live = trained(tmp_path / "live", tiny_unet, **same)
    prepared = trained(tmp_path / "prepared", tiny_unet, reference_draws=2, **same)
    assert losses(prepared) == pytest.approx(losses(live), rel=1e-3)
    once = trained(tmp_path / "once", tiny_unet, reference_draws=1, **same)
    assert losses(once)[:2] == pytest.approx(losses(live)[:2], rel=1e-3)
    assert losses(once)[2:] != pytest.approx(losses(live)[2:], rel=1e-3)


class After:
    """A stop that turns true at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __bool__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("more", [{}, {"reference_draws": 2, "random_flip": True}])
def test_stopped_anywhere_it_goes_on_to_the_same_weights(
    tiny_unet: dict[str, Any], tmp_path: Path, more: dict[str, Any]
) -> None:
    whole = trained(tmp_path / "whole", tiny_unet, test=2, accumulation=2, **more)
    rundir = make_picture_run(
        tmp_path / "run", tiny_unet, test=2, accumulation=2, **{**SMALL, **more}
    )
    # each start comes further than the one before, through encoding, references, steps and tests
    for looks in (1, 8, 17, 24, 33):
        diffusion.train(rundir, After(looks))  # type: ignore[arg-type]
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    assert rundir.result() == whole.result()
    assert losses(rundir) == losses(whole)


def stays_after_step_8() -> None:
    plain = diffusion.check_diverged

    def stay(step: int, *told: Any) -> None:
        plain(step, *told)
        if step == 8:
            time.sleep(600)

    diffusion.check_diverged = stay


def test_killed_it_goes_on_to_the_same_weights(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    limits = {**SMALL, "max_steps": 12, "checkpoint_every": 3}
    rundir = make_picture_run(tmp_path / "run", tiny_unet, **limits)
    process = forked.start(rundir, stays_after_step_8)
    while not list(rundir.checkpoints.glob("step-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert rundir.result() is None
    assert forked.start(rundir).wait() == 0, rundir.log_tail()
    whole = trained(tmp_path / "whole", tiny_unet, **limits)
    assert rundir.result() == whole.result()
    assert losses(rundir) == losses(whole)


def test_a_model_that_predicts_v_starts_and_learns_alike(tmp_path: Path) -> None:
    source = make_tiny_class_unet(tmp_path / "v", prediction="v_prediction")
    base = {"family": "class_unet", "source": str(source)}
    found = metrics_of(trained(tmp_path / "run", base, max_steps=12))
    assert found[1]["loss"] == pytest.approx(math.log(2), abs=1e-7)
    assert found[12]["reward_accuracy"] == 1


def test_another_prediction_is_refused(tmp_path: Path) -> None:
    source = make_tiny_class_unet(tmp_path / "x", prediction="sample")
    base = {"family": "class_unet", "source": str(source)}
    error = refused(make_picture_run(tmp_path / "run", base, **SMALL))
    assert error.code == "bad_prediction_type"


def test_a_row_without_weight_does_not_count(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    """With a whole epoch a step, a row of weight 0 that says the opposite changes nothing."""
    alone = {**SMALL, "batch_size": 9, "stratified": False}
    plain = make_picture_run(tmp_path / "plain", tiny_unet, train=2, **alone)
    diffusion.train(plain, False)  # type: ignore[arg-type]
    rows = read_parquet(plain.data / "v.parquet")
    wrong = [make_record(9, rows[0].rejected_media, rows[0].chosen_media, weight=0.0)]
    both = write_picture_run(tmp_path / "both", tiny_unet, rows + wrong, **alone)
    (both.path / "media").rmdir()
    (both.path / "media").symlink_to(plain.media)
    diffusion.train(both, False)  # type: ignore[arg-type]
    assert losses(both) == pytest.approx(losses(plain), rel=1e-3)


def test_training_goes_on_from_a_trained_model(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    """The second run's reference is the first run's result, and a painter wants both."""
    first = trained(tmp_path / "one", tiny_unet, max_steps=8)
    base = {**tiny_unet, "adapters": [str(first.model)]}
    second = trained(tmp_path / "two", base, max_steps=8)
    assert losses(second)[0] == pytest.approx(math.log(2), abs=1e-6)
    assert metrics_of(second)[1]["error_chosen"] < metrics_of(first)[1]["error_chosen"]
    asked: dict[str, Any] = {"prompts": ["a cat"], "seeds": [1], "sampling": {"steps": 3}}
    adapters = [[], [str(first.model)], [str(first.model), str(second.model)]]
    painted = [load_painter({**tiny_unet, "adapters": a}).paint(**asked)[0] for a in adapters]
    assert len({np.asarray(picture).tobytes() for picture in painted}) == 3


@pytest.mark.parametrize("checkpointing", [False, True])
def test_stable_diffusion_trains_and_its_pipeline_reads_the_adapter(
    tiny_sd: dict[str, Any], tmp_path: Path, checkpointing: bool
) -> None:
    rundir = trained(
        tmp_path / "run",
        tiny_sd,
        mode="RGB",
        test=1,
        max_steps=2,
        random_flip=True,
        lora_alpha=6,
        gradient_checkpointing=checkpointing,
        lora_targets="to_q,to_k,to_v,to_out.0",
    )
    assert losses(rundir)[0] == pytest.approx(math.log(2), abs=1e-7)
    assert any(t.abs().sum() > 0 for name, t in weights(rundir).items() if "lora_B" in name)
    painted = load_painter({**tiny_sd, "adapters": [str(rundir.model)]}).paint(
        ["a cat"], seeds=[3], sampling={"steps": 2}
    )
    pipe = StableDiffusionPipeline.from_pretrained(tiny_sd["source"], safety_checker=None)
    chance = {"num_inference_steps": 2, "output_type": "np"}
    before = pipe("a cat", generator=torch.Generator().manual_seed(3), **chance).images[0]
    pipe.load_lora_weights(str(rundir.model))
    after = pipe("a cat", generator=torch.Generator().manual_seed(3), **chance).images[0]
    # alpha / rank is 3 here: a reader that lost it would paint another picture
    assert np.abs(np.asarray(painted[0]) / 255 - after).max() < 0.01
    assert np.abs(before - after).max() > 1e-5


def test_checkpointing_changes_memory_alone(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain", tiny_unet)
    spared = trained(tmp_path / "spared", tiny_unet, gradient_checkpointing=True)
    assert losses(spared) == pytest.approx(losses(plain), rel=1e-4)


def test_weights_in_bfloat16_train_an_adapter_in_float32(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    rundir = trained(tmp_path / "run", tiny_unet, dtype="bfloat16")
    assert losses(rundir)[0] == pytest.approx(math.log(2), abs=1e-7)
    assert {tensor.dtype for tensor in weights(rundir).values()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"lora_targets": "nothing_such"}, "no_such_layer", "to_q"),
        ({"resolution": 16}, "bad_resolution", "8"),
        ({"learning_rate": 1e9}, "bad_setting", "from 0 to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    tiny_unet: dict[str, Any], tmp_path: Path, change: dict[str, Any], code: str, word: str
) -> None:
    error = refused(make_picture_run(tmp_path / "run", tiny_unet, **{**SMALL, **change}))
    assert error.code == code
    assert word in error.message


def test_a_loss_that_is_no_number_stops_the_run_with_advice(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_unet["source"], broken)
    file = next(broken.rglob("*.safetensors"))
    tensors = load_file(file)
    tensors["conv_out.bias"] = torch.full_like(tensors["conv_out.bias"], math.nan)
    save_file(tensors, file)
    base = {**tiny_unet, "source": str(broken)}
    error = refused(make_picture_run(tmp_path / "run", base, **SMALL))
    assert error.code == "nan_loss"
    assert "Lower learning_rate" in error.message


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ({"family": "causal_lm"}, "cannot_train"),
        ({"source": "/nowhere/at/all"}, "unknown_model"),
        ({"family": "stable_diffusion", "source": "/nowhere/at/all"}, "unknown_model"),
        ({"adapters": ["/nowhere"]}, "no_adapter"),
    ],
)
def test_a_base_that_cannot_be_trained_is_refused(
    tiny_unet: dict[str, Any], tmp_path: Path, base: dict[str, Any], code: str
) -> None:
    error = refused(make_picture_run(tmp_path / "run", {**tiny_unet, **base}, **SMALL))
    assert error.code == code


def test_a_prompt_without_meaning_is_refused_before_pictures_are_encoded(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    rundir = make_picture_run(tmp_path / "run", tiny_unet, **SMALL)
    rows = [
        type(r)(**{**r.as_dict(), "prompt": [{"role": "user", "content": "A horse."}]})
        for r in read_parquet(rundir.data / "v.parquet")
    ]
    write_parquet(rows, rundir.data / "v.parquet")
    assert refused(rundir).code == "unknown_label"


def test_a_pair_whose_picture_cannot_be_read_is_left_out_by_name(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    rundir = make_picture_run(tmp_path / "run", tiny_unet, **SMALL)
    spoilt = sorted(rundir.media.iterdir())[2]
    spoilt.write_bytes(spoilt.read_bytes()[:300])
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    result = rundir.result()
    assert result is not None
    assert (result["counts"]["train"], result["counts"]["dropped_unreadable"]) == (5, 1)
    assert spoilt.name[:12] in (rundir.path / "events.jsonl").read_text()


def test_a_version_without_winners_is_refused(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    rundir = make_picture_run(tmp_path / "run", tiny_unet, **SMALL)
    rows = [
        type(r)(**{**r.as_dict(), "outcome": "tie"})
        for r in read_parquet(rundir.data / "v.parquet")
    ]
    write_parquet(rows, rundir.data / "v.parquet")
    assert refused(rundir).code == "one_class"
    write_parquet([], rundir.data / "v.parquet")
    assert refused(rundir).code == "empty_version"


def test_text_rows_are_refused(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    record = make_record(0, "x", "y", modality="text")
    assert (
        refused(write_picture_run(tmp_path / "run", tiny_unet, [record])).code == "wrong_modality"
    )


def values_of(rundir: RunDir, name: str) -> list[float]:
    return [values[name] for _, values in sorted(metrics_of(rundir).items()) if name in values]


def events_of(rundir: RunDir) -> str:
    return (rundir.path / "events.jsonl").read_text()


def trained_whole(folder: Path, base: dict[str, Any], **settings: Any) -> RunDir:
    """All weights; ``train`` is a number of rows to the helper that makes a run."""
    rundir = make_picture_run(folder, base, **{**SMALL, "learning_rate": 1e-3, **settings})
    spec = rundir.spec()
    spec["config"]["train"] = "all"
    rundir.create(spec)
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    return rundir


@pytest.mark.parametrize("loss_type", ["ipo", "kto", "mapo", "linear", "rank", "masked"])
def test_every_loss_learns_what_was_preferred(
    tiny_unet: dict[str, Any], tmp_path: Path, loss_type: str
) -> None:
    own: dict[str, dict[str, Any]] = {"linear": {"ema_decay": 0.9, "beta": 200}, "ipo": {"beta": 2}}
    more = own.get(loss_type, {})
    rundir = trained(
        tmp_path / "run", tiny_unet, loss_type=loss_type, max_steps=8, batch_size=6, **more
    )
    gap = [
        rejected - chosen
        for chosen, rejected in zip(
            values_of(rundir, "error_chosen"), values_of(rundir, "error_rejected"), strict=True
        )
    ]
    assert gap[-1] > gap[0]


def test_all_weights_start_even_and_become_a_model_of_their_own(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    """Against a frozen copy, and against errors that were prepared before: the same."""
    live = trained_whole(tmp_path / "live", tiny_unet, stratified=False)
    prepared = trained_whole(tmp_path / "there", tiny_unet, stratified=False, reference_draws=2)
    # with and without gradients a convolution is summed in another order
    assert losses(live)[0] == pytest.approx(math.log(2), abs=1e-4)
    assert losses(prepared) == pytest.approx(losses(live), rel=1e-3)
    result = live.result()
    assert result is not None
    assert result["form"] == "full"
    asked: dict[str, Any] = {"prompts": ["a cat"], "seeds": [1], "sampling": {"steps": 3}}
    whole = load_painter({**tiny_unet, "source": str(live.model)}).paint(**asked)[0]
    before = load_painter(tiny_unet).paint(**asked)[0]
    assert np.asarray(whole).tobytes() != np.asarray(before).tobytes()


def test_references_are_shared_by_runs_of_any_beta_loss_and_rate(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    for number, more in enumerate(({}, {"beta": 50, "loss_type": "ipo", "learning_rate": 1e-4})):
        rundir = make_picture_run(
            tmp_path / f"{number}", tiny_unet, reference_draws=2, **{**SMALL, **more}
        )
        rundir.create({**rundir.spec(), "cache": str(tmp_path / "cache")})
        diffusion.train(rundir, False)  # type: ignore[arg-type]
        asked = ("12 of them", "0 of them")[number]
        assert f"12 prepared draws; the frozen model was asked for {asked}" in events_of(rundir)


def test_beta_follows_the_errors_and_goes_on_after_a_stop(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    more = {"auto_beta": 0.2, "max_steps": 6, "ema_decay": 0.8}
    whole = trained(tmp_path / "whole", tiny_unet, **more)
    betas = values_of(whole, "beta")
    # by 10 an element it starts, then errors grow and it falls
    assert betas[:2] == [2000, 640]
    assert betas[-1] < 640
    result = whole.result()
    assert result is not None
    # the next one: pictures have 64 numbers
    assert result["beta"]["sum"] == pytest.approx(result["beta"]["mean"] / 64)
    rundir = make_picture_run(tmp_path / "run", tiny_unet, **{**SMALL, **more})
    diffusion.train(rundir, After(18))  # type: ignore[arg-type]
    assert rundir.result() is None
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    assert rundir.result() == result


def test_samples_of_fixed_and_fresh_seeds_stand_beside_the_base_s(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    base = {**tiny_unet, "sampling": {"steps": 2}}
    rundir = trained(tmp_path / "run", base, sample_every=2, sample_prompts=1)
    lines, _ = rundir.read_lines("media_samples.jsonl", 0)
    assert [(line["step"], line["seeds"]) for line in lines] == [
        *((2, "fixed"), (2, "fresh"), (4, "fixed"), (4, "fresh"))
    ]
    fixed, fresh = lines[::2], lines[1::2]
    assert len({line["seed"] for line in fixed}) == 1
    assert len({line["reference_file"] for line in fixed}) == 1
    assert len({line["seed"] for line in fresh}) == 2
    for line in lines:
        files = [(rundir.path / line[name]).read_bytes() for name in ("file", "reference_file")]
        assert all(data.startswith(b"\x89PNG") for data in files)
        assert files[0] != files[1]
    # a sample is what a painter of the result makes
    spec = {**base, "adapters": [str(rundir.model)]}
    painted = load_painter(spec).paint([lines[-1]["prompt"]], seeds=[fresh[1]["seed"]], sampling={})
    painted[0].save(tmp_path / "painted.png", "PNG")
    assert (tmp_path / "painted.png").read_bytes() == (rundir.path / fresh[1]["file"]).read_bytes()


def test_samples_that_cannot_be_made_are_told_of_and_the_training_goes_on(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    base = {**tiny_unet, "sampling": {"size": 7}}
    rundir = trained(tmp_path / "run", base, sample_every=2, sample_prompts=1)
    told = [event["text"] for event in rundir.last_events(50) if event["level"] == "warning"]
    assert [text for text in told if "size is 0 or that, not 7" in text]
    assert len([text for text in told if text.startswith("No samples")]) == 1
    assert not rundir.read_lines("media_samples.jsonl", 0)[0]
    assert rundir.model.is_dir()


def test_samples_take_the_steps_that_the_run_says(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    base = {**tiny_unet, "sampling": {"steps": 7}}
    rundir = trained(tmp_path / "run", base, sample_every=4, sample_prompts=1, sample_steps=2)
    line = rundir.read_lines("media_samples.jsonl", 0)[0][0]
    painted = load_painter(base).paint(
        [line["prompt"]], seeds=[line["seed"]], sampling={"steps": 2}
    )
    painted[0].save(tmp_path / "painted.png", "PNG")
    made = (rundir.path / line["reference_file"]).read_bytes()
    assert (tmp_path / "painted.png").read_bytes() == made


def test_it_is_told_when_the_chosen_side_gets_worse_for_long(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    rundir = trained(
        tmp_path / "run", tiny_unet, max_steps=24, learning_rate=1e-1, batch_size=6, beta=2
    )
    result = rundir.result()
    assert result is not None
    if sum(values_of(rundir, "rise_chosen")[-20:]) > 0:
        assert "fits the chosen side less well" in result["warning"]
        assert "of the last 20 steps the model fitted the chosen side less well" in events_of(
            rundir
        )


def test_noise_levels_of_a_step_are_spread_evenly(
    tiny_unet: dict[str, Any], tmp_path: Path
) -> None:
    found = metrics_of(
        trained(tmp_path / "run", tiny_unet, train=8, batch_size=4, accumulation=2, max_steps=2)
    )
    assert [levels_in(values) for _, values in sorted(found.items())] == [[1, 2, 3, 4]] * 2


def test_pairs_weigh_by_agreement_strength_and_rank() -> None:
    pairs = [
        MediaPair(str(n), "", *sides, 1.0, group="p", agreement=a, strength=s)
        for n, (sides, a, s) in enumerate(
            [(("a", "b"), 1.0, 3.0), (("b", "c"), 0.5, 1.0), (("a", "c"), 0.75, 2.0)]
        )
    ]
    dataset = MediaDataset(pairs, [], {})

    def weights(**config: Any) -> list[float]:
        return list(weights_of(DiffusionDPOConfig(**config), dataset).values())

    assert weights() == [1, 1, 1]
    assert weights(weight_by="agreement") == pytest.approx([4 / 3, 2 / 3, 1])
    assert weights(weight_by="strength") == pytest.approx([1.5, 0.5, 1])
    ranked = weights(loss_type="rank")
    assert ranked[2] == max(ranked)
    assert sum(ranked) == pytest.approx(3)


def test_pairs_of_which_both_are_bad_teach_kto(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    rundir = make_picture_run(tmp_path / "run", tiny_unet, **{**SMALL, "loss_type": "kto"})
    rows = read_parquet(rundir.data / "v.parquet")
    rows[0] = replace(rows[0], outcome="both_bad", strength=0.0)
    rows[1] = replace(rows[1], outcome="tie", strength=0.0)
    write_parquet(rows, rundir.data / "v.parquet")
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    result = rundir.result()
    assert result is not None
    assert (result["counts"]["train"], result["counts"]["dropped_ties"]) == (5, 1)
    assert losses(rundir)[0] == pytest.approx(0.5, abs=1e-6)
    assert choose_pairs(rows).counts["dropped_both_bad"] == 1


def test_a_control_calls_two_bad_pictures_good() -> None:
    bad = MediaPair("p", "", "a", "b", 1.0, both=-1)
    turned = controlled(MediaDataset([bad], [], {}), "reversed", 0).train[0]
    assert turned.both == 1


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tiny_unet: dict[str, Any], tmp_path: Path) -> None:
    more = {"batch_size": 2, "accumulation": 3, "reference_draws": 2, "auto_beta": 0.2, "test": 2}
    one = trained(tmp_path / "one", tiny_unet, **more)
    two = make_picture_run(tmp_path / "two", tiny_unet, **{**SMALL, **more})
    assert [process.wait() for process in forked.start_two(two)] == [0, 0], two.log_tail()
    for name in ("loss", "beta", "test_loss", "reward_accuracy"):
        assert values_of(two, name) == pytest.approx(values_of(one, name), rel=1e-3)
