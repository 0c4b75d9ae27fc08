"""How probable a known good answer is to a language model after what an output brings: a reward
that needs neither people nor a judge.

An output is a search query (a rewrite of a conversation's last question) with the passages found
for it, or a text that is itself read before the answer. With passages p₁ … p_K and their scores s::

    reward          = Σ softmax(s)_k · exp(mean log p(answer | p_k, conversation))
    log_probability = log Σ softmax(s)_k · p(answer | p_k, conversation)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.inference.loading import LocalWriter
from steelyard.inference.saying import WORDS
from steelyard.inference.scorers.base import Facts
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.lib.said import Said

CALCULATION = 1
"""Raised when the numbers of the same model change: it is part of the scorer's version."""
HISTORY = 150
"""Words of the conversation before its last question that are read, the latest."""
ASKED = "Answer the last question of the conversation, directly and from the document."


@dataclass(frozen=True)
class Reading:
    """One output, as what is read before the answer."""

    messages: Sequence[Mapping[str, str]]
    answer: str
    passages: Sequence[Mapping[str, Any]]
    """``text`` and ``score``, the best first."""

    @property
    def key(self) -> str:
        passages = [[one["text"], float(one["score"])] for one in self.passages]
        said = [[one["role"], one["content"]] for one in self.messages]
        return digest_of([said, self.answer, passages])


def asked_of(messages: Sequence[Mapping[str, str]], passage: str) -> list[dict[str, str]]:
    """The question about one passage, as a chat of one message."""
    said = [one for one in messages if one["role"] != "system"]
    history = " ".join(f"{one['role'].capitalize()}: {one['content']}" for one in said[:-1])
    parts = [ASKED, f"Document:\n{passage}"]
    if history:
        parts.append("Conversation:\n" + " ".join(history.split()[-HISTORY:]))
    parts.append(f"Question: {said[-1]['content']}")
    return [{"role": "user", "content": "\n\n".join(parts)}]


def rewards(scores: Sequence[float], answers: Sequence[Sequence[float]]) -> dict[str, float]:
    """
    Args:
        scores: of the passages.
        answers: after each passage the log-probabilities of the answer's tokens.
    """
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    total = math.fsum(shares)
    reward = math.fsum(
        share / total * math.exp(math.fsum(tokens) / len(tokens))
        for share, tokens in zip(shares, answers, strict=True)
    )
    logs = [
        score - top - math.log(total) + math.fsum(tokens)
        for score, tokens in zip(scores, answers, strict=True)
    ]
    best = max(logs)
    return {
        "reward": reward,
        "log_probability": best + math.log(math.fsum(math.exp(one - best) for one in logs)),
    }


class AnswerProbability:
    """A language model in this process that is asked how probable answers are."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        from steelyard.inference.identity import writer_version

        self._writer = LocalWriter(spec["model"])
        self._top_k = int(spec["top_k"])
        self.batch_size = max(2, self._writer.batch_size // self._top_k)
        told = ["answer_probability", CALCULATION, ASKED, HISTORY, self._top_k]
        self.facts = Facts(
            name=spec["name"],
            modality=("text",),
            needs_prompt=True,
            higher_is_better={"reward": True, "log_probability": True},
            version=digest_of([*told, writer_version(self._writer)]),
            licence="",
        )

    def score(self, items: Sequence[Reading]) -> list[dict[str, float]]:
        from steelyard.inference.text import log_probabilities

        ids: list[list[int]] = []
        lengths: list[int] = []
        for item in items:
            for prompt, answer in self._encoded(item):
                ids.append(prompt + answer)
                lengths.append(len(prompt))
        writer = self._writer
        tokens = log_probabilities(writer.model, ids, lengths, batch_size=writer.batch_size)
        found, start = [], 0
        for item in items:
            scores = [float(one["score"]) for one in item.passages[: self._top_k]]
            said = [one.tolist() for one in tokens[start : start + len(scores)]]
            found.append(rewards(scores, said))
            start += len(scores)
        return found

    def _encoded(self, item: Reading) -> list[tuple[list[int], list[int]]]:
        """Prompt and answer of each passage.

        Raises:
            UserError: of a code in ``ITEM_ERRORS``.
        """
        from steelyard.inference.text import check_fits, encode_prompt

        if not item.passages:
            raise UserError(Said(WORDS, "no_passages"), code="no_passages")
        tokenizer, config = self._writer.tokenizer, self._writer.model.config
        answer = tokenizer.encode(item.answer, add_special_tokens=False)
        if not answer:
            raise UserError(Said(WORDS, "no_token"), code="no_answer")
        found = []
        for one in item.passages[: self._top_k]:
            asked = asked_of(item.messages, str(one["text"]))
            prompt = encode_prompt(tokenizer, asked)
            check_fits(config, prompt, len(answer), item.messages)
            found.append((prompt, answer))
        return found

    def close(self) -> None:
        self._writer.close()
