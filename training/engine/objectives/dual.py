"""Re-Align's rDPO: a better and a worse answer, and the better one under another picture."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.said import Said
from training.engine.config.dual import DualDPOConfig
from training.engine.data import Encoder, Example, without_winner
from training.engine.dual import Negative, negatives_of
from training.engine.dual_losses import visual_preference
from training.engine.losses import sigmoid
from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import log_probs, rewards
from training.engine.vision import VisionEncoder
from training.engine.words import WORDS


def rows(record: PreferenceRecord, encoder: Encoder, config: DualDPOConfig) -> Example | None:
    assert isinstance(encoder, VisionEncoder)
    if without_winner(record, encoder, ties=True):
        # no answer that the picture should make likelier
        return None
    other = _negative(record, encoder, config)
    if other is None:
        encoder.counts["dropped_no_negative"] += 1
        return None
    answers = {"chosen": record.chosen, "rejected": other.rejected or record.rejected}
    own = encoder.row(record.prompt, answers, (other.image,))
    elsewhere = encoder.row(record.prompt, {"elsewhere": record.chosen}, (other.other,))
    # the other picture may take more room: the same tokens are compared
    chosen, rejected = own.answers
    size = min(len(chosen), len(elsewhere.answers[0]))
    if chosen[:size] == rejected[:size]:
        encoder.counts["dropped_identical"] += 1
        return None
    own = replace(own, answers=(chosen[:size], rejected))
    elsewhere = replace(elsewhere, answers=(chosen[:size],))
    return encoder.example(record, (own, elsewhere), ("chosen", "rejected", "elsewhere"))


def _negative(
    record: PreferenceRecord, encoder: VisionEncoder, config: DualDPOConfig
) -> Negative | None:
    if config.negatives == "retrieved":
        return negatives_of(encoder.sight.rundir).get(record.pair)
    if len(record.prompt_media) != 2:
        raise UserError(
            Said(WORDS, "no_second_picture", row=encoder.number, pictures=len(record.prompt_media)),
            code="no_second_picture",
            field="negatives",
        )
    return Negative(record.prompt_media[0], record.prompt_media[1])


def loss(seen: Seen, config: DualDPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    lp = log_probs(seen)
    elsewhere = seen.sum("elsewhere"), seen.reference_sum("elsewhere")
    visual = visual_preference(
        lp.chosen, elsewhere[0], lp.reference_chosen, elsewhere[1], beta=config.beta
    )
    each = sigmoid(lp, beta=config.beta) + config.visual_weight * visual
    own = (lp.chosen - lp.reference_chosen - elsewhere[0] + elsewhere[1]).detach()
    told = {"visual_margin": config.beta * own, "visual_accuracy": ((own > 0) + (own >= 0)) / 2}
    return each, {**rewards(lp, seen, config.beta), "visual_loss": visual.detach(), **told}


DUAL_DPO = Objective(rows, frozenset({"chosen", "rejected", "elsewhere"}), loss)
