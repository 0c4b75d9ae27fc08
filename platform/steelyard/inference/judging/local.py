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

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.inference.judging.judge import (
    ORDERS,
    Order,
    ask,
    asking_of,
    canonical,
    combine,
    of_samples,
    orders_of,
    refused,
)
from steelyard.inference.judging.looking import Pictures
from steelyard.inference.judging.prompting import VERDICT_CUE
from steelyard.inference.judging.reading import (
    WORDS,
    PlainReader,
    Question,
    Reader,
    SeeingReader,
)
from steelyard.inference.judging.remembering import Remembered, Said
from steelyard.inference.loading import LocalWriter, SeeingWriter
from steelyard.inference.text import Generated
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int

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
    """Asks a loaded model and measures its verdict.

    Args:
        known: what it has answered before, which is not computed again.
    """

    def __init__(
        self,
        writer: LocalWriter | SeeingWriter,
        judge: Mapping[str, Any],
        sampling: Mapping[str, Any],
        pictures: Pictures | None = None,
        known: Remembered | None = None,
    ) -> None:
        self.judge, self.sampling = judge, sampling
        self._known = known
        self.pictures = pictures or Pictures()
        self.reader: Reader = (
            SeeingReader(writer) if isinstance(writer, SeeingWriter) else PlainReader(writer)
        )
        asking = asking_of(judge)
        self._samples = asking["samples"]
        many = self._samples * (len(ORDERS) if asking["orders"] == "both" else 1)
        self.batch = max(1, writer.batch_size // many)
        self._aspects = [one["name"] for one in judge.get("rubric", ())]

    def verdicts(self, pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One line a pair, in order.

        A pair that does not fit the context is refused with the reason; the others go on.
        """
        lines: dict[int, dict[str, Any]] = {}
        asked: list[Question] = []
        for pair in pairs:
            try:
                asked += self._questions(pair)
            except UserError as error:
                lines[pair["pair"]] = refused(pair["pair"], error.message)
        said: dict[int, dict[bool, list[Order]]] = {}
        for question, answer in zip(asked, self._answers(asked), strict=True):
            order = self._order(question, answer)
            said.setdefault(question.pair, {}).setdefault(question.swapped, []).append(order)
        for number, by_order in said.items():
            orders = [of_samples(samples) for samples in by_order.values()]
            lines[number] = settle(combine(number, orders), orders)
        return [lines[pair["pair"]] for pair in pairs]

    def _questions(self, pair: Mapping[str, Any]) -> list[Question]:
        """All that is asked about a pair.

        Raises:
            UserError: it does not fit the context, or its pictures cannot be shown.
        """
        made = []
        for swapped in orders_of(self.judge, pair):
            shown = self.pictures.of(pair, swapped, self.judge)
            messages = shown.told(ask(pair, self.judge, swapped))
            pictures = [one for _, some in shown.pictures() for one in some] if shown else []
            names = tuple(shown.names)
            room = self.sampling["max_new_tokens"] + _ROOM
            self.reader.check(messages, pictures, room, pair["messages"])
            for sample in range(self._samples):
                parts = ("judge", pair["pair"], swapped, *((sample,) if sample else ()))
                seed = stable_int(*parts)
                made.append(Question(pair["pair"], swapped, messages, pictures, seed, names))
        return made

    def _answers(self, asked: Sequence[Question]) -> list[Said]:
        """What is known from before, and what the model writes now; kept as it comes."""
        known = [self._known.get(one, self._aspects) if self._known else None for one in asked]
        new = [one for one, found in zip(asked, known, strict=True) if found is None]
        started = time.monotonic()
        made = iter(self.reader.write(new, self.sampling) if new else [])
        each = (time.monotonic() - started) / max(1, len(new))
        answers = []
        for question, found in zip(asked, known, strict=True):
            if found is None:
                found = self._measured(question, next(made), each)
                if self._known:
                    self._known.keep(question, self._aspects, found)
            answers.append(found)
        return answers

    def _measured(self, question: Question, made: Generated, seconds: float) -> Said:
        started = time.monotonic()
        reason = _OWN_VERDICT.sub("", made.text).strip()
        limit = self.sampling["max_new_tokens"]
        measured = self.reader.measure(question, reason, limit, VERDICT_CUE)
        aspects = {
            name: self.reader.measure(question, reason, limit, f"\n\nAspect {name}:")
            for name in self._aspects
        }
        return Said(
            text=made.text,
            reason=reason,
            measured=measured,
            aspects=aspects,
            tokens_in=self.reader.length(question),
            tokens_out=len(made.tokens),
            seconds=round(seconds + time.monotonic() - started, 4),
        )

    def _order(self, question: Question, said: Said) -> Order:
        swapped, measured = question.swapped, said.measured
        best = max(measured, key=lambda outcome: measured[outcome])
        usage = {
            "tokens_in": said.tokens_in,
            "tokens_out": said.tokens_out,
            "cost": 0.0,
            "seconds": said.seconds,
        }
        return Order(
            swapped=swapped,
            raw=f"{said.text}{VERDICT_CUE}{WORDS[best]}",
            outcome=canonical(best, swapped),
            strength=None,
            rationale=said.reason,
            probabilities={canonical(outcome, swapped): p for outcome, p in measured.items()},
            aspects={name: self._signed(one, swapped) for name, one in said.aspects.items()},
            usage=usage | ({"cached": True} if said.cached else {}),
        )

    def _signed(self, measured: Mapping[str, float], swapped: bool) -> int:
        """The side that an aspect speaks for, by one step; none where it is hardly one."""
        first = measured["a"] - measured["b"]
        if abs(first) < MARGIN:
            return 0
        return 1 if (first < 0) != swapped else -1
