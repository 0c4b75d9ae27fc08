"""Answers learnt as they are: supervised fine-tuning, and rebirth tuning by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.said import Said
from training.engine.config.imitation import SFTConfig
from training.engine.data import Encoder, Example, without_winner
from training.engine.objectives.base import Objective, Seen
from training.engine.words import WORDS

MOST_NAMED = 10


def writers_of(records: Iterable[PreferenceRecord]) -> list[str]:
    """Who wrote the answers, the one with most of them first."""
    names = Counter(name for r in records for name in (r.chosen_model, r.rejected_model) if name)
    return [name for name, _ in names.most_common()]


def check_writer(records: Iterable[PreferenceRecord], config: Any) -> None:
    """
    Raises:
        UserError: ``unknown_writer``: written_by names a model that wrote none of the answers.
    """
    wanted, names = getattr(config, "written_by", ""), writers_of(records)
    if wanted and wanted not in names:
        raise UserError(
            Said(
                WORDS,
                "unknown_writer",
                wanted=wanted,
                names=", ".join(names[:MOST_NAMED]) or "models without a name",
            ),
            code="unknown_writer",
            field="written_by",
        )


def rows(record: PreferenceRecord, encoder: Encoder, config: SFTConfig) -> Example | None:
    text = record.chosen
    # of a tie neither answer is the better one; whoever names a writer asks for its answers
    if without_winner(record, encoder, ties=not config.written_by):
        return None
    if config.written_by:
        writers = {record.rejected_model: record.rejected, record.chosen_model: record.chosen}
        if config.written_by not in writers:
            encoder.counts["dropped_other_writer"] += 1
            return None
        text = writers[config.written_by]
    return encoder.example(record, (encoder.row(record.prompt, {"answer": text}),), ("answer",))


def loss(seen: Seen, config: SFTConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """- log p of the answer, a mean over its tokens or their sum."""
    each = -(seen.mean("answer") if config.per_token else seen.sum("answer"))
    return each, {"logp_answer": seen.sum("answer").detach()}


def reborn(record: PreferenceRecord, encoder: Encoder, config: SFTConfig) -> Example | None:
    if not config.written_by:
        raise UserError(
            Said(WORDS, "no_writer", one=record.chosen_model, other=record.rejected_model),
            code="no_writer",
            field="written_by",
        )
    return rows(record, encoder, config)


SFT = Objective(rows, frozenset(), loss)
REBIRTH = Objective(reborn, frozenset(), loss)
