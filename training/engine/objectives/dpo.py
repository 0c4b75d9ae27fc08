"""DPO and its kin: the model against the reference, on a chosen and a rejected answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.said import Said
from training.engine.config import TextDPOConfig
from training.engine.data import Encoder, Example, preference
from training.engine.forward import Row
from training.engine.losses import LogProbs, pair_losses
from training.engine.losses_terms import length_desensitised, sft_mean, sft_sum
from training.engine.objectives.base import Objective, Seen
from training.engine.words import WORDS

GROUND_TRUTH = "ground_truth"
"""The prompt's reference answer, which some have."""


def rows(record: PreferenceRecord, encoder: Encoder, config: TextDPOConfig) -> Example | None:
    plain = preference(record, encoder)
    if plain is None or not config.ground_truth_weight:
        return plain
    encoder.counts["with_ground_truth"] += bool(record.reference_answer)
    if not record.reference_answer:
        encoder.counts["without_ground_truth"] += 1
        return plain
    (truth,) = encoder.row(record.prompt, {GROUND_TRUTH: record.reference_answer}).answers
    (row,) = plain.rows
    row = Row(row.prompt, (*row.answers, truth), row.images)
    return replace(plain, rows=(row,), names=(*plain.names, GROUND_TRUTH))


def arranged(
    examples: list[Example], config: TextDPOConfig, counts: Counter[str], *, test: bool
) -> list[Example]:
    """The examples as they are.

    Raises:
        UserError: reference answers or strengths are to be learnt from, and there are none.
    """
    if not test:
        _check_strengths(examples, config)
    guided = any(GROUND_TRUTH in example.names for example in examples)
    if config.ground_truth_weight and not test and not guided:
        raise UserError(
            Said(WORDS, "no_ground_truth"),
            code="no_ground_truth",
            field="ground_truth_weight",
        )
    return examples


def _check_strengths(examples: list[Example], config: TextDPOConfig) -> None:
    wanted = "weight_by" if config.weight_by == "strength" else "strength_offset"
    if (config.weight_by == "strength" or config.strength_offset) and not any(
        example.margin for example in examples
    ):
        raise UserError(
            Said(
                WORDS, "no_strengths", wanted=wanted, off="none" if wanted == "weight_by" else "0"
            ),
            code="no_strengths",
            field=wanted,
        )


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
    if config.ground_truth_weight:
        guided = seen.has(GROUND_TRUTH)
        term = sft_mean(
            seen.sum(GROUND_TRUTH), seen.length(GROUND_TRUTH), weight=config.ground_truth_weight
        )
        # of ties as well: which answer is right hangs on no vote
        each = each + torch.where(guided, term, 0.0)
        more["ground_truth_loss"] = torch.where(guided, term.detach(), torch.nan)
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
    """The values of examples that have a winner; NaN for others."""
    return torch.where(seen.tie | seen.both_bad, torch.nan, values.detach())


def notes(config: TextDPOConfig, has_ties: bool) -> list[str]:
    if not has_ties or config.soft_labels or config.loss_type != "sigmoid":
        return []
    if config.ties == "half":
        return []
    share = f"{config.tie_share:g}"
    return [Said(WORDS, "ties_in_loss", ties=config.ties, share=share)]


DPO = Objective(
    rows,
    frozenset({"chosen", "rejected"}),
    loss,
    notes,
    arranged,
    measured=("ground_truth_loss",),
)
