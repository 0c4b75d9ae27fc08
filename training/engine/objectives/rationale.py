"""DPO and ORPO that also learn why: the likelihood of the reason given prompt and both answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from steelyard.lib.hashing import stable_uniform
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.said import Said
from training.engine.config import TextDPOConfig
from training.engine.config.objectives import RationaleRecipe
from training.engine.data import Dataset, DoesNotFit, Encoder, Example, preference
from training.engine.forward import Row
from training.engine.losses_terms import rationale as rationale_term
from training.engine.objectives import dpo, orpo
from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.reasons import (
    chosen_first,
    permuted,
    question,
    reason,
    speaks_of_places,
)
from training.engine.words import WORDS

NAME = "rationale"


def rows(record: PreferenceRecord, encoder: Encoder, config: RationaleRecipe) -> Example | None:
    """A pair with its reason in a row of its own, or without one.

    Raises:
        DoesNotFit: question and reason together are longer than there is room for, and rows that
            are too long are to be refused; otherwise the pair goes without its reason. A question
            is never cut: what is cut first would be the second answer.
    """
    plain = _pair(record, encoder, config)
    if plain is None:
        return None
    encoder.counts["with_rationale"] += 0
    first = chosen_first(config.seed, record.pair)
    text = reason(record, config, first=first)
    if not text:
        encoder.counts["without_rationale"] += 1
        return plain
    asked = question(record, first=first)
    try:
        row = _whole(encoder, asked, text)
    except DoesNotFit as error:
        if not config.drop_too_long:
            raise
        encoder.counts["rationale_too_long"] += 1
        encoder.notes.append(Said(WORDS, "without_rationale", row=encoder.number, what=error.said))
        return plain
    encoder.counts["with_rationale"] += 1
    encoder.counts["rationale_chosen_first"] += first
    encoder.counts["rationale_of_places"] += speaks_of_places(text)
    return replace(plain, rows=(*plain.rows, row), names=(*plain.names, NAME))


def _pair(record: PreferenceRecord, encoder: Encoder, config: RationaleRecipe) -> Example | None:
    """The pair as DPO or ORPO reads it by itself."""
    if isinstance(config, TextDPOConfig):
        return dpo.rows(record, encoder, config)
    return preference(record, encoder, config)


def _whole(encoder: Encoder, asked: list[dict[str, str]], text: str) -> Row:
    cut = encoder.counts[f"cut_{NAME}"]
    row = encoder.row(asked, {NAME: text})
    if encoder.counts[f"cut_{NAME}"] > cut:
        encoder.counts[f"cut_{NAME}"] = cut
        raise DoesNotFit(asked, len(row.prompt))
    return row


def arranged(
    examples: list[Example], config: RationaleRecipe, counts: Counter[str], *, test: bool
) -> list[Example]:
    """The examples under the control that was asked for; those to test with stay as they are.

    Raises:
        UserError: as :func:`training.engine.objectives.dpo.arranged`.
    """
    if isinstance(config, TextDPOConfig):
        examples = dpo.arranged(examples, config, counts, test=test)
    if test:
        return examples
    if config.rationale_control == "shuffled":
        return shuffled(examples, config, counts)
    if config.rationale_control == "token_matched":
        return token_matched(examples, config, counts)
    return examples


def shuffled(
    examples: list[Example], config: RationaleRecipe, counts: Counter[str]
) -> list[Example]:
    """Every pair that has a reason gets another pair's, drawn by seed; a reason that does not fit
    behind its new question is cut at its end, and counted."""
    said = [place for place, example in enumerate(examples) if NAME in example.names]
    made = list(examples)
    for place, source in permuted(said, seed=config.seed).items():
        asked, theirs = examples[place].rows[-1], examples[source].rows[-1].answers[0]
        room = max(1, config.max_length - len(asked.prompt))
        counts["cut_rationale"] += len(theirs) > room
        row = replace(asked, answers=(theirs[:room],))
        made[place] = replace(examples[place], rows=(*examples[place].rows[:-1], row))
    return made


def token_matched(
    examples: list[Example], config: RationaleRecipe, counts: Counter[str]
) -> list[Example]:
    """As many pairs, drawn by seed, as have together the tokens that are trained without reasons.

    Tokens are those of answers and reasons; what is only read is not counted.
    """
    budget = sum(_tokens(example, reasons=False) for example in examples)
    order = sorted(examples, key=lambda e: (stable_uniform("matched", config.seed, e.key), e.key))
    kept: set[int] = set()
    for example in order:
        budget -= _tokens(example, reasons=True)
        if budget < 0 and kept:
            break
        kept.add(example.number)
    counts["left_out_by_control"] += len(examples) - len(kept)
    return [example for example in examples if example.number in kept]


def _tokens(example: Example, *, reasons: bool) -> int:
    every = example.sequences().items()
    return sum(len(answer) for name, (_, answer) in every if reasons or name != NAME)


def orders(dataset: Dataset, config: RationaleRecipe) -> list[dict[str, Any]]:
    """In which order a question has the answers of each pair whose reason is learnt."""
    return [
        {
            "row": example.number,
            "pair": example.key,
            "chosen_first": chosen_first(config.seed, example.key),
        }
        for example in dataset.examples
        if NAME in example.names
    ]


def beside(loss: Callable[[Seen, Any], tuple[Tensor, dict[str, Tensor]]]) -> Any:
    """The loss of a pair, and where the pair has a reason, what that costs."""

    def both(seen: Seen, config: RationaleRecipe) -> tuple[Tensor, dict[str, Tensor]]:
        each, more = loss(seen, config)
        there, length = seen.has(NAME), seen.length(NAME)
        said = seen.sum(NAME)
        term = rationale_term(
            said,
            length,
            weight=config.rationale_weight,
            form=config.rationale_form,
            per=config.rationale_per,
        )
        more = {
            **more,
            "preference_loss": each.detach(),
            "rationale_loss": torch.where(there, (-said / length).detach(), torch.nan),
        }
        return each + torch.where(there, term, 0.0), more

    return both


_MEASURED = ("preference_loss", "rationale_loss")
RATIONALE_DPO = Objective(
    rows=rows,
    referenced=dpo.DPO.referenced,
    loss=beside(dpo.loss),
    notes=dpo.DPO.notes,
    arrange=arranged,
    measured=(*dpo.DPO.measured, *_MEASURED),
    orders=orders,
)
RATIONALE_ORPO = Objective(
    rows=rows,
    referenced=frozenset(),
    loss=beside(orpo.loss),
    arrange=arranged,
    measured=(*orpo.ORPO.measured, *_MEASURED),
    orders=orders,
)
