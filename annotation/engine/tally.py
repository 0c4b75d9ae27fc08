"""What a judging run has found so far: the lines it wrote, the pairs that failed, the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from steelyard.inference.judging.limits import CapReached, used_in_words
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir

PROGRESS = 0.2
"""Seconds between two writings of the progress: each goes to the disk."""
IN_A_ROW = 8
"""So many failures without a success between them end the run: something is wrong with it all."""


class Tally:
    """Writes what comes of pairs, and keeps count.

    Args:
        total: pairs of the whole run, those of earlier attempts included.
    """

    what: ClassVar[str] = "verdict"

    def __init__(self, rundir: RunDir, journal: Journal, total: int) -> None:
        self.rundir, self.journal, self.total = rundir, journal, total
        self.text = ""
        self.seen: set[Any] = set()
        self.counts = {"judged": 0, "contradictory": 0, "invalid": 0, "failed": 0}
        self.used: dict[str, Any] = {}
        """What the endpoint was paid for, once it is known."""
        self.spent: tuple[int, int, float] | None = None
        """What the judge has used up in all its runs, once it is known."""
        self.is_capped = False
        self._row = 0
        self._told = 0.0
        self._last: UserError | None = None
        self._cap: UserError | None = None
        for line in journal.lines():
            self._count(line)

    def say(self, text: str) -> None:
        """What the run is at, beside its progress."""
        self.text = text
        self._progress()

    def add(self, line: dict[str, Any]) -> None:
        self.journal.add(line)
        self._count(line)
        self._row = 0
        if time.monotonic() - self._told >= PROGRESS or len(self.seen) == self.total:
            self._progress()
        if line.get("invalid"):
            self.rundir.event(f"Pair {line['pair']}: {line['invalid']}", "warning")

    def failed(self, pair: Mapping[str, Any], error: UserError) -> None:
        """No verdict on this pair: it stays unjudged, and a later run asks again.

        Raises:
            UserError: too many in a row.
        """
        self.counts["failed"] += 1
        self._row += 1
        self._last = error
        self.rundir.event(f"Pair {pair['pair']} got no {self.what}: {error.message}", "warning")
        if self._row >= IN_A_ROW:
            raise UserError(
                f"{self._row} pairs in a row got no {self.what}, so the run was stopped; the "
                f"{len(self.seen)} {self.what}s before are kept. The last trouble: {error.message}",
                code=error.code,
            )
        self._progress()

    def capped(self, error: UserError) -> None:
        """A cap is reached: nothing more is asked, and what was found out stays."""
        if not self.is_capped:
            self.is_capped = True
            self._last = self._cap = error

    def finish(self) -> None:
        """
        Raises:
            UserError: there was work and nothing came of it, though no cap was in the way.
        """
        self._progress()
        if self._last is not None and not self.seen and not self.is_capped:
            raise UserError(
                f"No pair got a {self.what}. The last trouble: {self._last.message}",
                code=self._last.code,
            )
        counts = self.counts
        self.rundir.event(self._in_words())
        more: dict[str, Any] = {"usage": self.used} if self.used else {}
        if self.is_capped:
            left = self.total - len(self.seen) - counts["failed"]
            warning = self._left_over(left)
            self.rundir.event(warning, "warning")
            more |= {"capped": True, "left": left, "warning": warning}
        self.rundir.finish(status="succeeded", counts=counts, **more)

    def _in_words(self) -> str:
        counts = self.counts
        return (
            f"{counts['judged']} pairs judged; on {counts['contradictory']} of them the judge "
            f"contradicted itself when the answers changed places. {counts['invalid']} could not "
            f"be judged, {counts['failed']} were not answered"
        )

    def _left_over(self, left: int) -> str:
        """Told when all answers are in, so that it says what was paid in the end."""
        pairs = f"{left} pair{'' if left == 1 else 's'} left"
        if not isinstance(self._cap, CapReached) or self.spent is None:
            return f"{pairs}: a cap is reached. Raise it and start another run to go on."
        return (
            f"{pairs}: the cap of {self._cap.cap} is reached; in all its runs together "
            f"{used_in_words(self.spent)}. Raise the cap and start another run to go on."
        )

    def _count(self, line: Mapping[str, Any]) -> None:
        self.seen.add(line["pair"])
        if line.get("invalid"):
            self.counts["invalid"] += 1
            return
        self.counts["judged"] += 1
        if len({order["outcome"] for order in line["orders"]}) > 1:
            self.counts["contradictory"] += 1

    def _progress(self) -> None:
        self._told = time.monotonic()
        done = len(self.seen) + self.counts["failed"]
        self.rundir.progress(done, self.total, "pairs", self.text)
