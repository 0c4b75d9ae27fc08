"""How weights are moved: optimisers, learning-rate schedules, and their state in checkpoints.

====================  ===========================================================================
``adamw``             AdamW of torch, fused
``adamw_8bit``        its two moments in 8 bits by blocks (Dettmers et al. 2022), by bitsandbytes
``lion``              the sign of a mixed momentum (Chen et al. 2023); one moment, float32
``lion_8bit``         the same with its moment in 8 bits, by bitsandbytes
``schedule_free``     AdamW whose averaged weights need no schedule (Defazio et al. 2024)
====================  ===========================================================================

An optimiser's state goes into a checkpoint as plain tensors (:func:`tensors_of`) and comes back to
the bit (:func:`restore`), so that a resumed run moves on as one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.distributed import full, laid_out
from training.engine.words import WORDS

EIGHT_BIT = ("adamw_8bit", "lion_8bit")
LION_RATE = 2e-5
"""Above this a learning rate is more likely one of AdamW's than one of Lion's, with an adapter."""
_SMOOTHING = 0.1
"""Share of a run over which gradient lengths are smoothed before they shape a schedule."""
_OF_GROUP = ("k", "weight_sum", "lr_max")
"""What schedule-free AdamW counts for all parameters together."""
_TABLES = ("qmap1", "qmap2")
"""Constant tables of bitsandbytes, one for all parameters: they are not part of the state."""
_AT = "y"
"""Where the gradient is taken, kept while the weights are the averaged ones."""


class Settings(Protocol):
    """What is read of a config."""

    @property
    def optimiser(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def scheduler(self) -> str: ...
    @property
    def warmup_ratio(self) -> float: ...
    @property
    def refined_from(self) -> str: ...


class Lion(torch.optim.Optimizer):
    """EvoLved sIgn mOmeNtum (Chen et al. 2023, algorithm 2), decoupled weight decay."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            rate, (mix, keep), decay = group["lr"], group["betas"], group["weight_decay"]
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                if "exp_avg" not in state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                momentum, gradient = state["exp_avg"], parameter.grad
                direction = momentum.mul(mix).add_(gradient, alpha=1 - mix).sign_()
                parameter.mul_(1 - rate * decay).add_(direction, alpha=-rate)
                momentum.mul_(keep).add_(gradient, alpha=1 - keep)


def build(
    parameters: Iterable[nn.Parameter], config: Settings, total_steps: int
) -> torch.optim.Optimizer:
    """The optimiser that a config asks for; its rate is set before each step by :func:`set_rate`.

    Args:
        total_steps: of the whole run; a curve that refines the schedule is checked against it.

    Raises:
        UserError: bitsandbytes cannot be loaded here, or does not take these parameters; or
            ``refined_from`` is no curve.
    """
    if config.scheduler == "refined":
        rate_at(0, total_steps, config)
    held = list(parameters)
    options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    sharded = any(hasattr(parameter, "full_tensor") for parameter in held)
    if config.optimiser == "adamw":
        return torch.optim.AdamW(held, fused=True, **options)
    if config.optimiser == "lion":
        return Lion(held, **options)
    if sharded:
        raise UserError(
            Said(WORDS, "not_sharded", optimiser=config.optimiser),
            code="not_sharded",
            field="optimiser",
        )
    if config.optimiser == "schedule_free":
        from schedulefree import AdamWScheduleFree

        averaging = AdamWScheduleFree(held, **options)
        averaging.train()
        return averaging
    bits = _bitsandbytes()
    return {"adamw_8bit": bits.AdamW8bit, "lion_8bit": bits.Lion8bit}[config.optimiser](
        held, **options
    )


def _bitsandbytes() -> Any:
    """
    Raises:
        UserError: it is not here, or was not made for this machine.
    """
    try:
        from bitsandbytes import optim
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            Said(WORDS, "no_bitsandbytes", error=error),
            code="no_bitsandbytes",
            field="optimiser",
        ) from error
    return optim


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def training_mode(optimizer: torch.optim.Optimizer, on: bool) -> bool:
    """Put schedule-free AdamW's weights where gradients are taken, or where the model is good.

    Off before measuring and saving: the weights are then the average that is the result. On before
    a step: they are back to the bit. Other optimisers have one place, so nothing happens.

    Returns:
        Whether it was on before.
    """
    groups: list[dict[str, Any]] = optimizer.param_groups
    if "train_mode" not in groups[0]:
        return True
    before = bool(groups[0]["train_mode"])
    averaging: Any = optimizer
    if before and not on:
        for group in groups:
            for parameter in group["params"]:
                if "z" in optimizer.state[parameter]:
                    optimizer.state[parameter][_AT] = parameter.detach().clone()
        averaging.eval()
    elif on and not before:
        for group in groups:
            for parameter in group["params"]:
                if _AT in optimizer.state[parameter]:
                    parameter.copy_(optimizer.state[parameter].pop(_AT))
            group["train_mode"] = True
    return before


