"""One pair, asked in one order or in both, and what the answers come to.

A judge that prefers whatever stands first says so by contradicting itself when the answers change
places; such a pair is a tie, and both answers are kept. (A judge whose verdict is measured can do
better: see :mod:`steelyard.inference.judging.local`.) Asked in one order only, which of the two it
is is drawn by pair and judge, so that over many pairs a liking for what stands first evens out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steelyard.inference.judging import prompting
from steelyard.inference.judging.calls import Answer, Asks
from steelyard.inference.judging.chances import p_a
from steelyard.inference.judging.looking import Pictures
from steelyard.inference.judging.parsing import read_verdict
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.lib.said import Said

ORDERS = (False, True)
KEEP = 4000
"""Characters kept of an answer: a line of the run directory has at most 64 KiB."""
WORTH = {"a": 1.0, "tie": 0.5, "both_bad": 0.5, "b": 0.0}
"""What a verdict is to whoever wrote a."""
_OTHER = {"a": "b", "b": "a", "tie": "tie", "both_bad": "both_bad"}
_WHY_NOT = {"prompt_too_long", "cannot_see", "bad_picture", "no_picture"}
"""Troubles that are the pair's own: it is refused with the reason, and the others go on."""


@dataclass(frozen=True)
class Order:
    """What was said when the pair was shown one way round."""

    swapped: bool
    """Whether the pair's b was shown as A."""
    raw: str
    outcome: str | None
    """In the pair's own a and b; None where it could not be read."""
    strength: int | None
    rationale: str
    probabilities: dict[str, float] | None = None
    """Of the four outcomes, in the pair's own a and b, where they are measured or told."""
    aspects: dict[str, int] = field(default_factory=dict)
    """Signed strengths, negative where the pair's a is better."""
    usage: dict[str, Any] | None = None
    samples: Sequence[Order] = ()
    """Where it was asked several times: each answer."""

    def as_dict(self, keep: int = KEEP) -> dict[str, Any]:
        value: dict[str, Any] = {"swapped": self.swapped, "outcome": self.outcome}
        if self.samples:
            each = max(200, keep // len(self.samples))
            value["samples"] = [sample.as_dict(each) for sample in self.samples]
        else:
            value["raw"] = shorten(self.raw, keep)
        if self.strength is not None:
            value["strength"] = self.strength
        if self.probabilities is not None:
            value["probabilities"] = self.probabilities
        if self.aspects:
            value["aspects"] = self.aspects
        if self.usage is not None:
            value["usage"] = self.usage
        return value


def canonical(outcome: str, swapped: bool) -> str:
    """From the letters that were shown to the pair's own, or back."""
    return _OTHER[outcome] if swapped else outcome


def asking_of(judge: Mapping[str, Any]) -> dict[str, Any]:
    """How a judge is asked, with what is not said filled in."""
    return {
        "orders": "both",
        "samples": 1,
        "max_side": 1024,
        "frames": 8,
        **judge.get("asking", {}),
    }


def orders_of(judge: Mapping[str, Any], pair: Mapping[str, Any]) -> tuple[bool, ...]:
    """Which ways round a pair is shown: both, or one that is drawn by pair and judge; a pair may
    say so itself in ``swaps``."""
    if "swaps" in pair:
        return tuple(pair["swaps"])
    if asking_of(judge)["orders"] == "both":
        return ORDERS
    return (bool(stable_int("order", judge.get("name", ""), pair["pair"]) & 1),)


def ask(
    pair: Mapping[str, Any], judge: Mapping[str, Any], swapped: bool, *, structured: bool = False
) -> list[dict[str, Any]]:
    """The question about a pair, one way round."""
    first, second = (pair["b"], pair["a"]) if swapped else (pair["a"], pair["b"])
    return prompting.question(
        messages=pair["messages"],
        criteria=judge["criteria"] + pair.get("focus", ""),
        first=first,
        second=second,
        version=judge["template_version"],
        template=judge.get("template", ""),
        rubric=judge.get("rubric", ()),
        structured=structured,
    )


def combine(pair: int, orders: Sequence[Order]) -> dict[str, Any]:
    """The line of ``verdicts.jsonl``: agreement stands, contradiction is a tie."""
    line: dict[str, Any] = {"pair": pair, "orders": [order.as_dict() for order in orders]}
    unread = [order for order in orders if order.outcome is None]
    if unread:
        shown = "B" if unread[0].swapped else "A"
        return line | {
            "outcome": None,
            "rationale": "",
            "invalid": Said(WORDS, "no_verdict_read", shown=shown),
        }
    told = [order.probabilities for order in orders if order.probabilities is not None]
    if len(told) == len(orders):
        line["p_a"] = round(sum(p_a(one) for one in told) / len(told), 6)
    if aspects := _both_aspects(orders):
        line["aspects"] = aspects
    outcomes = {order.outcome for order in orders}
    if len(outcomes) > 1:
        return line | {"outcome": "tie", "strength": 0, "rationale": _both_reasons(orders)}
    outcome = outcomes.pop()
    named = [order.strength for order in orders if order.strength is not None]
    if outcome in {"a", "b"} and named:
        # towards the weaker one: a judge that is sure in one order only is not sure
        line["strength"] = (-1 if outcome == "a" else 1) * max(1, sum(named) // len(named))
    # the reason given when a was shown as A, so that its letters are the pair's own
    straight = [order for order in orders if not order.swapped]
    reason = straight[0].rationale if straight else _with_letters(orders[0])
    return line | {"outcome": outcome, "rationale": shorten(reason)}


def of_samples(samples: Sequence[Order]) -> Order:
    """Several answers to the same question: what most of them say, a tie where two are as many."""
    if len(samples) == 1:
        return samples[0]
    read = [sample for sample in samples if sample.outcome is not None]
    if not read:
        return Order(samples[0].swapped, "", None, None, "", samples=samples)
    ranked = Counter(sample.outcome for sample in read).most_common()
    outcome = ranked[0][0]
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        outcome = "tie"
    alike = [sample for sample in read if sample.outcome == outcome]
    named = [sample.strength for sample in alike if sample.strength is not None]
    probabilities = [sample.probabilities or _all_on(sample.outcome) for sample in read]
    return Order(
        swapped=samples[0].swapped,
        raw="",
        outcome=outcome,
        strength=max(1, sum(named) // len(named)) if named else None,
        rationale=(alike or read)[0].rationale,
        probabilities={
            name: round(sum(one[name] for one in probabilities) / len(read), 6) for name in _OTHER
        },
        aspects=_agreed([sample.aspects for sample in read]),
        samples=samples,
    )


def refused(pair: int, reason: str) -> dict[str, Any]:
    """The line for a pair that this judge cannot be asked about."""
    return {"pair": pair, "outcome": None, "rationale": "", "orders": [], "invalid": reason}


def shorten(text: str, limit: int = KEEP) -> str:
    """The beginning and the end: a verdict stands last."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail - 5]} […] {text[-tail:]}"


class EndpointJudge:
    """Asks a model behind HTTP and reads its words."""

    def __init__(
        self,
        caller: Asks,
        judge: Mapping[str, Any],
        sampling: Mapping[str, Any],
        pictures: Pictures | None = None,
    ) -> None:
        self.caller, self.judge, self.sampling = caller, judge, sampling
        self.pictures = pictures or Pictures()
        self._samples = asking_of(judge)["samples"]
        self._rubric = judge.get("rubric", ())
        self._names = [one["name"] for one in self._rubric]
        self._schema = prompting.schema_of(self._rubric)

    def verdict(self, pair: Mapping[str, Any], attempts: int | None = None) -> dict[str, Any]:
        """Judge one pair; may be called from several threads.

        Raises:
            UserError: the endpoint gave no answer, for a reason that is not this pair's own.
        """
        try:
            orders = [
                of_samples([self._order(pair, swapped, n, attempts) for n in range(self._samples)])
                for swapped in orders_of(self.judge, pair)
            ]
        except UserError as error:
            if error.code not in _WHY_NOT:
                raise
            return refused(pair["pair"], error.message)
        return combine(pair["pair"], orders)

    def _order(
        self, pair: Mapping[str, Any], swapped: bool, sample: int, attempts: int | None
    ) -> Order:
        answer = self._asked(pair, swapped, sample, attempts)
        said, raw, usage = read_verdict(answer.text, self._names), answer.text, answer.usage
        rationale = said.rationale if said else ""
        if said is None:
            second = self._asked(pair, swapped, sample, attempts, before=answer)
            said = read_verdict(second.text, self._names)
            rationale = answer.text
            raw = f"{answer.text}\n\n[asked again]\n{second.text}"
            usage = _sum(usage, second.usage)
            answer = second
        if said is None:
            return Order(swapped, raw, None, None, "", usage=usage)
        told = answer.chances
        return Order(
            swapped=swapped,
            raw=raw,
            outcome=canonical(said.outcome, swapped),
            strength=said.strength,
            rationale=rationale,
            probabilities=(
                {canonical(name, swapped): chance for name, chance in told.items()}
                if told is not None
                else None
            ),
            aspects={name: -value if swapped else value for name, value in said.aspects.items()},
            usage=usage,
        )

    def _asked(
        self,
        pair: Mapping[str, Any],
        swapped: bool,
        sample: int,
        attempts: int | None,
        before: Answer | None = None,
    ) -> Answer:
        shown = self.pictures.of(pair, swapped, self.judge)

        def worded(structured: bool) -> list[dict[str, Any]]:
            asked = shown.told(ask(pair, self.judge, swapped, structured=structured))
            if before is None:
                return asked
            return prompting.again(asked, before.text, structured=structured)

        return self.caller.ask(
            worded,
            sampling=self.sampling,
            sample=sample,
            schema=self._schema,
            pictures=shown.names,
            shown=shown.put if shown else None,
            attempts=attempts,
        )


def _with_letters(order: Order) -> str:
    return f"Asked with the sides changed, so that A means b: {order.rationale}"


def _both_aspects(orders: Sequence[Order]) -> dict[str, int]:
    return _agreed([order.aspects for order in orders])


def _agreed(said: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Aspects that all speak of; a contradiction is none, else towards the weaker."""
    names = [name for name in said[0] if all(name in one for one in said)] if said else []
    found: dict[str, int] = {}
    for name in names:
        values = [one[name] for one in said]
        if all(value > 0 for value in values) or all(value < 0 for value in values):
            sign = 1 if values[0] > 0 else -1
            found[name] = sign * max(1, sum(map(abs, values)) // len(values))
        else:
            found[name] = 0
    return found


def _all_on(outcome: str | None) -> dict[str, float]:
    return {name: float(name == outcome) for name in _OTHER}


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What two calls took; it counts as cached where both were."""
    total: dict[str, Any] = {
        name: one[name] + other[name] for name in ("tokens_in", "tokens_out", "cost", "seconds")
    }
    if one.get("cached") and other.get("cached"):
        total["cached"] = True
    return total


def _both_reasons(orders: Sequence[Order]) -> str:
    """Two reasons that contradict each other, each with the letters it uses."""
    said = []
    for order in orders:
        letters = "with the sides changed, so that A means b" if order.swapped else "as it stands"
        said.append(f"Asked {letters}: {shorten(order.rationale, KEEP // 2 - 100)}")
    return "The judge contradicts itself when the answers change places.\n\n" + "\n\n".join(said)
