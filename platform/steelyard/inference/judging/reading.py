"""Letting a model in this process write its reason, and measuring what it would say next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from steelyard.inference import text, vision
from steelyard.inference.loading import LocalWriter, SeeingWriter, check_blind
from steelyard.inference.text import Generated, Messages, check_fits, encode_prompt

WORDS = {"a": " A", "b": " B", "tie": " tie", "both_bad": " both bad"}


@dataclass(frozen=True)
class Question:
    """One way of asking about one pair."""

    pair: int
    swapped: bool
    messages: list[dict[str, Any]]
    pictures: Sequence[Any] = field(default=())
    seed: int = 0
    names: tuple[str, ...] = ()
    """What makes its pictures the same as another's."""


class Reader(Protocol):
    def check(
        self, messages: Messages, pictures: Sequence[Any], room: int, shown: Messages
    ) -> None:
        """
        Raises:
            UserError: the question and ``room`` more tokens are longer than the context, or the
                model cannot be shown pictures.
        """
        ...

    def write(self, asked: Sequence[Question], sampling: Mapping[str, Any]) -> list[Generated]:
        """What the model answers to each."""
        ...

    def measure(self, question: Question, reason: str, limit: int, cue: str) -> dict[str, float]:
        """How probable the four outcomes are among themselves after the reason and a cue, in the
        letters that were shown.

        Args:
            limit: so many tokens of the reason are read.
        """
        ...

    def length(self, question: Question) -> int:
        """Tokens of the question."""
        ...


class PlainReader:
    """A language model, which reads text alone."""

    def __init__(self, writer: LocalWriter) -> None:
        self.writer = writer
        self._options = [
            writer.tokenizer.encode(word, add_special_tokens=False) for word in WORDS.values()
        ]

    def check(
        self, messages: Messages, pictures: Sequence[Any], room: int, shown: Messages
    ) -> None:
        check_blind(self.writer.spec, [pictures])
        ids = encode_prompt(self.writer.tokenizer, messages)
        check_fits(self.writer.model.config, ids, room, shown)

    def write(self, asked: Sequence[Question], sampling: Mapping[str, Any]) -> list[Generated]:
        return text.generate(
            self.writer.model,
            self.writer.tokenizer,
            [question.messages for question in asked],
            max_new_tokens=sampling["max_new_tokens"],
            temperature=sampling["temperature"],
            top_p=sampling["top_p"],
            seeds=[question.seed for question in asked],
            batch_size=self.writer.batch_size,
            stop=self.writer.stop,
        )

    def measure(self, question: Question, reason: str, limit: int, cue: str) -> dict[str, float]:
        tokenizer = self.writer.tokenizer
        prefix = encode_prompt(tokenizer, question.messages)
        prefix += tokenizer.encode(reason, add_special_tokens=False)[:limit]
        prefix += tokenizer.encode(cue, add_special_tokens=False)
        return _shares(text.option_log_probabilities(self.writer.model, prefix, self._options))

    def length(self, question: Question) -> int:
        return len(encode_prompt(self.writer.tokenizer, question.messages))


class SeeingReader:
    """A vision-language model. Outcomes are told by their first tokens, which differ."""

    def __init__(self, writer: SeeingWriter) -> None:
        self.writer = writer
        tokenizer = writer.processor.tokenizer
        self._firsts = [
            tokenizer.encode(word, add_special_tokens=False)[0] for word in WORDS.values()
        ]
        if len(set(self._firsts)) < len(WORDS):
            # a tokenizer that makes a token of a leading space tells them apart by the next
            self._firsts = [
                tokenizer.encode(word.strip(), add_special_tokens=False)[0]
                for word in WORDS.values()
            ]

    def check(
        self, messages: Messages, pictures: Sequence[Any], room: int, shown: Messages
    ) -> None:
        ids = vision.encode_look(self.writer.processor, messages, pictures).ids
        check_fits(self.writer.model.config, ids, room, shown)

    def write(self, asked: Sequence[Question], sampling: Mapping[str, Any]) -> list[Generated]:
        return vision.generate(
            self.writer.model,
            self.writer.processor,
            [question.messages for question in asked],
            [question.pictures for question in asked],
            max_new_tokens=sampling["max_new_tokens"],
            temperature=sampling["temperature"],
            top_p=sampling["top_p"],
            seeds=[question.seed for question in asked],
            batch_size=self.writer.batch_size,
            stop=self.writer.stop,
        )

    @torch.inference_mode()
    def measure(self, question: Question, reason: str, limit: int, cue: str) -> dict[str, float]:
        processor, model = self.writer.processor, self.writer.model
        look = vision.encode_look(processor, question.messages, question.pictures)
        more = processor.tokenizer.encode(reason, add_special_tokens=False)[:limit]
        more += processor.tokenizer.encode(cue, add_special_tokens=False)
        ids = torch.tensor([[*look.ids, *more]], device=model.device)
        inputs = {
            **look.pixels,
            **{
                name: torch.tensor([[*values, *[0] * len(more)]])
                for name, values in look.kinds.items()
            },
        }
        logits = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            use_cache=False,
            **{name: value.to(model.device) for name, value in inputs.items()},
        ).logits
        scores = logits[0, -1].float().log_softmax(-1)
        return _shares([float(scores[first]) for first in self._firsts])

    def length(self, question: Question) -> int:
        return len(
            vision.encode_look(self.writer.processor, question.messages, question.pictures).ids
        )


def _shares(scores: Sequence[float]) -> dict[str, float]:
    weights = [math.exp(score - max(scores)) for score in scores]
    return {
        outcome: round(weight / sum(weights), 6)
        for outcome, weight in zip(WORDS, weights, strict=True)
    }
