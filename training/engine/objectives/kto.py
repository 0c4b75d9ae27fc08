"""KTO of pairs: each answer good or bad by itself, against the model's drift on other prompts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from steelyard.lib.hashing import stable_uniform
from steelyard.lib.records import PreferenceRecord
from training.engine import losses_other
from training.engine.config.objectives import KTOConfig
from training.engine.data import Encoder, Example, two_answers
from training.engine.forward import Row
from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import log_probs, rewards

OTHERS = "other"
"""The answer to another prompt that the drift is measured on."""


def rows(record: PreferenceRecord, encoder: Encoder, config: KTOConfig) -> Example | None:
    """A pair, also one of which both answers are bad."""
    return two_answers(record, encoder)


def with_others(
    examples: list[Example], config: KTOConfig, counts: Counter[str], *, test: bool
) -> list[Example]:
    """Each prompt also with an answer that belongs to another: chosen ones and rejected ones in
    turn, so that the answers whose drift is measured are those that are learnt from.

    Which other is drawn by seed and pair; a prompt that stands in several pairs may meet an answer
    to itself only where the dataset has no other prompt.
    """
    order = sorted(examples, key=lambda e: (stable_uniform("kto", config.seed, e.key), e.key))
    place = {example.key: n for n, example in enumerate(order)}
    made = []
    for example in examples:
        own = example.rows[0]
        after = order[place[example.key] + 1 :] + order[: place[example.key]]
        other = next((o for o in after if o.rows[0].prompt != own.prompt), example)
        answer = other.rows[0].answers[place[example.key] % 2]
        counts["cut_other"] += (room := _room(example, answer, config)) < len(answer)
        row = Row(own.prompt, (answer[:room],), own.images)
        made.append(replace(example, rows=(*example.rows, row), names=(*example.names, OTHERS)))
    return made


def _room(example: Example, answer: list[int], config: KTOConfig) -> int:
    return min(len(answer), max(1, config.max_length - len(example.rows[0].prompt)))


def loss(seen: Seen, config: KTOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    assert seen.drift is not None
    lp = log_probs(seen)
    chosen, rejected = lp.chosen_ratio, lp.rejected_ratio
    z0 = seen.drift.clamp(min=0)
    price = {
        "beta": config.beta,
        "desirable_weight": config.desirable_weight,
        "undesirable_weight": config.undesirable_weight,
    }
    kept = losses_other.kto(chosen, rejected, z0, **price)
    flipped = losses_other.kto(rejected, chosen, z0, **price)
    each = torch.where(seen.tie, (kept + flipped) / 2, kept)
    if seen.both_bad.any():
        bad = losses_other.kto_bad(chosen, rejected, z0, config.beta, config.undesirable_weight)
        each = torch.where(seen.both_bad, bad, each)
    return each, {**rewards(lp, seen, config.beta), "kl_estimate": z0.expand(len(seen))}


KTO = Objective(
    rows=rows,
    referenced=frozenset({"chosen", "rejected", OTHERS}),
    loss=loss,
    arrange=with_others,
    drift=OTHERS,
)
