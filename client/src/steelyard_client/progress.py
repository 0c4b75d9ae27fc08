"""How far something is: a line on a terminal that is written over, and nothing elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from steelyard_client.connection import Told

EVERY = 0.1
"""seconds between two changes of the line"""
_STEPS = ("B", "KiB", "MiB", "GiB", "TiB")


def silent(done: int, total: int) -> None:
    """Tells nobody."""


@contextmanager
def line(title: str, unit: str = "", *, wanted: bool = True) -> Iterator[Told]:
    """Something to be called with what is done and the total (0: not known).

    Args:
        unit: what is counted; ``B`` for bytes, which are shown in larger units.
    """
    if not wanted or not sys.stderr.isatty():
        yield silent
        return
    shown = _Line(title, unit)
    try:
        yield shown
    finally:
        shown.end()


class _Line:
    def __init__(self, title: str, unit: str) -> None:
        self.title, self.unit = title, unit
        self.last = 0.0
        self.said = (0, 0)

    def __call__(self, done: int, total: int) -> None:
        self.said = done, total
        if time.monotonic() - self.last >= EVERY:
            self._write()

    def _write(self) -> None:
        self.last = time.monotonic()
        done, total = self.said
        text = f"{self.title}  {self._amount(done)}"
        if total:
            share = min(done / total, 1.0)
            bar = "█" * round(20 * share) + "░" * (20 - round(20 * share))
            text = f"{self.title}  {bar} {share:4.0%}  {self._amount(done)} of "
            text += self._amount(total)
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\x1b[2K" + text[:width])
        sys.stderr.flush()

    def _amount(self, n: int) -> str:
        if self.unit != "B":
            return f"{n:,} {self.unit}".strip()
        size, step = float(n), 0
        while size >= 1024 and step < len(_STEPS) - 1:
            size, step = size / 1024, step + 1
        return f"{size:.0f} B" if step == 0 else f"{size:.1f} {_STEPS[step]}"

    def end(self) -> None:
        self._write()
        sys.stderr.write("\n")
        sys.stderr.flush()
