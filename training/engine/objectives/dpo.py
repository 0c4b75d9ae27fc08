"""DPO and its kin: the model against the reference, on a chosen and a rejected answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steelyard.lib.records import PreferenceRecord
from training.engine.config import TextDPOConfig
from training.engine.data import Encoder, Example, preference
from training.engine.losses import LogProbs, pair_losses
from training.engine.losses_terms import length_desensitised, sft_mean, sft_sum
from training.engine.objectives.base import Objective, Seen


def rows(record: PreferenceRecord, encoder: Encoder, config: TextDPOConfig) -> Example | None:
    return preference(record, encoder)


def loss(seen: Seen, config: TextDPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    lp = log_probs(seen, config.ld_alpha)
    each = pair_losses(
        lp,
        seen.tie,
        config,
        has_ties=seen.has_ties,
        p=seen.p if config.soft_labels else None,
        lengths=(seen.length("chosen"), seen.length("rejected")),
        offset=config.strength_offset * seen.margin if config.strength_offset else None,
    )
    if config.weight_by == "agreement":
        each = each * seen.agreement
    elif config.weight_by == "strength":
        each = each * seen.margin
    more = rewards(lp, seen, config.beta)
    if config.sft_weight:
        chosen = seen.sum("chosen")
        if config.sft_form == "mean":
            term = sft_mean(chosen, seen.length("chosen"), weight=config.sft_weight)
        else:
            term = sft_sum(chosen, beta=config.beta, weight=config.sft_weight)
        # of a tie neither answer is one to write
        each = each + torch.where(seen.tie, 0.0, term)
        more["sft_loss"] = won(seen, term)
    return each, more


def log_probs(seen: Seen, ld_alpha: float = 1.0) -> LogProbs:
    """Summed log-probabilities; tokens beyond the shorter answer's length count ``ld_alpha``."""
    if ld_alpha == 1:
        return LogProbs(
            seen.sum("chosen"),
            seen.sum("rejected"),
            seen.reference_sum("chosen"),
            seen.reference_sum("rejected"),
        )
    shared = torch.minimum(seen.length("chosen"), seen.length("rejected"))

    def short(values: Tensor) -> Tensor:
        return length_desensitised(values, shared, alpha=ld_alpha)

    return LogProbs(
        short(seen.tokens("chosen")),
        short(seen.tokens("rejected")),
        short(seen.reference_tokens("chosen")),
        short(seen.reference_tokens("rejected")),
    )


def rewards(lp: LogProbs, seen: Seen, beta: float) -> dict[str, Tensor]:
    """What every objective with a reference tells of pairs that have a winner.

    A reward is beta * (log p - log p_ref). ``reward_accuracy`` counts equal rewards as one half, so
    that it is 0.5 before training, not 0.
    """
    chosen = beta * (lp.chosen - lp.reference_chosen)
    rejected = beta * (lp.rejected - lp.reference_rejected)
    values: dict[str, Any] = {
        "reward_margin": chosen - rejected,
        "reward_accuracy": ((chosen > rejected).float() + (chosen >= rejected).float()) / 2,
        "reward_chosen": chosen,
        "reward_rejected": rejected,
        "logp_chosen": seen.sum("chosen"),
        "logp_rejected": seen.sum("rejected"),
    }
    return {name: won(seen, value) for name, value in values.items()}


def won(seen: Seen, values: Tensor) -> Tensor:
    """The values of examples that have a winner; NaN for ties."""
    return torch.where(seen.tie, torch.nan, values.detach())


def notes(config: TextDPOConfig, has_ties: bool) -> list[str]:
    if not has_ties or config.soft_labels or config.loss_type != "sigmoid":
        return []
    if config.ties == "half":
        return []
    return [
        f"The data hold ties, so the loss is that of {config.ties} with {config.tie_share:g} "
        "of equals tied; before training it is above the 0.693 of a loss without ties."
    ]


DPO = Objective(rows, frozenset({"chosen", "rejected"}), loss, notes)
