"""Optimisers, their state in checkpoints, and learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steelyard.lib.errors import UserError
from training.engine import optim

ALL = ["adamw", "adamw_8bit", "lion", "lion_8bit", "schedule_free"]


@dataclass(frozen=True)
class Config:
    optimiser: str = "adamw"
    learning_rate: float = 1e-2
    weight_decay: float = 0.01
    scheduler: str = "linear"
    warmup_ratio: float = 0.0
    refined_from: str = ""


def weights(seed: int = 0) -> dict[str, nn.Parameter]:
    """One tensor large enough for bitsandbytes to keep its state in 8 bits, and a small one."""
    torch.manual_seed(seed)
    return {"wide": nn.Parameter(torch.randn(80, 64)), "small": nn.Parameter(torch.randn(7))}


def step(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, number: int
) -> None:
    generator = torch.Generator().manual_seed(number)
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optim.set_rate(optimizer, 0.01 / (1 + number))
    optim.training_mode(optimizer, True)
    optimizer.step()


def copies(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ALL)
def test_every_optimiser_goes_on_from_its_state_to_the_very_same_weights(name: str) -> None:
    config = Config(name)
    whole = weights()
    optimizer = optim.build(whole.values(), config, 8)
    for number in range(8):
        step(whole, optimizer, number)
    optim.training_mode(optimizer, False)

    first = weights()
    optimizer = optim.build(first.values(), config, 8)
    for number in range(3):
        step(first, optimizer, number)
    optim.training_mode(optimizer, False)
    saved, state = copies(first), optim.tensors_of(first, optimizer)
    assert all(isinstance(tensor, Tensor) for tensor in state.values())

    second = weights(seed=1)
    optimizer = optim.build(second.values(), config, 8)
    for label, parameter in second.items():
        parameter.data.copy_(saved[label])
    optim.restore(second, optimizer, {label: tensor.clone() for label, tensor in state.items()})
    for number in range(3, 8):
        step(second, optimizer, number)
    optim.training_mode(optimizer, False)
    assert same(copies(second), copies(whole))


@pytest.mark.parametrize("name", ALL)
def test_every_optimiser_finds_a_minimum(name: str) -> None:
    parameters = weights()
    optimizer = optim.build(parameters.values(), Config(name, weight_decay=0.0), 100)
    start = sum(float(p.square().sum()) for p in parameters.values())
    for number in range(100):
        optimizer.zero_grad()
        sum(p.square().sum() for p in parameters.values()).backward()
        optim.set_rate(optimizer, 0.03 * (1 - number / 100))
        optimizer.step()
    optim.training_mode(optimizer, False)
    assert sum(float(p.square().sum()) for p in parameters.values()) < 0.3 * start


def test_lion_by_hand() -> None:
    """c = 0.9 m + 0.1 g; w -= rate (sign c + decay w); m = 0.99 m + 0.01 g."""
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = optim.Lion([parameter], lr=0.1, weight_decay=0.5)
    weight, momentum = [1.0, -2.0, 0.5], [0.0, 0.0, 0.0]
    for gradient in ([0.3, -0.2, 0.0], [-0.02, 5.0, 1.0]):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        for at, g in enumerate(gradient):
            mixed = 0.9 * momentum[at] + 0.1 * g
            sign = (mixed > 0) - (mixed < 0)
            weight[at] -= 0.1 * (sign + 0.5 * weight[at])
            momentum[at] = 0.99 * momentum[at] + 0.01 * g
    assert parameter.tolist() == pytest.approx(weight, abs=1e-6)


def test_lion_is_bitsandbytes_lion() -> None:
    from bitsandbytes.optim import Lion32bit

    ours, theirs = weights(), weights()
    pairs = [
        (ours, optim.build(ours.values(), Config("lion"), 5)),
        (theirs, Lion32bit(theirs.values(), lr=1e-2, weight_decay=0.01)),
    ]
    for parameters, optimizer in pairs:
        for number in range(5):
            step(parameters, optimizer, number)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)


def test_states_in_8_bits_are_small_and_near_those_in_32() -> None:
    fine, coarse = weights(), weights()
    steps = [(fine, Config("adamw")), (coarse, Config("adamw_8bit"))]
    for parameters, config in steps:
        optimizer = optim.build(parameters.values(), config, 20)
        for number in range(20):
            step(parameters, optimizer, number)
        state = optim.tensors_of(parameters, optimizer)
        bytes_a_weight = sum(t.nbytes for n, t in state.items() if n.startswith("wide|")) / 5120
        assert bytes_a_weight == pytest.approx(8 if config.optimiser == "adamw" else 2, abs=0.1)
    moved = (fine["wide"] - weights()["wide"]).norm()
    assert float((fine["wide"] - coarse["wide"]).norm()) < 0.1 * float(moved.detach())


def test_a_library_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="bitsandbytes") as caught:
        optim.build(weights().values(), Config("lion_8bit"), 1)
    assert (caught.value.code, caught.value.field) == ("no_bitsandbytes", "optimiser")


def test_schedule_free_is_measured_at_the_average_and_goes_on_where_it_was() -> None:
    """With weights z moved by the gradient and their average x, gradients are taken at
    y = 0.9 x + 0.1 z."""
    parameters = weights()
    optimizer = optim.build(parameters.values(), Config("schedule_free"), 6)
    for number in range(4):
        step(parameters, optimizer, number)
    y = copies(parameters)
    optim.training_mode(optimizer, False)
    x = copies(parameters)
    optim.training_mode(optimizer, False)
    assert same(copies(parameters), x)
    z = {name: optimizer.state[p]["z"] for name, p in parameters.items()}
    for name in parameters:
        assert torch.allclose(y[name], 0.9 * x[name] + 0.1 * z[name], atol=1e-6)
    optim.training_mode(optimizer, True)
    assert same(copies(parameters), y)


def rates(total: int, **changes: Any) -> list[float]:
    config = Config(**{"learning_rate": 1.0, **changes})
    return [optim.rate_at(at, total, config) for at in range(total)]


def test_schedules() -> None:
    assert rates(4) == [1.0, 0.75, 0.5, 0.25]
    assert rates(5, warmup_ratio=0.4) == pytest.approx([0.5, 1.0, 1.0, 2 / 3, 1 / 3])
    assert rates(3, scheduler="cosine") == pytest.approx([1.0, 0.75, 0.25])
    assert rates(3, scheduler="constant") == [1.0, 1.0, 1.0]
    assert rates(4, optimiser="schedule_free", warmup_ratio=0.5) == [0.5, 1.0, 1.0, 1.0]


def test_gradients_that_stay_as_long_refine_to_the_linear_schedule() -> None:
    flat = ",".join(["2.5"] * 30)
    assert rates(30, scheduler="refined", refined_from=flat) == pytest.approx(rates(30))
    # a run of another length
    assert rates(50, scheduler="refined", refined_from=flat) == pytest.approx(rates(50))


def test_a_refined_schedule_by_hand() -> None:
    """Too short to be smoothed: w = 1/4, 1/2, 1 and what is to come 5/2, 2, 1 (the last once more)
    give 5/8, 1, 1."""
    assert optim.refined_schedule((4.0, 2.0, 1.0), 3) == pytest.approx((0.625, 1.0, 1.0))


def test_gradients_that_shrink_refine_to_a_rise_and_a_fall() -> None:
    lengths = tuple(1 / (1 + at) for at in range(100))
    found = optim.refined_schedule(lengths, 100)
    top = found.index(max(found))
    assert 30 < top < 70
    assert found[0] < 0.1
    assert found[-1] < 0.2
    assert all(0 < rate <= 1 for rate in found)


def test_one_wild_step_of_the_past_does_not_shape_the_schedule() -> None:
    calm = (1.0,) * 60
    wild = (*calm[:30], 1e6, *calm[31:])
    still = (*calm[:30], 0.0, *calm[31:])
    assert optim.refined_schedule(wild, 60) == pytest.approx(optim.refined_schedule(calm, 60))
    assert optim.refined_schedule(still, 60) == pytest.approx(optim.refined_schedule(calm, 60))
    assert all(math.isfinite(rate) for rate in optim.refined_schedule((0.0, 0.0, 0.0), 3))


@pytest.mark.parametrize("text", ["17", "one, two", "1, -2", "1, inf"])
def test_what_is_no_curve_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        optim.build(weights().values(), Config(scheduler="refined", refined_from=text), 4)
    assert (caught.value.code, caught.value.field) == ("bad_curve", "refined_from")


def test_a_rate_that_goes_with_another_optimiser_is_told() -> None:
    assert "high for Lion" in optim.advice(Config("lion", learning_rate=1e-4))
    assert "needs no schedule" in optim.advice(Config("schedule_free"))
    assert optim.advice(Config("adamw")) == ""
