"""Leaderboards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from steelyard_client.inside import InProject
from steelyard_client.records import Leaderboard, PublishedLeaderboard


class BoardVerbs(InProject):
    def leaderboard(
        self,
        *,
        by: str | None = None,
        judge: str | None = None,
        category: str | None = None,
        until: str | None = None,
        without: Iterable[str] = (),
        style: bool = False,
        equal: bool = False,
    ) -> Leaderboard:
        """Ratings over the votes of ``people`` or ``judges``, of one judge, of visitors of an
        ``arena``, or ``combined``: few of people with many of judges.

        Args:
            until: a day such as 2026-01-31, counted to its end, or a moment in ISO 8601.
            without: annotators whose votes are left out.
            style: ratings as they would be, did the outputs not differ in style.
            equal: every two models count equally, however often they met.
        """
        said = self._board(by, judge, category, until, without, style, equal)
        return Leaderboard.of(self._connection.get(f"{self._path}/leaderboard", said))

    def _board(
        self,
        by: str | None,
        judge: str | None,
        category: str | None,
        until: str | None,
        without: Iterable[str],
        style: bool,
        equal: bool,
    ) -> dict[str, Any]:
        """Which votes are meant, as the API takes it."""
        said = {
            "by": by or ("judges" if judge else "people"),
            "judge": judge,
            "category": category,
            "until": until,
            "without": list(without),
            "style": style or None,
            "equal": equal or None,
        }
        return {name: value for name, value in said.items() if value}

    def leaderboard_matrix(self, **said: Any) -> dict[str, Any]:
        """Who beat whom, and what the ratings expect; takes what ``leaderboard`` takes."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/leaderboard/matrix", said)
        return found

    def leaderboard_categories(self, **said: Any) -> list[dict[str, Any]]:
        """A leaderboard for each category; takes what ``leaderboard`` takes."""
        found: list[dict[str, Any]] = self._connection.get(
            f"{self._path}/leaderboard/categories", said
        )
        return found

    def publish_leaderboard(
        self,
        title: str,
        *,
        note: str = "",
        by: str | None = None,
        judge: str | None = None,
        category: str | None = None,
        until: str | None = None,
        without: Iterable[str] = (),
        style: bool = False,
        equal: bool = False,
    ) -> PublishedLeaderboard:
        """Keep the leaderboard as it stands now; admins alone may."""
        said = self._board(by, judge, category, until, without, style, equal)
        body = {"title": title, "note": note, **said}
        return PublishedLeaderboard.of(self._connection.post(f"{self._path}/leaderboards", body))

    def published_leaderboards(self) -> Iterator[PublishedLeaderboard]:
        """The newest first."""
        return map(PublishedLeaderboard.of, self._pages("leaderboards"))

    def published_leaderboard(self, number: int, *, recompute: bool = False) -> dict[str, Any]:
        """One with its rows in ``result`` and what has become of its votes in ``since``; with
        ``recompute`` also the same options on today's votes in ``now``."""
        said = {"recompute": "true"} if recompute else None
        found: dict[str, Any] = self._connection.get(f"{self._path}/leaderboards/{number}", said)
        return found
