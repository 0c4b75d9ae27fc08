"""One run from folder to model, and what is refused before it starts."""

from __future__ import annotations

import json
import math
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_file
from steelyard.lib.rundir import RunDir
from tests.tiny_models import make_tiny_lm
from tests.training_engine import forked
from tests.training_engine.rows import events_of, make_record, metrics_of, run_engine
from training.engine import work
from training.engine.__main__ import train
from training.engine.data import encode_records
from training.engine.forward import score

Make = Callable[..., RunDir]
LN2 = 0.693147


def go(rundir: RunDir) -> dict[str, Any]:
    """Train in this process; the result."""
    train(rundir, Stop(rundir))
    result = rundir.result()
    assert result is not None
    return result


def refused(rundir: RunDir) -> UserError:
    with pytest.raises(UserError) as caught:
        train(rundir, Stop(rundir))
    assert not list(rundir.checkpoints.glob("step-*"))
    assert not rundir.model.exists()
    return caught.value


def test_it_works(make_run: Make, tiny_lm: Path) -> None:
    rundir = make_run(epochs=4.0, eval_every=8)
    assert run_engine(rundir) == 0, rundir.log_tail()
    result, metrics = rundir.result(), metrics_of(rundir)
    assert result is not None
    assert (result["status"], result["form"]) == ("succeeded", "adapter")
    assert result["counts"]["train"] == 10
    assert result["counts"]["steps"] == 20
    assert "warning" not in result
    assert result["digest"] == sha256_file(rundir.model / "adapter_model.safetensors")
    adapter = json.loads((rundir.model / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(tiny_lm)
    assert metrics["loss"][1] == pytest.approx(LN2, abs=1e-5)
    assert metrics["loss"][20] < 0.5
    for name in ("reward_margin", "reward_accuracy", "reward_chosen", "reward_rejected"):
        assert list(metrics[name]) == list(range(1, 21))
    for name in ("logp_chosen", "logp_rejected", "learning_rate", "grad_norm"):
        assert list(metrics[name]) == list(range(1, 21))
    for name in ("test_loss", "test_reward_accuracy", "test_reward_margin"):
        assert list(metrics[name]) == [0, 8, 16, 20]
    assert metrics["test_loss"][0] == pytest.approx(LN2)
    assert metrics["test_reward_accuracy"][0] == 0.5
    assert result["metrics"]["test_loss"] == metrics["test_loss"][20] < LN2
    progress = rundir.read_progress() or {}
    assert [progress[name] for name in ("done", "total", "unit")] == [20, 20, "steps"]
    assert "Pairs to train on: 10, to test with: 2" in events_of(rundir)


def test_what_was_measured_is_what_is_kept(make_run: Make, tiny_lm: Path) -> None:
    """The adapter, merged as every later use does it, has the test margin that the run told."""
    rundir = make_run()
    told = go(rundir)["metrics"]["test_reward_margin"]
    records = [make_record(n) for n in (5, 10)]
    rewards = []
    for adapters in ([], [str(rundir.model)]):
        model, tokenizer = load_causal_lm(str(tiny_lm), adapters=adapters)
        examples = encode_records(
            [*records, make_record(1)], tokenizer, max_length=128, drop_too_long=False
        ).examples[1:]
        rows = [row for example in examples for row in example.rows]
        with torch.no_grad():
            sums = score(model, rows, dtype=torch.float32, prefix=False).sums()
        rewards.append(0.1 * (sums[::2] - sums[1::2]))
    assert float((rewards[1] - rewards[0]).mean()) == pytest.approx(told, rel=1e-3)


def test_an_adapter_can_lie_on_an_adapter(make_run: Make, tiny_lm: Path) -> None:
    first = make_run("first")
    go(first)
    second = make_run("second", max_steps=1)
    spec = second.spec()
    spec["base"]["adapters"] = [str(first.model)]
    second.create(spec)
    go(second)
    # the second round starts even again: its reference has the first adapter in it
    one, two = metrics_of(first), metrics_of(second)
    assert two["loss"][1] == pytest.approx(LN2, abs=1e-5)
    assert two["logp_rejected"][1] < min(one["logp_rejected"].values()) + 20
    load_causal_lm(str(tiny_lm), adapters=[str(first.model), str(second.model)])


def test_all_weights_can_be_trained(make_run: Make, tiny_lm: Path) -> None:
    rundir = make_run(lora_rank=0, learning_rate=1e-4, epochs=2.0)
    result = go(rundir)
    assert result["form"] == "full"
    assert result["digest"] == sha256_file(rundir.model / "model.safetensors")
    assert metrics_of(rundir)["loss"][1] == pytest.approx(LN2, abs=1e-5)
    assert result["metrics"]["test_loss"] < LN2
    model, tokenizer = load_causal_lm(str(rundir.model))
    assert tokenizer.chat_template
    before, _ = load_causal_lm(str(tiny_lm))
    assert not torch.equal(before.lm_head.weight, model.lm_head.weight)
    assert "is high for training all weights" in events_of(rundir)


def test_passes_gathered_into_a_step_are_one_large_pass(make_run: Make) -> None:
    records = [make_record(n) for n in range(1, 10)]
    whole = go(make_run("whole", records, batch_size=4, max_steps=3))
    parts = go(make_run("parts", records, batch_size=1, accumulation=4, max_steps=3))
    for name in ("loss", "reward_margin", "grad_norm", "test_loss"):
        assert parts["metrics"][name] == pytest.approx(whole["metrics"][name], rel=1e-3), name


@pytest.mark.parametrize("extra", [{"lora_dropout": 0.3}, {"share_prompt": False}])
def test_however_a_step_is_cut_into_passes_it_is_the_same(
    make_run: Make, extra: dict[str, Any]
) -> None:
    """Dropout too: its draws are a pair's own."""
    options: dict[str, Any] = {"max_steps": 3, **extra}
    whole = go(make_run("whole", batch_size=8, **options))
    for name, cut in (
        ("pairs", {"batch_size": 2, "accumulation": 4}),
        ("tokens", {"batch_size": 8, "tokens_per_pass": 150}),
    ):
        parts = go(make_run(name, **options, **cut))
        for metric in ("loss", "reward_margin", "grad_norm", "test_loss", "length_chosen"):
            told = parts["metrics"][metric]
            assert told == pytest.approx(whole["metrics"][metric], rel=1e-4), metric


def test_it_starts_even(make_run: Make) -> None:
    for rank in (0, 4):
        metrics = metrics_of(make_and_go(make_run, f"rank-{rank}", lora_rank=rank, max_steps=1))
        assert metrics["loss"][1] == pytest.approx(math.log(2), abs=1e-7)
        assert metrics["test_loss"][0] == math.log(2)


def make_and_go(make_run: Make, name: str, **config: Any) -> RunDir:
    rundir = make_run(name, **config)
    go(rundir)
    return rundir


def test_chosen_answers_that_lose_are_told_once(make_run: Make) -> None:
    """apo_down wants both to fall, the rejected ones further."""
    options: dict[str, Any] = {"loss_type": "apo_down", "batch_size": 8, "max_steps": 25}
    told = events_of(make_and_go(make_run, "fall", **options))
    held = events_of(make_and_go(make_run, "held", **options, sft_weight=1.0))
    assert told.count("The chosen answers have lost") == 1
    assert "sft_weight 0.1 to 1" in told
    assert "The chosen answers have lost" not in held


def test_a_pass_that_memory_is_too_small_for_is_cut_in_two(
    make_run: Make, monkeypatch: Any
) -> None:
    whole = go(make_run("whole", batch_size=4, max_steps=3))
    inner = work.score

    def small(model: Any, rows: Any, **options: Any) -> Any:
        if len(rows) > 1 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError
        return inner(model, rows, **options)

    monkeypatch.setattr(work, "score", small)
    rundir = make_run("small", batch_size=4, max_steps=3, halve_on_oom=True)
    halved = go(rundir)
    assert halved["metrics"]["loss"] == pytest.approx(whole["metrics"]["loss"], rel=1e-4)
    assert events_of(rundir).count("passes are half as large") == 2
    error = refused(make_run("off", batch_size=4, max_steps=3))
    assert error.code == "out_of_memory"
    assert "halve_on_oom" in error.message


def end_the_disk() -> None:
    """A limit on the size of files stands for the disk's end."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_a_disk_that_is_full_leaves_the_last_checkpoint_whole(make_run: Make) -> None:
    """A checkpoint is over what there is room for."""
    rundir = make_run(lora_rank=64, lora_targets="all-linear", checkpoint_every=2, max_steps=4)
    assert forked.start(rundir, end_the_disk).wait() == 0
    result = rundir.result()
    assert result is not None
    assert (result["status"], result["code"]) == ("failed", "disk_full")
    assert "The disk is full: the checkpoint could not be saved" in result["message"]
    assert list(rundir.checkpoints.iterdir()) == []


def test_a_row_of_weight_two_counts_as_two_rows(make_run: Make) -> None:
    options: dict[str, Any] = {"max_steps": 1, "max_grad_norm": 0.0, "warmup_ratio": 0.0}
    once = [make_record(1, weight=2.0), make_record(2)]
    twice = [make_record(1), make_record(1, pair="again"), make_record(2)]
    a = go(make_run("once", once, batch_size=2, **options))["metrics"]
    b = go(make_run("twice", twice, batch_size=3, **options))["metrics"]
    # both are means over the rows of the step: 2 rows against 3
    assert 2 * a["grad_norm"] == pytest.approx(3 * b["grad_norm"], rel=1e-4)
    assert 2 * a["loss"] == pytest.approx(3 * b["loss"], rel=1e-4)


def test_ties_draw_answers_together_and_are_told(make_run: Make) -> None:
    records = [make_record(1), *(make_record(n, outcome="tie") for n in range(2, 9))]
    rundir = make_run("ties", records, epochs=8.0)
    go(rundir)
    assert "The data hold ties" in events_of(rundir)
    # an even win costs ln 4 and an even tie ln 2; a step holds two ties, or the win and a tie
    first = metrics_of(rundir)["loss"][1]
    assert first in (pytest.approx(LN2, abs=1e-4), pytest.approx(1.5 * LN2, abs=1e-4))


def test_a_run_that_made_the_model_worse_ends_with_a_warning(make_run: Make) -> None:
    """The test row has the other answer for the better one."""
    turned = make_record(5, chosen=make_record(5).rejected, rejected=make_record(5).chosen)
    rundir = make_run("worse", [*(make_record(n) for n in (1, 2, 3)), turned], epochs=10.0)
    warning = go(rundir)["warning"]
    assert warning.startswith("The test loss ended at")
    assert "above the 0.693" in warning
    assert "Lower learning_rate (now 0.01)" in warning
    assert warning in events_of(rundir)


def test_a_rate_that_is_hardly_meant_for_an_adapter_is_warned_of(make_run: Make) -> None:
    rundir = make_run(max_steps=1, learning_rate=1.0)
    go(rundir)
    said = events_of(rundir)
    assert "learning_rate 1 is high for an adapter; 1e-5 to 2e-4 is usual." in said


def test_a_layer_that_is_not_there_is_told_before_the_reference(make_run: Make) -> None:
    rundir = make_run(lora_targets="nothing_such")
    assert refused(rundir).code == "unknown_layer"
    assert not list(rundir.path.rglob("*reference*"))


def test_prompts_that_do_not_fit_are_told_before_the_weights_are_read(
    make_run: Make, tmp_path: Path
) -> None:
    weightless = make_tiny_lm(tmp_path / "weightless")
    next(weightless.glob("*.safetensors")).unlink()
    rundir = make_run(max_length=8)
    spec = rundir.spec()
    spec["base"]["source"] = str(weightless)
    rundir.create(spec)
    assert refused(rundir).code == "prompt_too_long"


@pytest.mark.parametrize("loss_type", ["ipo", "hinge", "robust"])
@pytest.mark.parametrize("scheduler", ["cosine"])
def test_every_loss_learns(make_run: Make, loss_type: str, scheduler: str) -> None:
    smoothing = 0.1 if loss_type == "robust" else 0.0
    rundir = make_run(
        loss_type=loss_type, label_smoothing=smoothing, scheduler=scheduler, epochs=3.0
    )
    assert go(rundir)["metrics"]["test_reward_accuracy"] == 1.0


def test_the_same_run_twice_is_the_same_model(make_run: Make) -> None:
    options = {"lora_dropout": 0.1, "max_steps": 4}
    one, two = go(make_run("one", **options)), go(make_run("two", **options))
    assert one == two
    other = go(make_run("other", seed=1, **options))
    assert other["digest"] != one["digest"]


def test_bfloat16_trains_a_float32_adapter(make_run: Make) -> None:
    rundir = make_run(dtype="bfloat16", max_steps=3)
    result = go(rundir)
    assert result["status"] == "succeeded"
    weights = load_file(rundir.model / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_all_linear_layers_can_get_an_adapter(make_run: Make) -> None:
    rundir = make_run(lora_targets="all-linear", max_steps=1, gradient_checkpointing=True)
    go(rundir)
    names = load_file(rundir.model / "adapter_model.safetensors")
    assert any("down_proj" in name for name in names)
    assert not any("lm_head" in name for name in names)


def test_a_version_without_test_rows_is_trained_on(make_run: Make) -> None:
    rundir = make_run(records=[make_record(1), make_record(2)], max_steps=1)
    assert "test_loss" not in go(rundir)["metrics"]


def test_the_context_of_the_model_limits_max_length(make_run: Make, tmp_path: Path) -> None:
    small = make_tiny_lm(tmp_path / "small", context=40)
    rundir = make_run(max_length=1024, max_steps=1)
    spec = rundir.spec()
    spec["base"]["source"] = str(small)
    rundir.create(spec)
    assert go(rundir)["counts"]["cut_rejected"] > 0
    assert "limit 40" in events_of(rundir)


@pytest.mark.parametrize("wanted", ["gate_projection", "lm_head", "q_proj,embed_tokens"])
def test_a_layer_that_takes_no_adapter_is_refused(make_run: Make, wanted: str) -> None:
    error = refused(make_run(lora_targets=wanted))
    assert (error.code, error.field) == ("unknown_layer", "lora_targets")
    assert "down_proj, gate_proj, k_proj" in error.message


def test_a_prompt_longer_than_the_context_is_refused(make_run: Make) -> None:
    long = [{"role": "user", "content": "why? " * 200}]
    error = refused(make_run(records=[make_record(1), make_record(2, prompt=long)]))
    assert error.code == "prompt_too_long"
    assert ": 1 of 2: row 2" in error.message


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "empty_version"),
        ([make_record(1, outcome="tie")], "one_class"),
        ([make_record(5)], "no_train_rows"),
    ],
)
def test_a_version_to_learn_nothing_from_is_refused(
    make_run: Make, records: list[Any], code: str
) -> None:
    assert refused(make_run(records=records)).code == code


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(make_run: Make) -> None:
    error = refused(make_run(device="cuda"))
    assert (error.code, error.field) == ("no_gpu", "device")


def test_a_model_of_another_family_is_refused(make_run: Make) -> None:
    rundir = make_run()
    spec = rundir.spec()
    spec["base"]["family"] = "endpoint"
    rundir.create(spec)
    assert refused(rundir).code == "wrong_family"


def test_weights_that_are_no_numbers_are_told_before_training(
    make_run: Make, tmp_path: Path
) -> None:
    broken = make_tiny_lm(tmp_path / "broken")
    model, _ = load_causal_lm(str(broken))
    model.model.norm.weight.data[0] = float("nan")
    model.save_pretrained(broken)
    rundir = make_run()
    spec = rundir.spec()
    spec["base"]["source"] = str(broken)
    rundir.create(spec)
    error = refused(rundir)
    assert error.code == "nan_loss"
    assert "before any training" in error.message


def test_a_loss_that_blows_up_fails_the_run_with_advice(make_run: Make) -> None:
    records = [make_record(1), make_record(2, weight=3e37)]
    rundir = make_run("steep", records, loss_type="ipo", beta=0.01, max_steps=5)
    assert forked.start(rundir).wait() == 0
    result = rundir.result()
    assert result is not None
    assert (result["status"], result["code"]) == ("failed", "nan_loss")
    assert "loss became inf at step 1, at row 2 (pair " in result["message"]
    assert "Lower learning_rate" in result["message"]
    assert not rundir.model.exists()


def test_an_unknown_recipe_or_setting_is_refused_by_the_process(make_run: Make) -> None:
    for name, changes in (("recipe", {"recipe": "magic"}), ("setting", {"config": {"betta": 1}})):
        rundir = make_run(name, spec=changes)
        assert forked.start(rundir).wait() == 0
        result = rundir.result()
        assert result is not None
        assert result["code"] == f"unknown_{name}"
