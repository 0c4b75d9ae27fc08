"""One run in two processes: the numbers of one, a stop all agree on, weights spread and kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from tests.training_engine import forked
from tests.training_engine.rows import events_of, metrics_of, wait_for
from training.engine import distributed, text, work

Make = Callable[..., RunDir]
# ten rows in steps of four: the last step of an epoch has two, and then no row for a third pass
OPTIONS: dict[str, Any] = {"accumulation": 2, "batch_size": 2, "lora_dropout": 0.2, "eval_every": 3}


HELD = """
import runpy, sys, time
from pathlib import Path
from training.engine import text

plain, on = text.check_diverged, Path(sys.argv[1]) / "go-on"

def stay(step, *told):
    plain(step, *told)
    while step == 6 and not on.exists():
        time.sleep(0.01)

text.check_diverged = stay
runpy.run_module("training.engine", run_name="__main__", alter_sys=True)
"""
"""The engine as -m starts it; it stays after its sixth step until it is told to go on."""


def start_torchrun(rundir: RunDir) -> subprocess.Popen[bytes]:
    script = rundir.path.parent / "held.py"
    script.write_text(HELD)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with rundir.log.open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, *several),
                *(str(script), str(rundir.path)),
            ],
            stdout=log,
            stderr=log,
            env=environment,
        )


def alone(rundir: RunDir) -> dict[str, Any]:
    text.train(rundir, Stop(rundir))
    result = rundir.result()
    assert result is not None
    return result


def check_same_numbers(one: RunDir, other: RunDir) -> None:
    ours, theirs = metrics_of(one), metrics_of(other)
    assert ours.keys() == theirs.keys()
    for name, points in ours.items():
        assert theirs[name] == pytest.approx(points, rel=1e-3, abs=2e-5), name
    (mine,), (yours,) = (list(run.model.glob("*.safetensors")) for run in (one, other))
    weights, others = load_file(mine), load_file(yours)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        assert torch.allclose(weight, others[name], atol=1e-4), name


def lines_in(rundir: RunDir) -> int:
    path = rundir.path / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_two_processes_stop_together_and_one_goes_on_to_what_one_alone_makes(
    make_run: Make,
) -> None:
    options = {**OPTIONS, "max_steps": 12, "checkpoint_every": 1000, "learning_rate": 3e-3}
    one = make_run("one", **options)
    whole = alone(one)
    two = make_run("two", **options)
    process = start_torchrun(two)
    wait_for(lambda: lines_in(two) >= 5, process, two.log)
    first, second = psutil.Process(process.pid).children()
    last = second if second.environ()["RANK"] == "1" else first
    last.send_signal(signal.SIGTERM)
    (two.path / "go-on").touch()
    assert process.wait(300) == 0, two.log_tail()
    assert two.stopped.exists()
    (checkpoint,) = two.checkpoints.glob("step-*")
    step = int(checkpoint.name.removeprefix("step-"))
    assert step == max(metrics_of(two)["loss"]) < 12
    # each line once: the second process writes nothing
    assert events_of(two).count("Pairs in each: 4") == 1
    result = alone(two)
    assert f"Going on from the checkpoint after step {step} of 12" in events_of(two)
    assert result["counts"] == whole["counts"]
    check_same_numbers(one, two)


def too_small_in_the_second() -> None:
    inner = work.score

    def small(model: Any, rows: Any, **options: Any) -> Any:
        if distributed.world().rank == 1 and len(rows) > 1 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError
        return inner(model, rows, **options)

    work.score = small


def test_memory_too_small_in_one_process_halves_the_passes_of_all(make_run: Make) -> None:
    options = {"batch_size": 4, "max_steps": 2, "halve_on_oom": True}
    one, two = (make_run(name, **OPTIONS | options) for name in ("one", "two"))
    alone(one)
    processes = forked.start_two(two, too_small_in_the_second)
    assert [process.wait() for process in processes] == [0, 0], two.log_tail()
    assert events_of(two).count("passes are half as large") >= 1
    check_same_numbers(one, two)


def test_weights_spread_over_processes_train_as_whole_ones_and_are_kept_whole(
    make_run: Make, tiny_lm: Path
) -> None:
    options = {"train": "all", "learning_rate": 1e-3, "max_steps": 5, "checkpoint_every": 3}
    one = make_run("one", accumulation=2, **options)
    alone(one)
    two = make_run("two", accumulation=2, shard=True, **options)
    assert [process.wait() for process in forked.start_two(two)] == [0, 0], two.log_tail()
    result = two.result()
    assert result is not None
    assert (result["status"], result["form"]) == ("succeeded", "full"), result
    check_same_numbers(one, two)
    # what was gathered from both is as whole as what one process keeps
    for step in (3, 5):
        for name in ("parameters", "optimizer"):
            file = f"checkpoints/step-{step:08d}/{name}.safetensors"
            ours, theirs = load_file(one.path / file), load_file(two.path / file)
            assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    trained = AutoModelForCausalLM.from_pretrained(two.model)
    start = AutoModelForCausalLM.from_pretrained(tiny_lm)
    assert not torch.equal(trained.lm_head.weight, start.lm_head.weight)


def test_alone_nothing_is_shared() -> None:
    assert distributed.world() == distributed.World(0, 1, 0)
    assert distributed.share(["a", "b"]) == [(0, "a"), (1, "b")]
    assert distributed.per_pass(10, 4) == 4
    parameter = torch.nn.Parameter(torch.ones(2))
    assert distributed.gather(parameter) is parameter
    distributed.sum_gradients([parameter])
    assert parameter.grad is None


def test_passes_are_dealt_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "0")
    dealt = {}
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        dealt[rank] = distributed.share("abcd", even=True)
        assert distributed.share("abcd") == [pair for pair in dealt[rank] if pair[0] >= 0]
        # four rows for three processes: passes of two at most, so that none is idle for long
        assert distributed.per_pass(4, 8) == 2
    assert dealt == {
        0: [(0, "a"), (3, "d")],
        1: [(1, "b"), (-1, "a")],
        2: [(2, "c"), (-1, "a")],
    }
