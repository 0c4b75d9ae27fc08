"""How far a model's own answers lie from what its base would have written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from training.engine.__main__ import train
from training.engine.on_policy import divergence, win_rate


def test_the_estimate_is_the_divergence_of_two_distributions() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
    exact = float((p * (p / q).log()).sum())
    draws = torch.multinomial(p, 200_000, replacement=True, generator=torch.manual_seed(0))
    assert divergence(p.log()[draws], q.log()[draws]) == pytest.approx(exact, rel=0.02)


def test_it_is_nothing_for_the_same_model_and_never_below() -> None:
    same = torch.tensor([-1.0, -2.0])
    assert divergence(same, same) == 0
    assert divergence(same[:0], same[:0]) == 0
    # worked by hand: ratio is ln q/p = -1, so 1/e - 1 + 1
    assert divergence(torch.zeros(1), -torch.ones(1)) == pytest.approx(1 / math.e)
    assert divergence(torch.zeros(1), torch.ones(1)) > 0


def test_a_win_rate_counts_ties_half_and_what_cannot_be_read_not_at_all() -> None:
    lines = [{"outcome": name} for name in ("a", "a", "b", "tie", "both_bad", None)]
    assert win_rate(lines) == {"win_rate": 0.6, "judged": 5}
    with pytest.raises(UserError, match=r"no verdict that could be read.* It spoke of rain\."):
        win_rate([{"outcome": None, "invalid": "It spoke of rain."}])


def test_a_judge_compares_what_the_model_and_its_base_write(
    make_run: Callable[..., RunDir],
) -> None:
    rundir = make_run(max_steps=1, max_length=64)
    spec = rundir.spec()
    judge = {
        "model": spec["base"],
        "criteria": "Be brief.",
        "template_version": 1,
        "sampling": {"max_new_tokens": 4},
    }
    spec["samples"] = {"prompts": 2, "max_new_tokens": 4, "seed": 1, "judge": judge}
    (rundir.path / "run.json").write_text(json.dumps(spec))
    train(rundir, Stop(rundir))
    result = rundir.result()
    assert result is not None
    assert result["samples"]["judged"] == 2
    assert 0 <= result["samples"]["win_rate"] <= 1
    lines, _ = rundir.read_lines("judged.jsonl", 0)
    assert [line["pair"] for line in lines] == [0, 1]
    assert {"messages", "a", "b", "outcome"} <= lines[0].keys()
    # started again it asks nobody twice
    (rundir.path / "result.json").unlink()
    train(rundir, Stop(rundir))
    assert rundir.result() == result
