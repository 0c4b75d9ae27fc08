"""Judges brought together: juries, draws of pairs for people where judges are unsure, and what
reasons are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from steelyard_client.inside import InProject, plain
from steelyard_client.records import Judge, Record
from steelyard_client.runs import Evaluation


@dataclass(frozen=True, kw_only=True)
class Juror(Record):
    """A member of a jury; ``right`` and ``weight`` are told once it has votes."""

    id: int
    name: str
    votes: int
    """On pairs that another member has judged too."""
    right: float | None = None
    """How probably it is right, by the members' agreement."""
    weight: float | None = None
    """What its vote adds to an outcome's log odds."""


@dataclass(frozen=True, kw_only=True)
class Jury(Record):
    """A judge made of judges; it is asked and counted as any judge is."""

    id: int
    name: str
    note: str
    members: list[Juror] = field(metadata={"of": lambda rows: [Juror.of(row) for row in rows]})
    pairs: int
    """That it has judged."""


@dataclass(frozen=True, kw_only=True)
class Routing(Record):
    """A draw of pairs for people, by how unsure judges are."""

    id: int
    evaluation: int | None
    judges: list[str]
    base: float
    slope: float
    seed: int
    pairs: int
    """How many were decided on."""
    drawn: int
    """How many of them for people."""
    covered: dict[str, int]
    """On how many of the pairs each judge had a verdict, by its name."""
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class RoutedPair(Record):
    """What a draw decided of a pair."""

    pair: int
    p_a: float
    """By the judges, that a is better."""
    probability: float
    drawn: bool


@dataclass(frozen=True, kw_only=True)
class Theme(Record):
    """Reasons that share words, and for which side they are."""

    words: list[str]
    count: int
    share: float
    first: int
    """For the side that was shown first."""
    second: int
    side_unknown: int
    """For one side, where it is not known which was shown first, or both were in turn."""
    ties: int
    both_bad: int
    examples: list[list[str | int]]
    """Pair and text."""


@dataclass(frozen=True, kw_only=True)
class Reasons(Record):
    """What reasons are about."""

    read: int
    total: int
    themes: list[Theme] = field(metadata={"of": lambda rows: [Theme.of(row) for row in rows]})


class PanelVerbs(InProject):
    def juries(self) -> list[Jury]:
        """With what each member weighs."""
        return [Jury.of(row) for row in self._connection.get(f"{self._path}/juries")]

    def add_jury(self, name: str, members: Iterable[Judge | str], note: str = "") -> Jury:
        """Make a jury of 2 to 20 judges and scorers; what they have said becomes its votes."""
        body = {"name": name, "members": _names(members), "note": note}
        return Jury.of(self._connection.post(f"{self._path}/juries", body))

    def route(
        self,
        judges: Iterable[Judge | str],
        *,
        evaluation: Evaluation | int | None = None,
        base: float | None = None,
        slope: float | None = None,
        seed: int | None = None,
    ) -> Routing:
        """Draw pairs for people, more of those on which the judges are unsure or divided.

        Those that are drawn come into the queue, the others leave it.

        Args:
            evaluation: its comparisons; else the project's pairs that no draw was about.
            base: the probability of a pair on which the judges are sure.
            slope: how much more it is where they are wholly unsure.
        """
        number = evaluation.info.id if isinstance(evaluation, Evaluation) else evaluation
        body: dict[str, Any] = {"judges": _names(judges), "evaluation": number}
        body |= {"base": base, "slope": slope, "seed": seed}
        return Routing.of(self._connection.post(f"{self._path}/routings", plain(body)))

    def routings(self) -> list[Routing]:
        """The draws so far."""
        return [Routing.of(row) for row in self._connection.get(f"{self._path}/routings")]

    def routed(self, routing: Routing | int) -> Iterator[RoutedPair]:
        """Each pair that a draw decided on, with its probability."""
        number = routing if isinstance(routing, int) else routing.id
        return map(RoutedPair.of, self._pages(f"routings/{number}/pairs"))

    def reasons(self, by: str = "people", outcome: str | None = None) -> Reasons:
        """What people's reasons, or those of ``judges``, are about.

        Args:
            outcome: ``winner``, ``tie`` or ``both_bad`` alone.
        """
        asked = plain({"by": by, "outcome": outcome})
        return Reasons.of(self._connection.get(f"{self._path}/reasons", asked))


def _names(judges: Iterable[Judge | str]) -> list[str]:
    return [one if isinstance(one, str) else one.name for one in judges]
