"""The denoiser that is trained, and the reference that it is held against.

======================================  ======================================================
reference                               is
======================================  ======================================================
``train lora``                          the same denoiser with its adapter off: no memory
``train all``                           a frozen copy; none where all draws are prepared
``ema_decay``                           a running mean of what is trained, laid in for the pass
``reference_draws``                     errors that were measured before the first step
======================================  ======================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from peft.helpers import disable_input_dtype_casting
from torch import Tensor, nn

from steelyard.inference.image_adapters import add_adapter, merge_adapters
from steelyard.lib.hashing import stable_int
from steelyard.lib.said import Said
from training.engine.config import DiffusionDPOConfig, names_in
from training.engine.diffusion_losses import PairErrors
from training.engine.diffusion_losses_terms import part_errors
from training.engine.families import Discrete, Family
from training.engine.reference import weights_digest
from training.engine.words import WORDS


class Corrupted(Protocol):
    """What is read of a batch: all chosen samples, then all rejected ones with the same noise."""

    @property
    def clean(self) -> Tensor: ...
    @property
    def noise(self) -> Tensor: ...
    @property
    def times(self) -> Tensor: ...
    @property
    def prompts(self) -> dict[str, Tensor]: ...
    @property
    def size(self) -> tuple[int, int]: ...


class Output(NamedTuple):
    """What the denoiser says of a batch."""

    errors: Tensor
    """Mean squared errors, (2 x pairs,), or (2 x pairs, parts) where parts were asked for."""
    off: Tensor
    """Its output less the target, shaped like the batch."""

    @property
    def pairs(self) -> PairErrors:
        return pairs_of(self.errors)


@dataclass
class DiffusionModel:
    family: Family
    denoiser: Any
    """In eval mode, so that no dropout tells it from its reference."""
    device: torch.device
    dtype: torch.dtype
    """Of frozen weights, and what a GPU calculates in."""
    trained: str
    """lora or all."""
    unit: str
    """noise or prediction: in terms of what errors are measured."""
    frozen: Any = None
    """A copy from before training, where all weights are trained and it is asked."""
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
    """What is trained, by name."""
    mean: dict[str, nn.Parameter] = field(default_factory=dict)
    """A running mean of it, where that is the reference."""

    def look(self, batch: Corrupted, parts: Tensor | None = None, denoiser: Any = None) -> Output:
        """The trained model's errors.

        Args:
            parts: of each sample, as :func:`.diffusion_losses_terms.part_errors` takes them.
            denoiser: another than the trained one.
        """
        schedule = self.family.schedule
        noisy = schedule.corrupt(batch.clean, batch.noise, batch.times)
        target = schedule.target(batch.clean, batch.noise, batch.times)
        with self._precision():
            output = self.family.predict(
                denoiser or self.denoiser, noisy, batch.times, batch.prompts, batch.size
            )
        off = output.float() - target
        return Output(part_errors(off.square(), parts), off)

    def in_unit(self, errors: Tensor, times: Tensor) -> Tensor:
        """Errors of the model's own output as the losses take them: in terms of the noise, unless
        the run says otherwise."""
        if self.unit == "prediction":
            return errors
        factor = self.family.schedule.in_noise(times).to(errors)
        return errors * (factor if errors.ndim == 1 else factor[:, None])

    @torch.no_grad()
    def reference(self, batch: Corrupted, parts: Tensor | None = None) -> Tensor:
        """The reference's errors, as :meth:`look` gives the trained model's."""
        if self.mean:
            with self._at_mean():
                return self.look(batch, parts).errors
        if self.trained == "all":
            return self.look(batch, parts, self.frozen).errors
        return self.reference_before(batch, parts)

    @torch.no_grad()
    def reference_before(self, batch: Corrupted, parts: Tensor | None = None) -> Tensor:
        """The same of the model as it was before training; where all weights are trained, to be
        asked before the first step."""
        if self.trained == "all":
            return self.look(batch, parts).errors
        self.denoiser.disable_adapters()
        try:
            return self.look(batch, parts).errors
        finally:
            self.denoiser.enable_adapters()

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the running mean after a step."""
        for name, mean in self.mean.items():
            mean.lerp_(self.parameters[name], 1 - decay)

    @contextmanager
    def _at_mean(self) -> Iterator[None]:
        own = {name: parameter.data for name, parameter in self.parameters.items()}
        for name, parameter in self.parameters.items():
            parameter.data = self.mean[name].data
        try:
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data = own[name]

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """On a GPU float32 weights, an adapter's or all, are multiplied in ``dtype``."""
        with ExitStack() as stack:
            if self.device.type == "cuda" and self.dtype != torch.float32:
                stack.enter_context(torch.autocast("cuda", self.dtype))
                if self.trained == "lora":
                    # PEFT would bring what enters an adapter to float32 and autocast back again
                    stack.enter_context(disable_input_dtype_casting(self.denoiser))
            yield

    def level(self, times: Tensor) -> Tensor:
        """How far towards pure noise each time is, 0 to 1."""
        schedule = self.family.schedule
        return times / len(schedule.kept) if isinstance(schedule, Discrete) else times


def pairs_of(errors: Tensor) -> PairErrors:
    """All chosen samples' errors and all rejected ones', apart."""
    chosen, rejected = errors.chunk(2)
    return PairErrors(chosen, rejected)


def open_model(
    family: Family,
    base: dict[str, Any],
    config: DiffusionDPOConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[DiffusionModel, str]:
    """The family's denoiser with earlier adapters merged in, and what is to be trained of it: a new
    adapter that changes nothing yet, or all weights.

    Args:
        base: the spec of the model to start from.
        dtype: of the frozen weights; what is trained is float32.

    Returns:
        Also the digest of what the frozen model's errors depend on.

    Raises:
        UserError: an adapter is missing or does not fit, a layer or the kind of prediction is
            unknown.
    """
    denoiser = family.load_denoiser(dtype if config.train == "lora" else torch.float32)
    merge_adapters(denoiser, base.get("adapters", ()))
    digest = f"{weights_digest(denoiser)} in {dtype}"
    if config.train == "lora":
        torch.manual_seed(stable_int(config.seed, "adapter"))
        targets = names_in(config.lora_targets) or family.lora_targets
        add_adapter(denoiser, rank=config.lora_rank, alpha=config.lora_alpha, targets=targets)
    else:
        denoiser.requires_grad_(True)
    if config.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()
    denoiser.to(device).eval()
    if config.channels_last:
        denoiser.to(memory_format=torch.channels_last)
    flow = family.schedule.prediction == "flow"
    auto = "prediction" if flow else "noise"
    unit = auto if config.error_unit == "auto" else config.error_unit
    model = DiffusionModel(family, denoiser, device, dtype, config.train, unit)
    model.parameters = {n: p for n, p in denoiser.named_parameters() if p.requires_grad}
    if config.ema_decay:
        model.mean = {
            name: nn.Parameter(parameter.detach().clone(), requires_grad=False)
            for name, parameter in model.parameters.items()
        }
    elif config.train == "all" and config.referenced and not config.reference_draws:
        model.frozen = deepcopy(denoiser).requires_grad_(False)
    return model, digest


def compile_blocks(denoiser: Any) -> str:
    """Have torch.compile make kernels for the blocks that repeat; why not, where it cannot."""
    try:
        denoiser.compile_repeated_blocks()
    except ValueError as error:
        return Said(WORDS, "no_blocks", error=error)
    return ""
