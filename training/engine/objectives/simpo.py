"""SimPO, and RRHF of two answers: likelihood per token, without a reference."""

from __future__ import annotations

import torch
from torch import Tensor

from training.engine import losses_other, losses_terms
from training.engine.config.objectives import SimPOConfig
from training.engine.data import preference
from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import won


def loss(seen: Seen, config: SimPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    chosen, rejected = seen.mean("chosen"), seen.mean("rejected")
    p = share_for_chosen(seen, soft=config.soft_labels)
    if config.loss_type == "rrhf":
        # a score of 1 against 0 is all that a pair says
        means, scores = torch.stack([chosen, rejected], 1), torch.tensor([[1.0, 0.0]]).to(chosen)
        kept = losses_other.rrhf(means, scores, seen.sum("chosen"))
        flipped = losses_other.rrhf(means.flip(1), scores, seen.sum("rejected"))
    else:
        lead = {"beta": config.beta, "gamma": config.gamma}
        lead["label_smoothing"] = config.label_smoothing
        kept = losses_other.simpo(chosen, rejected, **lead)
        flipped = losses_other.simpo(rejected, chosen, **lead)
    each = torch.where(p == 1, kept, p * kept + (1 - p) * flipped)
    if config.sft_weight:
        length = seen.length("chosen")
        term = losses_terms.sft_mean(seen.sum("chosen"), length, weight=config.sft_weight)
        # of a tie neither answer is one to write
        each = each + torch.where(seen.tie, 0.0, term)
    return each, lead_metrics(seen, chosen, rejected)


def share_for_chosen(seen: Seen, *, soft: bool) -> Tensor:
    """How much of a pair counts for chosen, (n,): all, or the votes' share; of a tie one half."""
    return torch.where(seen.tie, 0.5, seen.p if soft else 1.0)


def lead_metrics(seen: Seen, chosen: Tensor, rejected: Tensor) -> dict[str, Tensor]:
    """How the two answers stand to each other per token, where one of them is better."""
    lead = chosen - rejected
    found = {
        "likelihood_margin": lead,
        "likelihood_accuracy": ((lead > 0).float() + (lead >= 0).float()) / 2,
        "mean_logp_chosen": chosen,
        "mean_logp_rejected": rejected,
    }
    return {name: won(seen, value) for name, value in found.items()}


LEAD = ("likelihood_accuracy", "likelihood_margin")
SIMPO = Objective(rows=preference, referenced=frozenset(), loss=loss, measured=LEAD)
