"""SRPO (experimental): one model learns to answer, and to improve on an answer that it is shown."""

from __future__ import annotations

from torch import Tensor

from steelyard.inference.revising import revision_messages
from steelyard.lib.records import PreferenceRecord
from training.engine import losses_other
from training.engine.config.objectives import SRPOConfig
from training.engine.data import DoesNotFit, Encoder, Example, preference
from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import log_probs, rewards, won
from training.engine.objectives.simpo import share_for_chosen
from training.engine.revisions import write_revisions

NAMES = (
    *("chosen", "rejected"),
    *("chosen_on_chosen", "rejected_on_chosen"),
    *("chosen_on_rejected", "rejected_on_rejected"),
)
"""Both answers to the prompt, both as improvements on chosen, and both on rejected."""


def six(record: PreferenceRecord, encoder: Encoder, config: SRPOConfig) -> Example | None:
    """
    Raises:
        DoesNotFit: the prompt with an answer to improve on leaves no room for both answers whole,
            for the loss compares them across prompts and must compare the same.
    """
    plain = preference(record, encoder, config)
    if plain is None:
        return None
    rows = [plain.rows[0]]
    for shown in (record.chosen, record.rejected):
        messages = revision_messages(record.prompt, shown)
        row = encoder.row(messages, {"chosen": record.chosen, "rejected": record.rejected})
        if row.answers != rows[0].answers:
            raise DoesNotFit(messages, len(row.prompt))
        rows.append(row)
    return encoder.example(record, tuple(rows), NAMES)


def ratios(seen: Seen) -> losses_other.Ratios:
    """R of the six sequences, (n,) each."""
    w, l, ww, lw, wl, ll = (seen.sum(name) - seen.reference_sum(name) for name in NAMES)  # noqa: E741
    return losses_other.Ratios(w, l, w_given_w=ww, w_given_l=wl, l_given_w=lw, l_given_l=ll)


def loss(seen: Seen, config: SRPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    r, p = ratios(seen), share_for_chosen(seen, soft=config.soft_labels)
    improve = losses_other.srpo_improve(r, p, beta=config.beta)
    generate = losses_other.srpo_generate(r, p, beta=config.beta)
    return (1 - config.srpo_alpha) * generate + config.srpo_alpha * improve, {
        **rewards(log_probs(seen), seen, config.beta),
        "improve_loss": improve.detach(),
        "generate_loss": generate.detach(),
        # shown the worse answer, how much likelier it is to write the better one than that again
        "improvement_margin": won(seen, r.w_given_l - r.l_given_l),
    }


SRPO = Objective(
    rows=six,
    referenced=frozenset(NAMES),
    loss=loss,
    measured=("improve_loss", "generate_loss", "improvement_margin"),
    after=write_revisions,
)
