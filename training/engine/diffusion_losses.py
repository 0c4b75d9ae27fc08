"""What a pair of pictures or clips costs: pure functions of its squared errors.

Notation: ``errors`` are the trained model's mean squared errors on the chosen and on the rejected
sample, ``reference`` those of the frozen model, all four at one time and with one noise; the *rise*
is (errors.chosen - errors.rejected) - (reference.chosen - reference.rejected), and the *margin*
-beta / 2 times it. Errors are averaged over elements, so beta is in the thousands; ``beta / 2`` is
in all of these losses alike, so that one beta means one thing whichever is chosen. Where a paper
writes beta times the rise, its beta is half of ours: Diffusion-KTO's 1000 is 2000 here.

What may be laid on top of these losses stands in ``diffusion_losses_terms``.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LINEAR_SLOPE = 0.2
"""Of the line that Linear-DPO draws through the sigmoid."""
MAPO_STEPS = 1000.0
"""MaPO multiplies its margin by the steps of the noise schedule, which are 1000 in all it knew."""


class PairErrors(NamedTuple):
    """Mean squared errors, one a pair, shape (pairs,)."""

    chosen: Tensor
    rejected: Tensor


class Rewards(NamedTuple):
    """How much better than the frozen model, in units of the loss, shape (pairs,)."""

    chosen: Tensor
    rejected: Tensor

    @property
    def margin(self) -> Tensor:
        return self.chosen - self.rejected


class LossSettings(Protocol):
    """What :func:`pair_losses` reads of a config."""

    @property
    def loss_type(self) -> str: ...
    @property
    def linear_floor(self) -> float: ...
    @property
    def mapo_weight(self) -> float: ...
    @property
    def mapo_scale(self) -> float: ...
    @property
    def undesirable_weight(self) -> float: ...


def rewards(errors: PairErrors, reference: PairErrors, beta: float) -> Rewards:
    """-beta / 2 times the rise of each error over the frozen model's."""
    return Rewards(
        -0.5 * beta * (errors.chosen - reference.chosen),
        -0.5 * beta * (errors.rejected - reference.rejected),
    )


def diffusion_dpo(errors: PairErrors, reference: PairErrors, beta: float) -> Tensor:
    """-log sigmoid of the margin (Wallace et al. 2023, arXiv 2311.12908, eq. 14); ln 2 where
    nothing has been learnt yet, where its slopes are beta / 4 and -beta / 4.

    On errors of a rectified flow's own output this is Flow-DPO with a constant beta (Liu et al.
    2025, arXiv 2501.13918); on errors in terms of the noise the one with beta (1 - t)^2.
    """
    return -logsigmoid(rewards(errors, reference, beta).margin)


def ipo(errors: PairErrors, reference: PairErrors, beta: float) -> Tensor:
    """(-rise - 1 / (2 beta))^2: least where the margin is 1/4, and more beyond it (Azar et al.
    2023, on errors as in the public Diffusion-DPO scripts)."""
    rise = (errors.chosen - errors.rejected) - (reference.chosen - reference.rejected)
    return (-rise - 1 / (2 * beta)).square()


def kto(
    errors: Tensor, reference: Tensor, good: Tensor, beta: float, drift: Tensor | float
) -> Tensor:
    """1 - sigmoid of how far a single sample is on the right side of the model's drift (Diffusion-
    KTO, Li et al. 2024, arXiv 2404.04465).

    Args:
        errors, reference: of single samples, (samples,).
        good: 1 where the sample is liked and -1 where it is not, (samples,).
        drift: by how much the model has become better at the samples of the whole step, in units
            of the reward: :func:`kto_drift`. No gradient goes through it.
    """
    reward = -0.5 * beta * (errors - reference)
    return 1 - torch.sigmoid(good * (reward - drift))


def kto_drift(errors: Tensor, reference: Tensor, beta: float) -> Tensor:
    """The mean reward of all samples of a step, never below zero, (): KTO's estimate of the KL."""
    return (-0.5 * beta * (errors - reference)).mean().clamp(min=0).detach()


