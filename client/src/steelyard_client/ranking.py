"""Sets of answers that are put in order, and the orders that people give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from steelyard_client.inside import InProject, plain
from steelyard_client.records import Message, Record

Tiers = Sequence[Sequence[int]]
"""Numbers of outputs, the best first; those in one list are tied."""


@dataclass(frozen=True, kw_only=True)
class AnswerSet(Record):
    """A prompt's answers that people put in order."""

    id: int
    key: str
    prompt: int
    outputs: list[int]
    priority: int
    wanted: int
    judged: int
    closed: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class ShownAnswer(Record):
    """An answer to rank; what made it, nobody is told."""

    output: int
    letter: str
    text: str
    media: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class SetLease(Record):
    """A set that is kept for you until ``expires_at``."""

    set: int
    prompt: dict[str, Any]
    outputs: list[ShownAnswer] = field(
        metadata={"of": lambda rows: [ShownAnswer.of(row) for row in rows]}
    )
    scheme: dict[str, Any]
    guidelines: str
    leased_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Ranked(Record):
    """An order as it was stored."""

    uuid: str
    set: int
    tiers: list[list[int]]
    skipped: bool
    skip_reason: str
    rationale: str
    tags: list[str]
    evidence: list[dict[str, Any]]
    duration_ms: int | None
    supersedes: str | None
    is_current: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Ranking(Ranked):
    """An order as staff see it."""

    annotator: str
    shown: list[int]


class RankingVerbs(InProject):
    nothing: str

    def sets(
        self,
        *,
        state: str | None = None,
        category: str | None = None,
        prompt: int | None = None,
    ) -> Iterator[AnswerSet]:
        """Sets to rank, the newest first.

        Args:
            state: ``open`` or ``complete``.
            prompt: number of a prompt.
        """
        said = {"state": state, "category": category, "prompt": prompt}
        return map(AnswerSet.of, self._pages("sets", said))

    def add_set(
        self,
        prompt: str | list[Message],
        answers: Iterable[str | Mapping[str, Any]],
        *,
        category: str = "",
        media: Iterable[str] = (),
        priority: int = 0,
        wanted: int | None = None,
    ) -> AnswerSet:
        """Bring in 2 to 9 answers to a prompt; the same ones again are the same set.

        Args:
            answers: texts, or mappings with model, text or asset, seed, parameters.
            media: SHA-256 of files that the prompt is about; see ``upload``.
            wanted: how many people are to rank it; the project's overlap if left out.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        each = [{"text": one} if isinstance(one, str) else dict(one) for one in answers]
        body = {
            "messages": messages,
            "answers": [{"model": "unknown", **one} for one in each],
            "category": category,
            "media": list(media),
            "priority": priority,
            "wanted": wanted,
        }
        return AnswerSet.of(self._connection.post(f"{self._path}/sets", plain(body), again=True))

    def next_set(self, *, holding: Iterable[int] = ()) -> SetLease | None:
        """Lease a set; None where there is none now, and ``nothing`` says why.

        Args:
            holding: sets that you have already, to get another one.
        """
        held = ",".join(map(str, holding)) or None
        response = self._connection.send(
            "GET", f"{self._path}/sets/next", params={"holding": held}, again=True
        )
        self.nothing = response.headers.get("Steelyard-Nothing", "")
        return SetLease.of(response.json()) if response.status_code == 200 else None

    def rank(
        self, leased: SetLease | int, tiers: Tiers = (), *, skipped: bool = False, **said: Any
    ) -> Ranked:
        """Hand in an order. Sent again after a lost answer it is the same one, by its UUID.

        Args:
            tiers: every output of the set once, the best first; left out with ``skipped``.
            said: rationale, tags, evidence (each item with the number of its ``output``),
                skip_reason, exposure, duration_ms; and a uuid of your own.
        """
        number = leased.set if isinstance(leased, SetLease) else leased
        body = {"set": number, **_order(tiers, skipped, said)}
        return Ranked.of(self._connection.post(f"{self._path}/rankings", body, again=True))

    def amend_ranking(
        self, ranking: Ranked | str, tiers: Tiers = (), *, skipped: bool = False, **said: Any
    ) -> Ranked:
        """Give another order to a set that you have ranked; the first one is kept."""
        uuid = ranking.uuid if isinstance(ranking, Ranked) else ranking
        path = f"{self._path}/rankings/{uuid}/amend"
        body = _order(tiers, skipped, said)
        return Ranked.of(self._connection.post(path, body, again=True))

    def rankings(
        self,
        *,
        annotator: str | None = None,
        of: AnswerSet | int | None = None,
        superseded: bool = False,
    ) -> Iterator[Ranking]:
        """Everybody's orders, the newest first.

        Args:
            of: a set.
            superseded: those too that were replaced.
        """
        number = of.id if isinstance(of, AnswerSet) else of
        said = {"annotator": annotator, "set": number, "all": True if superseded else None}
        return map(Ranking.of, self._pages("rankings", said))


def _order(tiers: Tiers, skipped: bool, said: Mapping[str, Any]) -> dict[str, Any]:
    order = {"tiers": [list(tier) for tier in tiers], "skipped": skipped}
    return plain({"uuid": uuid4(), **order, **said})
