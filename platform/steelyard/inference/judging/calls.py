"""Asking an endpoint as a judge does: at its pace, within a budget, and never twice for the same.

An endpoint that can hold an answer to a JSON schema is asked to; one that cannot is asked for JSON,
or for plain text. Which it is, is found out by the first questions and remembered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steelyard.inference.endpoint import Endpoint, guess_tokens
from steelyard.inference.judging.chances import chances_of
from steelyard.inference.judging.ledger import Kept, Ledger
from steelyard.inference.judging.limits import Budget, CapReached, SharedPace
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.lib.said import Said

FORMS = ("schema", "json", "text")
"""From the strictest to the loosest."""
CHANCES = 10
"""How many likely tokens are asked for at each place."""
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 1.0
"""Seconds between two looks whether somebody else has had the answer."""
_REFUSALS = {"endpoint_rejected", "cannot_see"}


@dataclass(frozen=True)
class Answer:
    """What an endpoint said, and what it took."""

    text: str
    chances: dict[str, float] | None
    """Of a, b, tie and both_bad, in the letters that were shown, where the endpoint tells them."""
    form: str
    usage: dict[str, Any]
    """tokens_in, tokens_out, cost, seconds, and cached where it was known from before."""


@dataclass
class Used:
    """What a run has used up."""

    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class Manners:
    """How one endpoint is asked: the strictest form that it takes, and whether it tells chances.

    Before anything is known several forms may be tried on one question; one that has been
    answered is kept to, so that a question refused for its content is not asked thrice.
    """

    def __init__(self, ledger: Ledger, endpoint: Endpoint) -> None:
        self._ledger, self._name = ledger, f"{endpoint.base_url} {endpoint.model}"
        known = ledger.manners(self._name)
        self.form = known.get("form", FORMS[0])
        self.chances = bool(known.get("chances", True))
        self.sure = bool(known)
        self._lock = threading.Lock()

    def looser(self, form: str, chances: bool, error: UserError) -> tuple[str, bool] | None:
        """What to try after a refusal; None where that is not the way of asking's fault."""
        if self.sure or error.code not in _REFUSALS:
            return None
        if chances and ("logprob" in error.message or form == FORMS[-1]):
            return form, False
        place = FORMS.index(form)
        return (FORMS[place + 1], chances) if place + 1 < len(FORMS) else None

    def worked(self, form: str, chances: bool) -> None:
        with self._lock:
            if not self.sure:
                self.form, self.chances, self.sure = form, chances, True
                self._ledger.remember(self._name, {"form": form, "chances": chances})


