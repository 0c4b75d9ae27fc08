"""What a judging run has found so far: the lines it wrote, the pairs that failed, the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from annotation.engine.words import WORDS
from steelyard.inference.judging.limits import CapReached, in_words
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

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
        self._row = 0
        self._told = 0.0
        self._last: UserError | None = None
        self._cap: CapReached | None = None
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
            self.rundir.event(
                Said(WORDS, "pair", pair=line["pair"], why=line["invalid"]), "warning"
            )

    def failed(self, pair: Mapping[str, Any], error: UserError) -> None:
        """No verdict on this pair: it stays unjudged, and a later run asks again.

        Raises:
            UserError: too many in a row.
        """
        self.counts["failed"] += 1
        self._row += 1
        self._last = error
        trouble = error.message
        self.rundir.event(
            Said(WORDS, f"no_{self.what}", pair=pair["pair"], trouble=trouble), "warning"
        )
        if self._row >= IN_A_ROW:
            kept = len(self.seen)
            raise UserError(
                Said(WORDS, f"row_{self.what}", row=self._row, kept=kept, trouble=trouble),
                code=error.code,
            )
        self._progress()

    def capped(self, error: CapReached) -> None:
        """A cap is reached: nothing more is asked, and what was found out stays."""
        self._cap = self._cap or error

    @property
    def is_capped(self) -> bool:
        return self._cap is not None

    def finish(self) -> None:
        """
        Raises:
            UserError: there was work and nothing came of it, though no cap was in the way.
        """
        self._progress()
        if self._last is not None and not self.seen and not self.is_capped:
            raise UserError(
                Said(WORDS, f"none_{self.what}", trouble=self._last.message),
                code=self._last.code,
            )
        counts = self.counts
        self.rundir.event(self._in_words())
        more: dict[str, Any] = {"usage": self.used} if self.used else {}
        if self._cap is not None:
            left = self.total - len(self.seen) - counts["failed"]
            warning = self._left_over(left, self._cap)
            self.rundir.event(warning, "warning")
            more |= {"capped": True, "left": left, "warning": warning}
        self.rundir.finish(status="succeeded", counts=counts, **more)

    def _in_words(self) -> str:
        return Said(WORDS, "judged", **self.counts)

    def _left_over(self, left: int, cap: CapReached) -> str:
        """Told when all answers are in, so that it says what was paid in the end."""
        spent = in_words(self.spent or cap.spent)
        return Said(WORDS, "left", left=left, cap=cap.cap, spent=spent)

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