def tensors_of(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """The state as tensors, named ``parameter|key``; numbers with ``#int`` or ``#float`` behind.

    Where weights are sharded, every process has to call this.
    """
    found: dict[str, Any] = {
        f"{name}|{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
        if key not in _TABLES
    }
    group = optimizer.param_groups[0]
    found |= {f"|{key}": group[key] for key in _OF_GROUP if key in group}
    return dict(_as_tensor(name, value) for name, value in found.items())


def _as_tensor(name: str, value: Any) -> tuple[str, Tensor]:
    if isinstance(value, Tensor):
        return name, full(value)
    if isinstance(value, int):
        return f"{name}#int", torch.tensor(value, dtype=torch.int64)
    return f"{name}#float", torch.tensor(value, dtype=torch.float64)


def restore(
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    saved: Mapping[str, Tensor],
) -> None:
    """Put back what :func:`tensors_of` gave; the parameters hold what was saved beside it."""
    for joined, tensor in saved.items():
        name, _, key = joined.rpartition("|")
        key, _, kind = key.partition("#")
        value: Any = {"int": int, "float": float}[kind](tensor) if kind else tensor
        if not name:
            for group in optimizer.param_groups:
                group[key] = value
            continue
        parameter = parameters[name]
        if isinstance(value, Tensor):
            value = laid_out(value, like=parameter)
        optimizer.state[parameter][key] = value
    _restore_tables(optimizer)
    if any(_AT in state for state in optimizer.state.values()):
        for group in optimizer.param_groups:
            group["train_mode"] = False
        training_mode(optimizer, True)


def _restore_tables(optimizer: torch.optim.Optimizer) -> None:
    tables = getattr(optimizer, "name2qmap", {})
    for parameter, state in optimizer.state.items():
        if "absmax1" in state:
            state["qmap1"] = tables["dynamic"] = tables["dynamic"].to(parameter.device)
        if "absmax2" in state:
            state["qmap2"] = tables["udynamic"] = tables["udynamic"].to(parameter.device)


def rate_at(step: int, total: int, config: Settings) -> float:
    """The learning rate of step number ``step`` (from 0) of ``total``: warm-up, then the schedule.

    ``schedule_free`` stays at its peak after the warm-up, whatever the schedule; ``refined`` has
    a warm-up of its own.
    """
    if config.scheduler == "refined" and config.optimiser != "schedule_free":
        return config.learning_rate * refined_schedule(curve_in(config.refined_from), total)[step]
    warmup = math.ceil(total * config.warmup_ratio)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.scheduler == "constant" or config.optimiser == "schedule_free":
        return config.learning_rate
    passed = (step - warmup) / max(1, total - warmup)
    if config.scheduler == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * passed))
    return config.learning_rate * (1 - passed)


def curve_in(text: str) -> tuple[float, ...]:
    """The numbers of ``refined_from``: a past run's gradient lengths, step by step.

    Raises:
        UserError: there are fewer than two, or one is no number above or at 0.
    """
    try:
        numbers = tuple(float(word) for word in text.split(",") if word.strip())
    except ValueError:
        numbers = ()
    if len(numbers) < 2 or not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise UserError(
            Said(WORDS, "bad_curve"),
            code="bad_curve",
            field="refined_from",
        )
    return numbers


@lru_cache(maxsize=4)
def refined_schedule(lengths: Sequence[float], total: int) -> tuple[float, ...]:
    """Learning rates, at most 1, for a run of ``total`` steps like one with these gradients.

    Defazio et al. 2023 ("When, why and how much?"), algorithm 1 for Adam: with G the lengths
    (L1) smoothed by a running median, w_t = 1 / G_t and the rate is w_t times the sum of the w
    that are still to come. Gradients that stay as long give the linear schedule exactly (here the
    sum counts one more step than there is, so that the last one moves too); those that shrink give
    a rise before the fall.

    Args:
        lengths: of a past run, at even distances; stretched where it had another number of steps.
    """
    smooth = _running_median(lengths, max(1, 2 * (int(_SMOOTHING * len(lengths)) // 2) + 1))
    # a length of almost nothing would give one step all of the rate
    floor = 1e-3 * median(smooth) or 1.0
    weights = [1 / max(length, floor) for length in _stretched(smooth, total)]
    to_come, rates = weights[-1], []
    for weight in reversed(weights):
        rates.append(weight * to_come)
        to_come += weight
    most = max(rates)
    return tuple(rate / most for rate in reversed(rates))


def _running_median(values: Sequence[float], width: int) -> list[float]:
    """As long as ``values``: the first is repeated before them, the end is mirrored behind."""
    half = width // 2
    mirrored = list(values[len(values) - half :])[::-1]
    padded = [values[0]] * half + list(values) + mirrored
    return [median(padded[at : at + width]) for at in range(len(values))]


def _stretched(values: Sequence[float], count: int) -> list[float]:
    if len(values) == count:
        return list(values)
    found = []
    for place in range(count):
        at = place * (len(values) - 1) / max(1, count - 1)
        left = min(int(at), len(values) - 2)
        found.append(values[left] + (at - left) * (values[left + 1] - values[left]))
    return found


def advice(config: Settings) -> str:
    """What to say of a rate that does not go with the optimiser; empty where it does."""
    if config.optimiser in ("lion", "lion_8bit") and config.learning_rate > LION_RATE:
        return Said(WORDS, "rate_high_lion", rate=f"{config.learning_rate:g}")
    if config.optimiser == "schedule_free" and config.scheduler != "constant":
        return Said(WORDS, "no_schedule")
    return ""
