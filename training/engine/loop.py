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
from steelyard.lib.said import Said, listed
from training.engine.words import WORDS

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
            Said(WORDS, "no_gpu"),
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
                Said(
                    WORDS,
                    "not_finite",
                    name=_called(name),
                    value=value,
                    step=step,
                    where=_at(where),
                    rate=f"{config.learning_rate:g}",
                    norm=f"{config.max_grad_norm:g}",
                ),
                code="nan_loss",
                field="learning_rate",
            )


def _at(where: Sequence[str]) -> str:
    return Said(WORDS, "at_rows", rows=listed(where, NAMED)) if where else ""


def _called(name: str) -> str:
    code = f"name_{name}"
    return Said(WORDS, code) if code in WORDS else name.replace("_", " ")


def check_diverged(
    step: int, first: float, losses: Sequence[float], config: OptimiserSettings
) -> None:
    """Stop a run whose loss has been far above its start for all of the last LOOK_BACK steps.

    Raises:
        UserError: ``diverged``, with the step and what to try.
    """
    if len(losses) == LOOK_BACK and min(losses) > first + DIVERGED * max(1.0, abs(first)):
        raise UserError(
            Said(
                WORDS,
                "diverged",
                step=step,
                least=f"{min(losses):.3g}",
                steps=LOOK_BACK,
                first=f"{first:.3g}",
                rate=f"{config.learning_rate:g}",
                norm=f"{config.max_grad_norm:g}",
            ),
            code="diverged",
            field="learning_rate",
        )


def what_is_trained(trained: str, rank: int) -> Said:
    """In words: an adapter, all weights, or a part of them."""
    code = f"what_{trained}" if trained in {"lora", "all"} else "what_part"
    return Said(WORDS, code, trained=trained, rank=rank)


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
        name, start, end = "test_loss", first["test_loss"], last["test_loss"]
    elif losses:
        name, start, end = "loss", first["loss"], sum(losses) / len(losses)
    else:
        return ""
    if end <= start + CLEARLY * abs(start):
        return ""
    return Said(
        WORDS,
        "worse",
        name=_called(name),
        end=f"{end:.3g}",
        start=f"{start:.3g}",
        rate=f"{config.learning_rate:g}",
    )
