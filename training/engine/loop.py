"""Pieces of a training loop that every recipe shares: order, learning rate, device, bad losses.

All are functions of (config, step), never of what a process did before, so that a run resumed
anywhere follows the curve of one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int, stable_uniform

LOOK_BACK = 20
"""Over how many steps what is said at the end looks at noisy numbers."""
NAMED = 5
"""How many rows an error names."""
DIVERGED = 10.0
"""How many times the loss of the start, or 1 where that is more, a diverged loss lies above it."""
CLEARLY = 0.1
"""How much higher than at the start, as a share of that, a loss must end to be called worse."""


class OptimiserSettings(Protocol):
    """What the helpers below read of a config."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup_ratio(self) -> float: ...
    @property
    def scheduler(self) -> str: ...
    @property
    def max_grad_norm(self) -> float: ...


class MachineSettings(Protocol):
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def threads(self) -> int: ...


def choose_machine(config: MachineSettings) -> tuple[torch.device, torch.dtype]:
    """The device, and the number format of frozen weights; also sets the CPU threads.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "device is cuda, but this machine has no GPU that torch can use. "
            "Choose auto or cpu, or start the run on a machine with one.",
            code="no_gpu",
            field="device",
        )
    name = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    auto = "bfloat16" if name == "cuda" else "float32"
    return torch.device(name), getattr(torch, auto if config.dtype == "auto" else config.dtype)


def steps_in_epoch(rows: int, per_step: int) -> int:
    """The last step of an epoch may hold fewer rows; none is left out or taken twice."""
    return math.ceil(rows / per_step)


def steps_in(epochs: float, rows: int, per_step: int) -> int:
    """Steps of a whole run; a started step counts."""
    return math.ceil(epochs * steps_in_epoch(rows, per_step))


def rows_of_step(step: int, *, rows: int, per_step: int, seed: int) -> list[int]:
    """Which rows step number ``step`` (from 0) trains on.

    Every epoch is a new permutation of all rows, drawn from (seed, epoch, row).
    """
    epoch, place = divmod(step, steps_in_epoch(rows, per_step))
    return list(_order(rows, seed, epoch)[place * per_step : (place + 1) * per_step])


@lru_cache(maxsize=2)
def _order(rows: int, seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(sorted(range(rows), key=lambda row: stable_uniform(seed, "order", epoch, row)))


def learning_rate_at(step: int, total: int, config: OptimiserSettings) -> float:
    """The rate of step number ``step`` (from 0) of ``total``: warm-up, then the schedule."""
    warmup = math.ceil(total * config.warmup_ratio)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.scheduler == "constant":
        return config.learning_rate
    passed = (step - warmup) / max(1, total - warmup)
    if config.scheduler == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * passed))
    return config.learning_rate * (1 - passed)


def seed_step(seed: int, step: int, place: int = 0) -> None:
    """Set torch's generators for one pass, so that dropout depends on (seed, step, place)."""
    torch.manual_seed(stable_int(seed, "step", step, place))


def clip_gradients(parameters: list[torch.nn.Parameter], limit: float) -> float:
    """Shorten the gradient to ``limit`` (0: leave it) and return its length before."""
    return float(torch.nn.utils.clip_grad_norm_(parameters, limit or math.inf))


def check_finite(
    step: int, config: OptimiserSettings, where: Sequence[str] = (), **values: float
) -> None:
    """Stop a run whose numbers went bad, before its weights are written over good ones.

    Args:
        where: the rows that gave them, in words.

    Raises:
        UserError: ``nan_loss``, with the step, the value, the rows and what to try.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise UserError(
                f"{name.replace('_', ' ')} became {value} at step {step}{_at(where)}. The model "
                "up to the last checkpoint is unharmed, but training on would not help. Lower "
                f"learning_rate (now {config.learning_rate:g}) by a factor of 3 to 10, or lower "
                f"max_grad_norm (now {config.max_grad_norm:g}), and start a new run.",
                code="nan_loss",
                field="learning_rate",
            )


def _at(where: Sequence[str]) -> str:
    more = f" and {len(where) - NAMED} more" if len(where) > NAMED else ""
    return f", at {', '.join(where[:NAMED])}{more}" if where else ""


def check_diverged(
    step: int, first: float, losses: Sequence[float], config: OptimiserSettings
) -> None:
    """Stop a run whose loss has been far above its start for all of the last LOOK_BACK steps.

    Raises:
        UserError: ``diverged``, with the step and what to try.
    """
    if len(losses) == LOOK_BACK and min(losses) > first + DIVERGED * max(1.0, abs(first)):
        raise UserError(
            f"At step {step} the loss has been at least {min(losses):.3g} for {LOOK_BACK} steps, "
            f"against {first:.3g} at the start: training has diverged. Lower learning_rate (now "
            f"{config.learning_rate:g}) by a factor of 3 to 10, or set max_grad_norm (now "
            f"{config.max_grad_norm:g}) to 1, and start a new run.",
            code="diverged",
            field="learning_rate",
        )


def worse_than_before(
    first: dict[str, float],
    last: dict[str, float],
    losses: Sequence[float],
    config: OptimiserSettings,
) -> str:
    """What to say of a run whose loss ended clearly above its start; empty where it did not.

    Args:
        first, last: the first and the newest value of each metric; the test loss counts where
            there is one.
        losses: the training losses of the last LOOK_BACK steps, whose mean counts where not.
    """
    if "test_loss" in last:
        name, start, end = "test loss", first["test_loss"], last["test_loss"]
    elif losses:
        name, start, end = "loss", first["loss"], sum(losses) / len(losses)
    else:
        return ""
    if end <= start + CLEARLY * abs(start):
        return ""
    return (
        f"The {name} ended at {end:.3g}, above the {start:.3g} of the model it started from: "
        "training made the model worse at these preferences, not better. Lower learning_rate (now "
        f"{config.learning_rate:g}) by a factor of 3 to 10, or train for fewer steps."
    )
