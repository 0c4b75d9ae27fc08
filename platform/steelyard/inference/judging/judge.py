"""One pair, asked in both orders, and what the two answers come to.

A judge that prefers whatever stands first says so by contradicting itself when the answers change
places; such a pair is a tie, and both answers are kept. (A judge whose verdict is measured can do
better: see :mod:`steelyard.inference.judging.local`.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.inference.endpoint import Endpoint
from steelyard.inference.judging import prompting
from steelyard.inference.judging.parsing import Verdict, read_verdict

ORDERS = (False, True)
KEEP = 4000
"""Characters kept of an answer: a line of the run directory has at most 64 KiB."""
_OTHER = {"a": "b", "b": "a", "tie": "tie", "both_bad": "both_bad"}


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
    """Of the four outcomes, in the pair's own a and b; for judges in this process."""

    def as_dict(self) -> dict[str, Any]:
        value = {"swapped": self.swapped, "raw": shorten(self.raw), "outcome": self.outcome}
        if self.strength is not None:
            value["strength"] = self.strength
        if self.probabilities is not None:
            value["probabilities"] = self.probabilities
        return value


def canonical(outcome: str, swapped: bool) -> str:
    """From the letters that were shown to the pair's own, or back."""
    return _OTHER[outcome] if swapped else outcome


def ask(pair: Mapping[str, Any], judge: Mapping[str, Any], swapped: bool) -> list[dict[str, str]]:
    """The question about a pair, one way round."""
    first, second = (pair["b"], pair["a"]) if swapped else (pair["a"], pair["b"])
    return prompting.question(
        messages=pair["messages"],
        criteria=judge["criteria"],
        first=first,
        second=second,
        version=judge["template_version"],
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
            "invalid": f"No verdict could be read in what the judge answered, not even when asked "
            f"again (the pair's a was shown as {shown}).",
        }
    outcomes = {order.outcome for order in orders}
    if len(outcomes) > 1:
        return line | {"outcome": "tie", "strength": 0, "rationale": _both_reasons(orders)}
    outcome = outcomes.pop()
    named = [order.strength for order in orders if order.strength is not None]
    if outcome in {"a", "b"} and named:
        # towards the weaker one: a judge that is sure in one order only is not sure
        line["strength"] = (-1 if outcome == "a" else 1) * max(1, sum(named) // len(named))
    # the reason given when a was shown as A, so that its letters are the pair's own
    reasons = [order.rationale for order in orders if not order.swapped]
    return line | {"outcome": outcome, "rationale": shorten(reasons[0] if reasons else "")}


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
        endpoint: Endpoint,
        judge: Mapping[str, Any],
        sampling: Mapping[str, Any],
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.endpoint, self.judge, self.sampling, self.stop = endpoint, judge, sampling, stop

    def verdict(self, pair: Mapping[str, Any], attempts: int | None = None) -> dict[str, Any]:
        """Judge one pair; may be called from several threads.

        Raises:
            UserError: the endpoint gave no answer.
        """
        orders = [self._order(pair, swapped, attempts) for swapped in ORDERS]
        return combine(pair["pair"], orders)

    def _order(self, pair: Mapping[str, Any], swapped: bool, attempts: int | None) -> Order:
        asked = ask(pair, self.judge, swapped)
        raw = self._chat(asked, attempts)
        said = read_verdict(raw)
        if said is None:
            second = self._chat(prompting.again(asked, raw), attempts)
            said = read_verdict(second)
            said = Verdict(said.outcome, said.strength, raw) if said else None
            raw = f"{raw}\n\n[asked again]\n{second}"
        if said is None:
            return Order(swapped, raw, None, None, "")
        outcome = canonical(said.outcome, swapped)
        return Order(swapped, raw, outcome, said.strength, said.rationale)

    def _chat(self, messages: list[dict[str, str]], attempts: int | None) -> str:
        return self.endpoint.chat(
            messages,
            temperature=self.sampling["temperature"],
            top_p=self.sampling["top_p"],
            max_new_tokens=self.sampling["max_new_tokens"],
            attempts=attempts,
            stop=self.stop,
        )


def _both_reasons(orders: Sequence[Order]) -> str:
    """Two reasons that contradict each other, each with the letters it uses."""
    said = []
    for order in orders:
        letters = "with the sides changed, so that A means b" if order.swapped else "as it stands"
        said.append(f"Asked {letters}: {shorten(order.rationale, KEEP // 2 - 100)}")
    return "The judge contradicts itself when the answers change places.\n\n" + "\n\n".join(said)
