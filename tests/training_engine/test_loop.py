"""The shared pieces of a loop: functions of (config, step) alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from steelyard.lib.errors import UserError
from training.engine.config import TextDPOConfig
from training.engine.loop import (
    LOOK_BACK,
    check_diverged,
    check_finite,
    clip_gradients,
    learning_rate_at,
    rows_of_step,
    seed_step,
    steps_in,
    steps_in_epoch,
    worse_than_before,
)


@pytest.mark.parametrize(("rows", "per_step"), [(10, 3), (12, 4), (1, 8), (7, 1)])
def test_every_epoch_takes_every_row_once(rows: int, per_step: int) -> None:
    steps = steps_in_epoch(rows, per_step)
    for epoch in range(3):
        taken = [
            row
            for step in range(epoch * steps, (epoch + 1) * steps)
            for row in rows_of_step(step, rows=rows, per_step=per_step, seed=4)
        ]
        assert Counter(taken) == Counter(range(rows))


def test_a_started_step_counts() -> None:
    assert [steps_in(epochs, 10, 3) for epochs in (0.1, 0.5, 1, 2)] == [1, 2, 4, 8]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(step: int, seed: int) -> list[int]:
        return rows_of_step(step, rows=50, per_step=50, seed=seed)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(1, 1)
    assert order(0, 1) != order(0, 2)


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    alone = rows_of_step(17, rows=30, per_step=4, seed=0)
    for step in reversed(range(40)):
        rows_of_step(step, rows=30, per_step=4, seed=0)
    assert rows_of_step(17, rows=30, per_step=4, seed=0) == alone


def test_the_rate_rises_then_falls_as_told() -> None:
    def rates(scheduler: str) -> list[float]:
        config = TextDPOConfig.from_dict(
            {"learning_rate": 1.0, "warmup_ratio": 0.2, "scheduler": scheduler}
        )
        return [learning_rate_at(step, 10, config) for step in range(10)]

    assert rates("constant") == [0.5] + [1.0] * 9
    assert rates("linear") == pytest.approx(
        [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )
    cosine = [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert rates("cosine") == pytest.approx([0.5, 1.0, *cosine])


def test_draws_depend_on_seed_step_and_place() -> None:
    def draw(*key: int) -> float:
        seed_step(*key)
        return float(torch.rand(()))

    assert draw(0, 3, 1) == draw(0, 3, 1)
    assert len({draw(0, 3, 1), draw(0, 3, 2), draw(0, 4, 1), draw(1, 3, 1)}) == 4


def test_long_gradients_are_shortened() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients([parameter], 0) == 5.0
    assert parameter.grad.tolist() == [3.0, 4.0]
    assert clip_gradients([parameter], 1.0) == 5.0
    assert parameter.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_bad_numbers_stop_the_run(value: float) -> None:
    check_finite(3, TextDPOConfig(), loss=0.5)
    with pytest.raises(UserError, match=f"grad norm became {value} at step 3") as caught:
        check_finite(3, TextDPOConfig(), loss=0.5, grad_norm=value)
    assert caught.value.code == "nan_loss"


def test_a_loss_far_above_its_start_for_many_steps_stops_the_run() -> None:
    high = [50.0] * LOOK_BACK
    with pytest.raises(UserError, match=r"at least 50 for 20 steps, against 0.693") as caught:
        check_diverged(30, 0.693, high, TextDPOConfig())
    assert caught.value.code == "diverged"
    # not yet, not once, not above a start that was high itself
    check_diverged(19, 0.693, high[1:], TextDPOConfig())
    check_diverged(30, 0.693, [*high[1:], 0.6], TextDPOConfig())
    check_diverged(30, 25.0, high, TextDPOConfig())


def test_bad_numbers_name_the_rows_they_came_from() -> None:
    where = [f"row {n}" for n in range(1, 8)]
    with pytest.raises(UserError, match=r"at step 3, at row 1, row 2, .* row 5 and 2 more"):
        check_finite(3, TextDPOConfig(), where, loss=math.nan)


def test_a_loss_is_called_worse_where_it_ends_clearly_above_its_start() -> None:
    config, start = TextDPOConfig(), {"loss": 0.693, "test_loss": 0.693}
    tested = {"loss": 0.2, "test_loss": 3.48}
    assert "test loss ended at 3.48, above the 0.693" in worse_than_before(
        start, tested, [0.2], config
    )
    assert worse_than_before(start, {"loss": 0.2, "test_loss": 0.72}, [9.0], config) == ""
    assert "The loss ended at 1.5" in worse_than_before(start, {"loss": 1.0}, [1.0, 2.0], config)
    assert worse_than_before(start, {"loss": 0.5}, [0.5], config) == ""
    assert worse_than_before({}, {}, [], config) == ""
