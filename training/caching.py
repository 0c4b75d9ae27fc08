"""What runs have computed once for all runs, in the data folder: how much it is, and its limit.

Reference log-probabilities, and what encoders made of pictures and clips, lie in
``cache/reference`` as files that never change (``training.engine.reference``, ``diffusion_cache``).
Whoever reads a file marks it as used; what was used longest ago goes first. A run reads what it
found when it began, so nothing is removed that was used since the oldest run at work began; a file
that is gone is computed again by the next run that wants it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from steelyard.runs.models import Run

GIB = 2**30
_DAY = 86_400
"""File systems note a reading of a file once a day, where its reader does not mark it."""


class Entry(NamedTuple):
    path: Path
    size: int
    used: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Usage:
    files: int
    size: int
    """In bytes."""
    oldest: float | None
    """When the file that was used longest ago was used; None without files."""


def folder() -> Path:
    return settings.DATA_DIR / "cache" / "reference"


def usage() -> Usage:
    found = _entries()
    size = sum(entry.size for entry in found)
    return Usage(len(found), size, min((entry.used for entry in found), default=None))


def trim(limit: int | None = None) -> Usage:
    """Remove what was used longest ago until the rest is within the limit; what was removed.

    Args:
        limit: in bytes; None is the setting's, and a setting of 0 removes nothing.
    """
    if limit is None:
        if not settings.CACHE_GIB:
            return Usage(0, 0, None)
        limit = int(settings.CACHE_GIB * GIB)
    found = sorted(_entries(), key=lambda entry: (entry.used, entry.path))
    left, kept_since = sum(entry.size for entry in found), _kept_since()
    gone: list[Entry] = []
    for entry in found:
        if left <= limit or entry.used >= kept_since:
            break
        with suppress(FileNotFoundError):
            entry.path.unlink()
        left -= entry.size
        gone.append(entry)
    return Usage(len(gone), sum(e.size for e in gone), gone[0].used if gone else None)


def _kept_since() -> float:
    began = Run.objects.started().order_by("started_at").values_list("started_at", flat=True)
    first = next((at.timestamp() for at in began if at is not None), time.time())
    return first - _DAY


def _entries() -> list[Entry]:
    found = []
    for path in folder().rglob("*"):
        # what is written now has its last name in a moment, and is gone by its first one
        with suppress(FileNotFoundError):
            told = path.stat()
            if path.is_file():
                found.append(Entry(path, told.st_size, max(told.st_mtime, told.st_atime)))
    return found
