"""What has been paid for: answers by what was asked, kept so that nothing is asked for twice.

One SQLite file for all judges of a project, which several runs may write at once. A row is there
once :meth:`Ledger.keep` has returned, whatever is killed afterwards. How the endpoints like to be
asked is remembered here too.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping
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
"""


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
        run: in which they are made, for :meth:`used`.
    """

    def __init__(self, path: Path | None, judge: str = "", run: str = "") -> None:
        self.judge, self.run = judge, run
        self._lock = threading.Lock()
        self._base = opened(path, _SCHEMA)

    def get(self, key: str) -> Kept | None:
        with self._lock:
            row = self._base.execute(
                "select answer, tokens_in, tokens_out, cost, seconds from calls where key = ?",
                (key,),
            ).fetchone()
        return Kept(json.loads(row[0]), *row[1:]) if row else None

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
        with self._lock:
            self._base.execute("insert or ignore into calls values (?,?,?,?,?,?,?,?,?)", values)

    def spent(self) -> tuple[int, int, float]:
        """Calls, tokens and money of this judge so far, all its runs together."""
        with self._lock:
            return self._base.execute(
                "select count(*), coalesce(sum(tokens_in + tokens_out), 0), "
                "coalesce(sum(cost), 0) from calls where judge = ?",
                (self.judge,),
            ).fetchone()

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
        with self._lock:
            self._base.close()


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
