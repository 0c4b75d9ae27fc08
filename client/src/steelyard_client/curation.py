"""What staff do about votes and pairs: withdraw votes, give pairs to groups, decide on flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from steelyard_client.inside import InProject, plain
from steelyard_client.records import Lease, Pair, Record


@dataclass(frozen=True, kw_only=True)
class Withdrawal(Record):
    """Votes that do not count in versions frozen while it is in force."""

    id: int
    key: str
    annotator: str | None
    run: int | None
    reason: str
    created_by: str | None
    created_at: datetime
    lifted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Touched(Record):
    """A version that holds some of the votes, and what was made of it."""

    version: int
    name: str
    votes: int
    rows: int
    models: list[str]
    runs: list[int]
    project: str = ""
    """The version's home."""


@dataclass(frozen=True, kw_only=True)
class Reach(Withdrawal):
    """A withdrawal with what its votes are in."""

    votes: int
    ranked: int
    """Votes that the leaderboard counts at this moment."""
    versions: list[Touched] = field(metadata={"of": lambda rows: [Touched.of(r) for r in rows]})


@dataclass(frozen=True, kw_only=True)
class Group(Record):
    """Annotators to whom pairs are given that nobody else gets."""

    id: int
    name: str
    members: list[str]
    open_pairs: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Raised(Record):
    """A flag for the one who raised it."""

    uuid: str
    pair: int | None
    set: int | None
    reason: str
    note: str
    state: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Flag(Raised):
    """A flag as staff see it."""

    id: int
    annotator: str
    resolved_by: str | None
    resolved_at: datetime | None = None


class CurationVerbs(InProject):
    # ---- withdrawals

    def withdrawals(self) -> Iterator[Withdrawal]:
        """The newest first; those with ``lifted_at`` are in force no more."""
        return map(Withdrawal.of, self._pages("withdrawals"))

    def withdraw(
        self,
        *,
        reason: str,
        annotator: str = "",
        run: int | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> Withdrawal:
        """Leave an annotator's votes, or those of a judging run, out of later versions.

        Args:
            since, until: votes from this moment on, and before that one.
        """
        body = {"annotator": annotator, "run": run, "reason": reason}
        body |= {"since": _moment(since), "until": _moment(until)}
        return Withdrawal.of(self._connection.post(f"{self._path}/withdrawals", plain(body)))

    def reach(self, withdrawal: Withdrawal | int) -> Reach:
        """Which versions, models and runs its votes are in."""
        path = f"{self._path}/withdrawals/{_number(withdrawal)}"
        return Reach.of(self._connection.get(path))

    def lift(self, withdrawal: Withdrawal | int) -> Withdrawal:
        """Let the votes count again in versions frozen from now on."""
        path = f"{self._path}/withdrawals/{_number(withdrawal)}/lift"
        return Withdrawal.of(self._connection.post(path))

    # ---- groups

    def groups(self) -> list[Group]:
        return [Group.of(row) for row in self._connection.get(f"{self._path}/groups")]

    def add_group(self, name: str, members: Iterable[str] = ()) -> Group:
        """
        Args:
            members: user names of members of the project.
        """
        body = {"name": name, "members": list(members)}
        return Group.of(self._connection.post(f"{self._path}/groups", body))

    def change_group(
        self, group: Group | int, *, name: str | None = None, members: Iterable[str] | None = None
    ) -> Group:
        """
        Args:
            members: all who are to be in it.
        """
        body = plain({"name": name, "members": None if members is None else list(members)})
        path = f"{self._path}/groups/{_number(group)}"
        return Group.of(self._connection.send("PATCH", path, json=body).json())

    def remove_group(self, group: Group | int) -> None:
        """Its pairs are everybody's then."""
        self._connection.send("DELETE", f"{self._path}/groups/{_number(group)}")

    def give_pairs(self, group: Group | int, *, only_count: bool = False, **which: Any) -> int:
        """Give open pairs to the group alone, and say how many.

        Args:
            only_count: say how many it would be, and give none.
            which: category, model, origin, unlabelled, limit, priority; ``whose="anybody"`` takes
                them from other groups too.
        """
        path = f"{self._path}/groups/{_number(group)}/pairs"
        body = {"only_count": only_count, **which}
        return int(self._connection.post(path, body, again=only_count)["pairs"])

    def take_pairs(self, group: Group | int) -> int:
        """Make its open pairs everybody's again, and say how many it were."""
        path = f"{self._path}/groups/{_number(group)}/pairs"
        return int(self._connection.send("DELETE", path).json()["pairs"])

    # ---- flags

    def flags(self, *, state: str | None = None, pair: int | None = None) -> Iterator[Flag]:
        """What people say is wrong with pairs and sets, the newest first.

        Args:
            state: ``open``, ``kept`` or ``removed``.
        """
        return map(Flag.of, self._pages("flags", {"state": state, "pair": pair}))

    def flag(
        self, what: Lease | Pair | int, reason: str, note: str = "", *, kind: str = "pairs"
    ) -> Raised:
        """Tell the owner that something is wrong with a pair that you were given.

        Args:
            reason: one of the label scheme's ``flag_reasons``.
            kind: ``sets`` where the number is that of a set to rank.
        """
        number = what.pair if isinstance(what, Lease) else _number(what)
        body = plain({"uuid": uuid4(), "reason": reason, "note": note})
        path = f"{self._path}/{kind}/{number}/flags"
        return Raised.of(self._connection.post(path, body, again=True))

    def resolve_flag(self, flag: Flag | int, *, remove: bool) -> Flag:
        """Decide on what it is about, and so on all its open flags.

        Args:
            remove: take it out of the queue; else it is kept.
        """
        path = f"{self._path}/flags/{_number(flag)}/resolve"
        return Flag.of(self._connection.post(path, {"remove": remove}, again=True))


def _number(of: Withdrawal | Group | Flag | Pair | int) -> int:
    return of if isinstance(of, int) else of.id


def _moment(said: datetime | str | None) -> str | None:
    return said.isoformat() if isinstance(said, datetime) else said
