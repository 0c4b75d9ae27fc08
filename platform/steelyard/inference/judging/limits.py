"""How fast an endpoint may be asked and how much a judge may spend."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steelyard.inference.judging.ledger import Sum, opened
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

BURST = 2.0
"""Seconds' worth that may be sent at once after a rest."""
_NAP = 0.2
_SCHEMA = """
create table if not exists paces (
    endpoint text primary key, requests_at real not null, tokens_at real not null,
    held_until real not null
) without rowid;
"""


class SharedPace:
    """Requests and tokens a minute to one endpoint, by all runs of this machine together.

    A bucket is kept as the moment at which it will be empty of debts: each question moves the
    moment on by what it costs, and may be sent once the moment is no more than a burst away.

    Args:
        path: of the file that the runs share; None for this process alone.
        requests, tokens: a minute; None where they are not limited.
    """

    def __init__(
        self, path: Path | None, endpoint: str, *, requests: int | None, tokens: int | None
    ) -> None:
        self.endpoint = endpoint
        self._each = 60.0 / requests if requests else 0.0
        self._token = 60.0 / tokens if tokens else 0.0
        self._lock = threading.Lock()
        self._base = opened(path, _SCHEMA) if requests or tokens else None
        self._held = 0.0

    def wait(self, tokens: int, stop: Callable[[], bool] | None) -> bool:
        """Until the next question may be sent; False as soon as ``stop`` says so."""
        until = max(self._held, self._booked(tokens))
        while (left := until - time.time()) > 0:
            if stop is not None and stop():
                return False
            time.sleep(min(left, _NAP))
            until = max(until, self._held)
        return True

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long."""
        self._held = max(self._held, time.time() + seconds)
        if self._base is not None:
            with self._lock:
                self._base.execute(
                    "insert into paces values (?, 0, 0, ?) on conflict (endpoint) do update set "
                    "held_until = max(held_until, excluded.held_until)",
                    (self.endpoint, self._held),
                )

    def add(self, tokens: int) -> None:
        """So many more tokens than had been booked were used; less than none gives some back."""
        if self._base is None or not self._token:
            return
        with self._lock:
            self._base.execute(
                "update paces set tokens_at = tokens_at + ? where endpoint = ?",
                (tokens * self._token, self.endpoint),
            )

    def close(self) -> None:
        if self._base is not None:
            self._base.close()

    def _booked(self, tokens: int) -> float:
        """When a question of so many tokens may go; its place is taken."""
        base = self._base
        if base is None:
            return 0.0
        with self._lock:
            base.execute("begin immediate")
            try:
                at = self._booked_in(base, tokens)
            except BaseException:
                base.execute("rollback")
                raise
            base.execute("commit")
        return at

    def _booked_in(self, base: sqlite3.Connection, tokens: int) -> float:
        now = time.time()
        row = base.execute(
            "select requests_at, tokens_at, held_until from paces where endpoint = ?",
            (self.endpoint,),
        ).fetchone()
        # a clock that was put back must not make anybody wait for days
        ahead = now + 3600
        requests_at, tokens_at, held = (min(ahead, one) for one in row or (0.0, 0.0, 0.0))
        requests_at = max(requests_at, now - BURST) + self._each
        tokens_at = max(tokens_at, now - BURST) + tokens * self._token
        base.execute(
            "insert or replace into paces values (?, ?, ?, ?)",
            (self.endpoint, requests_at, tokens_at, held),
        )
        own = tokens * self._token
        return max(requests_at - self._each, tokens_at - own if self._token else 0.0, held)


class CapReached(UserError):
    """A judge may spend no more."""

    def __init__(self, cap: str, spent: Sum) -> None:
        """
        Args:
            cap: in words, with its number.
        """
        self.cap, self.spent = cap, spent
        super().__init__(
            Said(WORDS, "cap_reached", cap=cap, spent=in_words(spent)), code="budget_spent"
        )


def in_words(spent: Sum | None) -> Said:
    calls, tokens, cost = spent or (0, 0, 0.0)
    return Said(
        WORDS,
        "used",
        calls=Said(WORDS, "calls", n=calls),
        tokens=Said(WORDS, "tokens", n=tokens),
        cost=f"{cost:.2f}",
    )


class Budget:
    """Caps on what a judge may use up, all its runs together; the sums are the ledger's.

    Questions under way count as what they may come to at most, so that no cap is passed: answers at
    their longest, questions by their characters, corrected by how far that was wrong before.
    """

    def __init__(self, limits: Mapping[str, Any]) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._wrong_by = 1.5

    def price(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost; prices are for a million."""
        limits = self.limits
        return (
            tokens_in * limits.get("price_in", 0) + tokens_out * limits.get("price_out", 0)
        ) / 1e6

    def most(self, tokens_in: int, most_out: int) -> tuple[int, float]:
        """Tokens and money that a question of so many guessed tokens may come to."""
        tokens_in = math.ceil(tokens_in * self._wrong_by)
        return tokens_in + most_out, self.price(tokens_in, most_out)

    def passed(self, total: Sum) -> str:
        """The cap that so much in all would pass, in words; empty where there is none."""
        for name, value in zip(_CAPS, total, strict=True):
            cap = self.limits.get(name)
            if cap is not None and value > cap:
                return Said(WORDS, _CAPS[name], cap=f"{cap:g}")
        return ""

    def settle(self, guessed: int, tokens_in: int, tokens_out: int) -> float:
        """What a question came to: its cost."""
        if guessed:
            with self._lock:
                self._wrong_by = max(self._wrong_by, tokens_in / guessed)
        return self.price(tokens_in, tokens_out)


_CAPS = {"max_calls": "cap_calls", "max_tokens": "cap_tokens", "max_cost": "cap_cost"}
