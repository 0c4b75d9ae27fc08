"""Judging with a language model in this process.

Small models seldom keep to a form, so their verdict is not read but measured: after the reason that
the model wrote, how probable are "A", "B", "tie" and "both bad" as the next words? A verdict always
comes of it.

Where the two orders contradict each other, measuring can do what reading cannot: a liking for what
stands first weighs on both orders alike, in favour of the one answer and then of the other, and
falls out of the average. A 135-million-parameter model says "A" to nearly everything, and yet is
surer of it when A is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.inference.judging.judge import ORDERS, Order, ask, canonical, combine, refused
from steelyard.inference.judging.prompting import VERDICT_CUE
from steelyard.inference.loading import LocalWriter
from steelyard.inference.text import (
    Generated,
    check_fits,
    encode_prompt,
    generate,
    option_log_probabilities,
)
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int

WORDS = {"a": " A", "b": " B", "tie": " tie", "both_bad": " both bad"}
MARGIN = 0.01
"""A smaller difference between the averages is none: the pair is a tie."""
_ROOM = 24
"""Tokens kept free for the cue and the longest option."""
_OWN_VERDICT = re.compile(r"\W*\bverdict\b\W*(?:is\b)?\s*[:=].*", re.IGNORECASE | re.DOTALL)


def settle(line: dict[str, Any], orders: Sequence[Order]) -> dict[str, Any]:
    """Decide a contradiction by the average of the orders' probabilities.

    Args:
        line: what :func:`~steelyard.inference.judging.judge.combine` made of the orders.
        orders: each with its probabilities.
    """
    if len({order.outcome for order in orders}) == 1:
        return line
    mean = {
        outcome: sum((order.probabilities or {})[outcome] for order in orders) / len(orders)
        for outcome in WORDS
    }
    best, second = sorted(WORDS, key=lambda outcome: -mean[outcome])[:2]
    outcome = best if mean[best] - mean[second] >= MARGIN else "tie"
    said = ", ".join(f"{o.replace('_', ' ')} {mean[o]:.1%}" for o in WORDS)
    decided = {
        "outcome": outcome,
        "rationale": f"{line['rationale']}\n\nAveraged over both orders: {said}.",
    }
    kept = {key: value for key, value in line.items() if key != "strength"}
    return kept | decided | ({"strength": 0} if outcome == "tie" else {})


class LocalJudge:
    """Asks a loaded model and measures its verdict."""

    def __init__(
        self, writer: LocalWriter, judge: Mapping[str, Any], sampling: Mapping[str, Any]
    ) -> None:
        self.writer, self.judge, self.sampling = writer, judge, sampling
        self.batch = max(1, writer.batch_size // len(ORDERS))
        self._cue = self._encode(VERDICT_CUE)
        self._options = {outcome: self._encode(word) for outcome, word in WORDS.items()}

    def verdicts(self, pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One line a pair, in order.

        A pair that does not fit the context is refused with the reason; the others go on.
        """
        lines: dict[int, dict[str, Any]] = {}
        fitting = []
        for pair in pairs:
            try:
                self._check(pair)
                fitting.append(pair)
            except UserError as error:
                lines[pair["pair"]] = refused(pair["pair"], error.message)
        asked = [(pair, swapped) for pair in fitting for swapped in ORDERS]
        orders = [
            self._order(pair, swapped, made)
            for (pair, swapped), made in zip(asked, self._reasons(asked), strict=True)
        ]
        for place, pair in enumerate(fitting):
            both = orders[place * len(ORDERS) : (place + 1) * len(ORDERS)]
            lines[pair["pair"]] = settle(combine(pair["pair"], both), both)
        return [lines[pair["pair"]] for pair in pairs]

    def _check(self, pair: Mapping[str, Any]) -> None:
        for swapped in ORDERS:
            messages = ask(pair, self.judge, swapped)
            ids = encode_prompt(self.writer.tokenizer, messages)
            room = self.sampling["max_new_tokens"] + _ROOM
            check_fits(self.writer.model.config, ids, room, pair["messages"])

    def _reasons(self, asked: Sequence[tuple[Mapping[str, Any], bool]]) -> list[Generated]:
        return generate(
            self.writer.model,
            self.writer.tokenizer,
            [ask(pair, self.judge, swapped) for pair, swapped in asked],
            max_new_tokens=self.sampling["max_new_tokens"],
            temperature=self.sampling["temperature"],
            top_p=self.sampling["top_p"],
            seeds=[stable_int("judge", pair["pair"], swapped) for pair, swapped in asked],
            batch_size=self.writer.batch_size,
            stop=self.writer.stop,
        )

    def _order(self, pair: Mapping[str, Any], swapped: bool, made: Generated) -> Order:
        reason = _OWN_VERDICT.sub("", made.text).strip()
        room = self.sampling["max_new_tokens"]
        prefix = encode_prompt(self.writer.tokenizer, ask(pair, self.judge, swapped))
        prefix += self._encode(reason)[:room] + self._cue
        shown = self._probabilities(prefix)
        best = max(shown, key=lambda outcome: shown[outcome])
        return Order(
            swapped=swapped,
            raw=f"{made.text}{VERDICT_CUE}{WORDS[best]}",
            outcome=canonical(best, swapped),
            strength=None,
            rationale=reason,
            probabilities={canonical(outcome, swapped): p for outcome, p in shown.items()},
        )

    def _probabilities(self, prefix: Sequence[int]) -> dict[str, float]:
        """Of the four options among themselves, in the letters that were shown."""
        scores = option_log_probabilities(
            self.writer.model, prefix, [self._options[outcome] for outcome in WORDS]
        )
        weights = [math.exp(score - max(scores)) for score in scores]
        return {
            outcome: round(weight / sum(weights), 6)
            for outcome, weight in zip(WORDS, weights, strict=True)
        }

    def _encode(self, text: str) -> list[int]:
        return self.writer.tokenizer.encode(text, add_special_tokens=False)