class Asks(Protocol):
    """Whoever answers a judge's questions: an endpoint, or a pipeline."""

    def ask(
        self,
        worded: Callable[[bool], Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        sample: int = 0,
        schema: Mapping[str, Any],
        pictures: Sequence[str] = (),
        shown: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """As :meth:`Caller.ask`."""
        ...


class Caller:
    """Asks one endpoint for one judge; may be used from several threads.

    Args:
        limits: rates, caps and prices, see :class:`SharedPace` and :class:`Budget`.
        ledger: of the answers that are paid for.
        pace: the file that the runs of this machine share.
        plain: ask as judges did before there were forms: for text, without chances.
        spent: calls, tokens and money of the judge that are known from elsewhere, should the ledger
            have been lost.
        revision: what tells the model behind the same name from what it was before.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        limits: Mapping[str, Any],
        ledger: Ledger,
        pace: Path | None = None,
        plain: bool = False,
        revision: str = "",
        spent: Sequence[float] = (),
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.endpoint, self.ledger, self.stop, self.plain = endpoint, ledger, stop, plain
        self.revision = revision
        self.manners = Manners(ledger, endpoint)
        ledger.know(spent)
        self.budget = Budget(limits)
        self.pace = SharedPace(
            pace,
            f"{endpoint.base_url} {endpoint.model}",
            requests=limits.get("requests_per_minute"),
            tokens=limits.get("tokens_per_minute"),
        )
        calls, tokens_in, tokens_out, cost, seconds = ledger.used()
        self.used = Used(calls, 0, tokens_in, tokens_out, cost, seconds)
        self._lock = threading.Lock()

    def close(self) -> None:
        self.endpoint.close()
        self.pace.close()

    def ask(
        self,
        worded: Callable[[bool], Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        sample: int = 0,
        schema: Mapping[str, Any],
        pictures: Sequence[str] = (),
        shown: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """One answer, from the ledger where the same has been asked before; one that somebody else
        asks for now is waited for.

        Args:
            worded: the question, asking for JSON or not.
            sample: which of several draws it is.
            pictures: what names the pictures that ``shown`` puts into the question.

        Raises:
            UserError: the endpoint gave none, or ``budget_spent``.
        """
        manners = self.manners
        form, chances = ("text", False) if self.plain else (manners.form, manners.chances)
        while True:
            asked = worded(form != "text")
            key = self._key(asked, sampling, sample, form, chances, pictures)
            if known := self.ledger.get(key):
                return self._known(known)
            try:
                answer = self._paid(
                    key,
                    shown(asked) if shown else asked,
                    sampling,
                    sample,
                    form,
                    chances,
                    schema,
                    attempts,
                )
            except UserError as error:
                if self.plain:
                    raise
                if manners.sure and (form, chances) != (manners.form, manners.chances):
                    # another thread has found out meanwhile
                    form, chances = manners.form, manners.chances
                    continue
                other = manners.looser(form, chances, error)
                if other is None:
                    raise
                form, chances = other
                continue
            if not self.plain:
                manners.worked(form, chances)
            return answer

    def _key(
        self,
        asked: Sequence[Mapping[str, Any]],
        sampling: Mapping[str, Any],
        sample: int,
        form: str,
        chances: bool,
        pictures: Sequence[str],
    ) -> str:
        """All that an answer may depend on: the question holds template, criteria, rubric and both
        texts in their order."""
        return digest_of(
            {
                "endpoint": self.endpoint.base_url,
                "model": self.endpoint.model,
                "revision": self.revision,
                "asked": [dict(message) for message in asked],
                "pictures": list(pictures),
                "sampling": {
                    "temperature": float(sampling["temperature"]),
                    "top_p": float(sampling["top_p"]),
                    "max_new_tokens": int(sampling["max_new_tokens"]),
                },
                "sample": sample,
                "form": [form, chances],
            }
        )

    def _known(self, known: Kept) -> Answer:
        with self._lock:
            self.used.cached += 1
        said = known.answer
        usage = {
            "tokens_in": known.tokens_in,
            "tokens_out": known.tokens_out,
            "cost": known.cost,
            "seconds": known.seconds,
            "cached": True,
        }
        return Answer(said["text"], said["chances"], said["form"], usage)

    def _paid(
        self,
        key: str,
        asked: Sequence[Mapping[str, Any]],
        sampling: Mapping[str, Any],
        sample: int,
        form: str,
        chances: bool,
        schema: Mapping[str, Any],
        attempts: int | None,
    ) -> Answer:
        guessed = guess_tokens({"messages": asked})
        if known := self._claimed(key, guessed, int(sampling["max_new_tokens"])):
            return self._known(known)
        try:
            made = self.endpoint.complete(
                asked,
                temperature=sampling["temperature"],
                top_p=sampling["top_p"],
                max_new_tokens=sampling["max_new_tokens"],
                seed=sample if sampling["temperature"] else None,
                attempts=attempts,
                stop=self.stop,
                response_format=_format(form, schema),
                chances=CHANCES if chances else 0,
                name=key,
                pace=self.pace,
            )
            cost = self.budget.settle(guessed, made.tokens_in, made.tokens_out)
            told = chances_of(made.tokens)
            said = {"text": made.text, "form": form, "chances": told}
            seconds = round(made.seconds, 4)
            self.ledger.keep(key, Kept(said, made.tokens_in, made.tokens_out, cost, seconds))
        finally:
            self.ledger.release(key)
        self.pace.add(made.tokens_in + made.tokens_out - guessed)
        with self._lock:
            self.used.calls += 1
            self.used.tokens_in += made.tokens_in
            self.used.tokens_out += made.tokens_out
            self.used.cost += cost
            self.used.seconds += made.seconds
        usage = {
            "tokens_in": made.tokens_in,
            "tokens_out": made.tokens_out,
            "cost": cost,
            "seconds": seconds,
        }
        return Answer(made.text, told, form, usage)

    def _claimed(self, key: str, guessed: int, most_out: int) -> Kept | None:
        """Wait until the question is this caller's to ask, or answered by somebody else.

        Raises:
            UserError: ``budget_spent``, or ``stopped``.
        """
        pause = _FIRST_LOOK
        while True:
            found = self.ledger.claim(key, *self.budget.most(guessed, most_out), self.budget.passed)
            if found is None or isinstance(found, Kept):
                return found
            if found:
                raise CapReached(found, self.ledger.spent())
            if self.stop is not None and self.stop():
                raise UserError(Said(WORDS, "stopped_waiting"), code="stopped")
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_LOOK)


def _format(form: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    if form == "schema":
        named = {"name": "verdict", "strict": True, "schema": dict(schema)}
        return {"type": "json_schema", "json_schema": named}
    return {"type": "json_object"} if form == "json" else None
