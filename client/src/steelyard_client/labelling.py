"""The labelling queue, and the verdicts that people and judges give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

from steelyard_client.inside import InProject, plain
from steelyard_client.records import Judgment, Lease, Progress, Recorded


class LabellingVerbs(InProject):
    nothing = ""
    """Why the last ``next()`` had no pair."""

    def next(self, *, holding: Iterable[int] = ()) -> Lease | None:
        """Lease a pair; None where there is none now, and ``nothing`` says why.

        Args:
            holding: pairs that you have already, to get another one.
        """
        held = ",".join(map(str, holding)) or None
        response = self._connection.send(
            "GET", f"{self._path}/next", params={"holding": held}, again=True
        )
        self.nothing = response.headers.get("Steelyard-Nothing", "")
        return Lease.of(response.json()) if response.status_code == 200 else None

    def leases(self) -> Iterator[Lease]:
        """Pairs until there is none for you; submit a verdict on each before you go on."""
        while (lease := self.next()) is not None:
            yield lease

    def submit(
        self, pair: Lease | int, outcome: str, *, strength: int | None = None, **verdict: Any
    ) -> Recorded:
        """Hand in a verdict. Sent again after a lost answer it is the same judgment, by its UUID.

        Args:
            outcome: a, b, tie, both_bad or skip, of the sides that the lease names.
            strength: negative where a is better; a step where it is left out.
            verdict: what the project's label scheme has a place for: rationale, tags, aspects,
                evidence, segments, correction, skip_reason, exposure, duration_ms; and a uuid of
                your own.
        """
        body = {"uuid": str(uuid4()), "outcome": outcome, **verdict}
        body["pair"] = pair.pair if isinstance(pair, Lease) else pair
        if strength is not None:
            body["strength"] = strength
        said = self._connection.post(f"{self._path}/judgments", plain(body), again=True)
        return Recorded.of(said)

    def amend(self, judgment: Recorded | str, outcome: str, **verdict: Any) -> Recorded:
        """Say something else of a pair that you have judged; the first verdict is kept."""
        uuid = judgment.uuid if isinstance(judgment, Recorded) else judgment
        body = {"uuid": str(uuid4()), "outcome": outcome, **verdict}
        path = f"{self._path}/judgments/{uuid}/amend"
        return Recorded.of(self._connection.post(path, plain(body), again=True))

    def my_judgments(self) -> Iterator[Recorded]:
        return map(Recorded.of, self._pages("judgments/mine"))

    def progress(self) -> Progress:
        return Progress.of(self._connection.get(f"{self._path}/progress"))

    def judgments(
        self,
        *,
        by: str | None = None,
        annotator: str | None = None,
        model: str | None = None,
        category: str | None = None,
        outcome: str | None = None,
        run: int | None = None,
        pair: int | None = None,
        superseded: bool = False,
    ) -> Iterator[Judgment]:
        """Everybody's verdicts, the newest first, fetched page by page.

        Args:
            by: ``people`` or ``judges``.
            superseded: those too that were replaced.
        """
        said = {
            "by": by,
            "annotator": annotator,
            "model": model,
            "category": category,
            "outcome": outcome,
            "run": run,
            "pair": pair,
            "all": True if superseded else None,
        }
        return map(Judgment.of, self._pages("judgments", said))
