"""Answers learnt as they are: supervised fine-tuning, and rebirth tuning by it."""

from __future__ import annotations

from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from training.engine.config.imitation import SFTConfig
from training.engine.data import Encoder, Example
from training.engine.objectives.base import Objective, Seen


def rows(record: PreferenceRecord, encoder: Encoder, config: SFTConfig) -> Example | None:
    text = record.chosen
    if config.written_by:
        writers = {record.rejected_model: record.rejected, record.chosen_model: record.chosen}
        if config.written_by not in writers:
            encoder.counts["dropped_other_writer"] += 1
            return None
        text = writers[config.written_by]
    elif record.outcome == "tie":
        # neither answer is the better one
        encoder.counts["dropped_tie"] += 1
        return None
    return encoder.example(record, (encoder.row(record.prompt, {"answer": text}),), ("answer",))


def loss(seen: Seen, config: SFTConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """- log p of the answer, a mean over its tokens or their sum."""
    each = -(seen.mean("answer") if config.per_token else seen.sum("answer"))
    return each, {"logp_answer": seen.sum("answer").detach()}


def reborn(record: PreferenceRecord, encoder: Encoder, config: SFTConfig) -> Example | None:
    if not config.written_by:
        raise UserError(
            "written_by must name the model whose answers are learnt, as the dataset version names "
            f"it. This row's answers are by {record.chosen_model} and {record.rejected_model}.",
            code="no_writer",
            field="written_by",
        )
    return rows(record, encoder, config)


SFT = Objective(rows, frozenset(), loss)
REBIRTH = Objective(reborn, frozenset(), loss)