def kto_pairs(
    errors: PairErrors,
    reference: PairErrors,
    good: PairErrors,
    beta: float,
    drift: Tensor | float,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """:func:`kto` of both samples of each pair by themselves, (pairs,): their mean.

    Args:
        good: 1, -1, or 0 for a sample that says nothing; for a pair with a winner 1 and -1, for
            one whose samples are both bad -1 and -1.
    """
    parts = []
    for error, before, side in zip(errors, reference, good, strict=True):
        weight = torch.where(side < 0, undesirable_weight, 1.0) * side.abs()
        parts.append(weight * kto(error, before, side, beta, drift))
    return (parts[0] + parts[1]) / 2


def mapo(errors: PairErrors, *, weight: float, scale: float) -> Tensor:
    """The chosen error and a margin between both, without a reference (MaPO, Hong et al. 2024):
    error.chosen - weight log sigmoid(1000 (f(error.chosen) - f(error.rejected))).

    Here f(e) = ke / (exp(ke) - 1), which falls from 1 towards 0, and k is ``scale``.
    """
    margin = MAPO_STEPS * (_falling(errors.chosen, scale) - _falling(errors.rejected, scale))
    return errors.chosen - weight * logsigmoid(margin)


def _falling(error: Tensor, scale: float) -> Tensor:
    scaled = (scale * error).clamp(1e-6, 60.0)
    return scaled / torch.expm1(scaled)


def linear(errors: PairErrors, reference: PairErrors, beta: float, floor: float) -> Tensor:
    """w (error.chosen - error.rejected), where w has no gradient and is a line through the
    sigmoid that weighs a pair in DPO, from ``floor`` to 1 - ``floor`` (Linear-DPO, arXiv
    2605.21123; there with an EMA reference): learnt pairs go on counting a little."""
    margin = rewards(errors, reference, beta).margin
    weight = (0.5 - LINEAR_SLOPE * margin).clamp(floor, 1 - floor).detach()
    return weight * (errors.chosen - errors.rejected)


def dense_dpo(errors: PairErrors, reference: PairErrors, better: Tensor, beta: float) -> Tensor:
    """DPO on each segment of two clips by itself (DenseDPO, Wu et al. 2025, arXiv 2506.03517),
    (pairs,): the mean over the segments that say something.

    Args:
        errors, reference: (pairs, segments), averaged over each segment's own elements.
        better: 1 where the chosen clip is better in a segment, -1 where the rejected one is, 0
            where none is or nobody said, (pairs, segments).
    """
    margin = rewards(errors, reference, beta).margin
    losses = -logsigmoid(better * margin) * better.abs()
    return losses.sum(1) / better.abs().sum(1).clamp(min=1e-9)


def pair_losses(
    errors: PairErrors,
    reference: PairErrors,
    config: LossSettings,
    beta: float,
    *,
    good: PairErrors | None = None,
    drift: Tensor | float = 0.0,
) -> Tensor:
    """The losses that a config asks for, (pairs,)."""
    if config.loss_type == "ipo":
        return ipo(errors, reference, beta)
    if config.loss_type == "linear":
        return linear(errors, reference, beta, config.linear_floor)
    if config.loss_type == "mapo":
        return mapo(errors, weight=config.mapo_weight, scale=config.mapo_scale)
    if config.loss_type == "kto":
        assert good is not None
        weight = config.undesirable_weight
        return kto_pairs(errors, reference, good, beta, drift, weight)
    return diffusion_dpo(errors, reference, beta)


def slope_at_start(config: LossSettings, beta: float) -> float:
    """How hard the loss pulls at the chosen error before anything is learnt: what other terms are
    measured in, so that their weights mean the same beside every loss."""
    return {"ipo": 1 / beta, "linear": 0.5, "mapo": 1.0, "kto": beta / 16}.get(
        config.loss_type, beta / 4
    )


def beta_for(factor: float, rise: float) -> float:
    """The beta at which a pair whose rise is this large still counts ``factor`` of what it counts
    at full strength: sigmoid(-beta / 2 |rise|) = factor. Infinite where nothing has risen."""
    return 2 * log((1 - factor) / factor) / rise if rise > 0 else float("inf")
