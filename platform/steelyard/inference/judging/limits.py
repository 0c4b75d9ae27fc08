"""How fast an endpoint may be asked and how much a judge may spend."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.inference.judging.ledger import opened
from steelyard.lib.errors import UserError

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


@dataclass
class Budget:
    """Caps on what a judge may use up, all its runs together.

    Questions under way count as what they may come to at most, so that no cap is passed: answers at
    their longest, questions by their characters, corrected by how far that was wrong before.
    """

    limits: Mapping[str, Any]
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._booked: dict[int, tuple[int, float]] = {}
        self._guesses: dict[int, int] = {}
        self._wrong_by = 1.5
        self._next = 0

    def price(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost; prices are for a million."""
        limits = self.limits
        return (
            tokens_in * limits.get("price_in", 0) + tokens_out * limits.get("price_out", 0)
        ) / 1e6

    def book(self, tokens_in: int, most_out: int) -> int:
        """Take a place for one question; the number is for :meth:`settle`.

        Raises:
            UserError: ``budget_spent``: a cap could be passed by it.
        """
        with self._lock:
            guessed = tokens_in
            tokens_in = math.ceil(tokens_in * self._wrong_by)
            tokens = tokens_in + most_out
            cost = self.price(tokens_in, most_out)
            under_way = self._booked.values()
            after = {
                "max_calls": self.calls + len(under_way) + 1,
                "max_tokens": self.tokens + sum(one for one, _ in under_way) + tokens,
                "max_cost": self.cost + sum(one for _, one in under_way) + cost,
            }
            for name, value in after.items():
                cap = self.limits.get(name)
                if cap is not None and value > cap:
                    raise UserError(
                        f"The judge's cap of {cap:g} {_WORDS[name]} is reached: it has used "
                        f"{self.calls} calls, {self.tokens} tokens and {self.cost:.2f} of money. "
                        "Raise the cap to go on.",
                        code="budget_spent",
                    )
            self._next += 1
            self._booked[self._next] = (tokens, cost)
            self._guesses[self._next] = guessed
            return self._next

    def settle(self, number: int, tokens_in: int = 0, tokens_out: int = 0) -> float:
        """What the question came to; nothing where it had no answer. Returns its cost."""
        with self._lock:
            self._booked.pop(number, None)
            guessed = self._guesses.pop(number, 0)
            if not tokens_in and not tokens_out:
                return 0.0
            if guessed:
                self._wrong_by = max(self._wrong_by, tokens_in / guessed)
            cost = self.price(tokens_in, tokens_out)
            self.calls += 1
            self.tokens += tokens_in + tokens_out
            self.cost += cost
            return cost


_WORDS = {"max_calls": "calls", "max_tokens": "tokens", "max_cost": "(money)"}
