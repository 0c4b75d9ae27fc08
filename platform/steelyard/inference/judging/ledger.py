"""What has been paid for: answers by what was asked, kept so that nothing is asked for twice.

One SQLite file for all judges of a project, which several runs may write at once. A row is there
once :meth:`Ledger.keep` has returned, whatever is killed afterwards. How the endpoints like to be
asked is remembered here too.

Whoever is about to pay claims the question first, and what it may come to counts for the judge's
caps from then on. A claim is a lease that its process renews: one of a process that was killed
lapses soon, and the same run, started again, does not wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists calls (
    key text primary key, judge text not null, run text not null, at real not null,
    answer text not null,
    tokens_in integer not null, tokens_out integer not null, cost real not null,
    seconds real not null
) without rowid;
create index if not exists calls_of on calls (judge);
create index if not exists calls_in on calls (run);
create table if not exists manners (endpoint text primary key, known text not null);
create table if not exists totals (
    judge text primary key, calls integer not null, tokens integer not null, cost real not null
) without rowid;
create table if not exists claims (
    key text primary key, judge text not null, run text not null, process text not null,
    asker text not null, until real not null, tokens integer not null, cost real not null
) without rowid;
create index if not exists claims_of on claims (judge);
"""
LEASE = 15.0
"""Seconds for which a claim holds that nobody renews."""
_BEAT = 3.0
_ALIVE = (
    "(asker = :asker or (until > :now and until <= :latest"
    " and (run = '' or run <> :run or process = :process)))"
)
"""Of a claim; a run has one process at a time, so what another one of the same run held is free. A
clock that was put back must not make anybody wait for long."""
_THIS = uuid.uuid4().hex
Sum = tuple[int, int, float]
"""Calls, tokens and money."""


@dataclass(frozen=True)
class Kept:
    """An answer as it was given, and what it took when it was."""

    answer: dict[str, Any]
    tokens_in: int
    tokens_out: int
    cost: float
    seconds: float


