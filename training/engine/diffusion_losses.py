"""The Diffusion-DPO loss (Wallace et al. 2023, arXiv 2311.12908, eq. 14) as pure functions.

Everything the loss sees of a pair are four numbers: the squared errors of the trained and of the
frozen model on the chosen and on the rejected picture, at one timestep and with one noise for
all four. Errors are averaged over elements, so beta is in the thousands.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import logsigmoid

from steelyard.lib.errors import UserError

PREDICTIONS = ("epsilon", "v_prediction")


class PairErrors(NamedTuple):
    """Mean squared errors in terms of the noise, one a pair, shape (pairs,)."""

    chosen: torch.Tensor
    rejected: torch.Tensor


class Rewards(NamedTuple):
    """How much better than the frozen model, in units of the loss, shape (pairs,)."""

    chosen: torch.Tensor
    rejected: torch.Tensor

    @property
    def margin(self) -> torch.Tensor:
        return self.chosen - self.rejected


def rewards(errors: PairErrors, reference: PairErrors, beta: float) -> Rewards:
    """-beta / 2 times the rise of the error over the frozen model's."""
    return Rewards(
        -0.5 * beta * (errors.chosen - reference.chosen),
        -0.5 * beta * (errors.rejected - reference.rejected),
    )


def diffusion_dpo(errors: PairErrors, reference: PairErrors, beta: float) -> torch.Tensor:
    """-log sigmoid of the reward margin, one a pair; ln 2 where nothing has been learnt yet."""
    return -logsigmoid(rewards(errors, reference, beta).margin)


def measures(
    losses: torch.Tensor, errors: PairErrors, reference: PairErrors, beta: float
) -> dict[str, torch.Tensor]:
    """What is logged, one value a pair; equal rewards count as one half of an agreement."""
    gained = rewards(errors, reference, beta)
    margin = gained.margin
    values = {
        "loss": losses,
        "reward_margin": margin,
        "reward_accuracy": ((margin > 0).float() + (margin >= 0).float()) / 2,
        "reward_chosen": gained.chosen,
        "reward_rejected": gained.rejected,
        "error_chosen": errors.chosen,
        "error_rejected": errors.rejected,
    }
    return {name: value.detach() for name, value in values.items()}


def means(measured: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Over all pairs of several batches."""
    return {name: float(torch.cat([m[name] for m in measured]).mean()) for name in measured[0]}


def corrupt(clean: torch.Tensor, noise: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Mix in noise: sqrt(kept) clean + sqrt(1 - kept) noise.

    Args:
        clean, noise: (items, channels, height, width).
        kept: the scheduler's alphas_cumprod at each item's timestep, (items,).
    """
    share = kept.view(-1, 1, 1, 1)
    return share.sqrt() * clean + (1 - share).sqrt() * noise


def noise_errors(
    output: torch.Tensor,
    *,
    clean: torch.Tensor,
    noise: torch.Tensor,
    kept: torch.Tensor,
    prediction: str,
) -> torch.Tensor:
    """Squared error of a model's output, in terms of the noise whatever it predicts, (items,).

    With v = sqrt(kept) noise - sqrt(1 - kept) clean, an error in v is the error in the noise
    divided by sqrt(kept). Taking it back makes one beta mean the same for both kinds of model.

    Args:
        prediction: ``epsilon`` or ``v_prediction``, as the scheduler's config says.
    """
    if prediction == "epsilon":
        return (output.float() - noise).square().flatten(1).mean(1)
    share = kept.view(-1, 1, 1, 1)
    velocity = share.sqrt() * noise - (1 - share).sqrt() * clean
    return kept * (output.float() - velocity).square().flatten(1).mean(1)


def check_prediction(prediction: str) -> str:
    """Refuse a model whose output these losses cannot read.

    Raises:
        UserError: ``bad_prediction_type``.
    """
    if prediction not in PREDICTIONS:
        raise UserError(
            f"The model's scheduler says that it predicts {prediction!r}; Diffusion-DPO reads "
            f"{' and '.join(PREDICTIONS)}. Choose another base model.",
            code="bad_prediction_type",
        )
    return prediction
