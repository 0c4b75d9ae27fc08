"""Arenas: where people ask two models and say which answered better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from steelyard_client.inside import InProject, plain
from steelyard_client.records import Record


@dataclass(frozen=True, kw_only=True)
class Arena(Record):
    id: int
    name: str
    contestants: list[str]
    access: str
    is_open: bool
    path: str
    """Where people are invited to, on the server."""
    sampling: dict[str, Any]
    longest_prompt: int
    most_turns: int
    seed: int
    created_at: datetime
    battles: int | None = None
    """This and what follows stand in one that was asked for by its number."""
    votes: int | None = None
    rated: int | None = None
    """Votes that leaderboards count."""
    not_blind: int | None = None
    withdrawn: int | None = None
    standings: list[dict[str, Any]] = field(default_factory=list)
    """By contestant: battles, votes and questions that it did not answer."""
    voters: list[dict[str, Any]] = field(default_factory=list)
    """Those unlike the others first."""


class ArenaVerbs(InProject):
    def arenas(self) -> Iterator[Arena]:
        return map(Arena.of, self._pages("arenas"))

    def arena(self, number: int) -> Arena:
        """One with its battles counted, its contestants and its voters. Its votes are among
        ``judgments()``, and ``leaderboard(by="arena")`` rates them."""
        return Arena.of(self._connection.get(f"{self._path}/arenas/{number}"))

    def open_arena(self, name: str, contestants: Iterable[str], **options: Any) -> Arena:
        """Open one for models that can answer; admins only.

        Args:
            options: access (link or members), sampling, longest_prompt, most_turns, seed.
        """
        body = {"name": name, "contestants": list(contestants), **options}
        return Arena.of(self._connection.post(f"{self._path}/arenas", body))

    def change_arena(
        self,
        arena: Arena | int,
        *,
        is_open: bool | None = None,
        contestants: Iterable[str] | None = None,
        new_link: bool | None = None,
    ) -> Arena:
        """Close it, open it again, change who answers, or give it another address; admins only."""
        number = arena if isinstance(arena, int) else arena.id
        models = None if contestants is None else list(contestants)
        body = plain({"is_open": is_open, "contestants": models, "new_link": new_link})
        said = self._connection.send("PATCH", f"{self._path}/arenas/{number}", json=body)
        return Arena.of(said.json())