class Ledger:
    """
    Args:
        path: None keeps everything in this process alone.
        judge: whose calls these are, for :meth:`spent`.
        run: in which they are made, for :meth:`used`. One process at a time works for a run.
    """

    def __init__(self, path: Path | None, judge: str = "", run: str = "") -> None:
        self.judge, self.run = judge, run
        self._lock = threading.Lock()
        self._shared = path is not None
        self._base = opened(path, _SCHEMA)
        self._asker, self._process = uuid.uuid4().hex, f"{_THIS} {os.getpid()}"
        self._claims: set[str] = set()
        self._closed = threading.Event()
        self._renewing: threading.Thread | None = None
        with self._changing() as base:
            # a file may be older than its sums
            base.execute(
                "insert or ignore into totals select ?, count(*), "
                "coalesce(sum(tokens_in + tokens_out), 0), coalesce(sum(cost), 0) "
                "from calls where judge = ?",
                (judge, judge),
            )

    def get(self, key: str) -> Kept | None:
        with self._lock:
            return self._get(key)

    def keep(self, key: str, kept: Kept) -> None:
        values = (
            key,
            self.judge,
            self.run,
            time.time(),
            json.dumps(kept.answer, ensure_ascii=False),
            kept.tokens_in,
            kept.tokens_out,
            kept.cost,
            kept.seconds,
        )
        with self._changing() as base:
            base.execute("insert or ignore into calls values (?,?,?,?,?,?,?,?,?)", values)
            base.execute(
                "update totals set calls = calls + 1, tokens = tokens + ?, cost = cost + ? "
                "where judge = ?",
                (kept.tokens_in + kept.tokens_out, kept.cost, self.judge),
            )
            self._release(key)

    def claim(
        self, key: str, tokens: int, cost: float, check: Callable[[Sum], str]
    ) -> Kept | str | None:
        """Before a question is paid for: its answer, where somebody has it by now; else the claim
        to ask it, which ends by :meth:`keep` or :meth:`release`.

        Args:
            tokens, cost: what it may come to at most.
            check: says which cap so many calls, tokens and money in all would pass, or nothing.

        Returns:
            None where it is claimed; empty words where it is to be tried again soon, for somebody
            else asks it now or what is under way leaves no room; else the cap that leaves none.
        """
        with self._changing() as base:
            if known := self._get(key):
                return known
            now = time.time()
            alive = {
                "asker": self._asker,
                "run": self.run,
                "process": self._process,
                "now": now,
                "latest": now + 2 * LEASE,
                "key": key,
                "judge": self.judge,
            }
            if base.execute(
                f"select 1 from claims where key = :key and {_ALIVE}", alive
            ).fetchone():
                return ""
            spent = self._spent()
            if passed := check((spent[0] + 1, spent[1] + tokens, spent[2] + cost)):
                return passed
            held = base.execute(
                "select count(*), coalesce(sum(tokens), 0), coalesce(sum(cost), 0) from claims "
                f"where judge = :judge and key <> :key and {_ALIVE}",
                alive,
            ).fetchone()
            total = (spent[0] + held[0] + 1, spent[1] + held[1] + tokens, spent[2] + held[2] + cost)
            if check(total):
                return ""
            base.execute(
                "insert or replace into claims values (?,?,?,?,?,?,?,?)",
                (key, self.judge, self.run, self._process, self._asker, now + LEASE, tokens, cost),
            )
            self._claims.add(key)
            if self._renewing is None and self._shared:
                self._renewing = threading.Thread(target=self._renew, daemon=True)
                self._renewing.start()
        return None

    def release(self, key: str) -> None:
        """It was not answered: whoever waits for it may ask; nothing where it is not claimed."""
        if key in self._claims:
            with self._changing():
                self._release(key)

    def know(self, spent: Sequence[float]) -> None:
        """Calls, tokens and money of this judge that are known from elsewhere, should the file
        have been lost."""
        if not spent:
            return
        with self._changing() as base:
            base.execute(
                "update totals set calls = max(calls, ?), tokens = max(tokens, ?), "
                "cost = max(cost, ?) where judge = ?",
                (int(spent[0]), int(spent[1]), spent[2], self.judge),
            )

    def spent(self) -> Sum:
        """Calls, tokens and money of this judge so far, all its runs together."""
        with self._lock:
            return self._spent()

    def used(self) -> tuple[int, int, int, float, float]:
        """Of this run so far: calls, tokens in and out, money and seconds waited."""
        with self._lock:
            return self._base.execute(
                "select count(*), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), "
                "coalesce(sum(cost), 0), coalesce(sum(seconds), 0) from calls where run = ?",
                (self.run,),
            ).fetchone()

    def usual(self, judges: list[str]) -> tuple[int, float, float]:
        """Calls of some judges, and what one of them takes on average: tokens out, seconds."""
        places = ",".join("?" * len(judges))
        with self._lock:
            return self._base.execute(
                "select count(*), coalesce(avg(tokens_out), 0), coalesce(avg(seconds), 0) "
                f"from calls where judge in ({places})",
                judges,
            ).fetchone()

    def manners(self, endpoint: str) -> dict[str, Any]:
        """How an endpoint likes to be asked, as far as is known."""
        with self._lock:
            row = self._base.execute(
                "select known from manners where endpoint = ?", (endpoint,)
            ).fetchone()
        return json.loads(row[0]) if row else {}

    def remember(self, endpoint: str, known: Mapping[str, Any]) -> None:
        with self._lock:
            self._base.execute(
                "insert or replace into manners values (?, ?)", (endpoint, json.dumps(dict(known)))
            )

    def close(self) -> None:
        """What is still under way is nobody's any more: its answer could not be kept."""
        self._closed.set()
        with self._lock:
            if self._claims:
                self._base.execute("delete from claims where asker = ?", (self._asker,))
            self._base.close()

    def _get(self, key: str) -> Kept | None:
        row = self._base.execute(
            "select answer, tokens_in, tokens_out, cost, seconds from calls where key = ?", (key,)
        ).fetchone()
        return Kept(json.loads(row[0]), *row[1:]) if row else None

    def _spent(self) -> Sum:
        return self._base.execute(
            "select calls, tokens, cost from totals where judge = ?", (self.judge,)
        ).fetchone()

    def _release(self, key: str) -> None:
        self._claims.discard(key)
        self._base.execute("delete from claims where key = ? and asker = ?", (key, self._asker))

    def _renew(self) -> None:
        """As long as this process lives, what it asks is its own."""
        while not self._closed.wait(_BEAT):
            # one that fails now is made good by the next
            with contextlib.suppress(sqlite3.Error), self._lock:
                if self._claims and not self._closed.is_set():
                    self._base.execute(
                        "update claims set until = ? where asker = ?",
                        (time.time() + LEASE, self._asker),
                    )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, and nobody else meanwhile."""
        with self._lock:
            self._base.execute("begin immediate")
            try:
                yield self._base
            except BaseException:
                self._base.execute("rollback")
                raise
            self._base.execute("commit")


def opened(path: Path | None, schema: str) -> sqlite3.Connection:
    """Ready for several threads, which take turns by a lock, and several processes."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(
        path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False
    )
    base.execute("pragma journal_mode = wal")
    # what a killed process has written is there; only a power cut may take the last rows
    base.execute("pragma synchronous = normal")
    base.executescript(schema)
    return base
