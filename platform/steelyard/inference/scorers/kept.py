"""Scores kept for later: of one file and one prompt by one version of a scorer.

A file of JSON lines a version. Several runs may write it at once: each line is written whole under
a lock, and a line that a crash has cut short is passed over.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path

from steelyard.inference.scorers.base import Facts, checked_scores
from steelyard.lib.errors import UserError


class Kept:
    """
    Args:
        folder: of all scorers; None keeps nothing beyond this process.
    """

    def __init__(self, folder: Path | None, facts: Facts) -> None:
        known = folder is not None and bool(facts.version)
        self._path = folder / f"{facts.version}.jsonl" if folder is not None and known else None
        self._scores: dict[str, dict[str, float]] = {}
        if self._path is not None and self._path.exists():
            self._read(self._path, list(facts.higher_is_better))

    def get(self, key: str) -> dict[str, float] | None:
        return self._scores.get(key)

    def add(self, found: Mapping[str, dict[str, float]]) -> None:
        self._scores.update(found)
        if self._path is None or not found:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = b"".join(
            json.dumps({"key": key, "scores": scores}).encode() + b"\n"
            for key, scores in found.items()
        )
        with self._path.open("ab+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            end = stream.seek(0, 2)
            stream.seek(max(0, end - 1))
            torn = end > 0 and stream.read(1) != b"\n"
            stream.write(b"\n" * torn + lines)

    def _read(self, path: Path, dimensions: list[str]) -> None:
        with path.open("rb") as stream:
            for line in stream:
                try:
                    one = json.loads(line)
                    self._scores[one["key"]] = checked_scores(one["scores"], dimensions, path.name)
                except (ValueError, KeyError, TypeError, UserError):
                    continue
