"""The run directory: all that the web side and an engine share.

::

    RUN_DIR/ run.json         what to do: kind, config, seed, inputs
             data/  media/    inputs, already resolved to files
             metrics.jsonl    one object a line: {"step", "time", "values": {name: number}}
             resources.jsonl  the same, of what the process uses: {"step", "time", "values"}
             events.jsonl     one object a line: {"time", "level", "text", maybe "said"}
             progress.json    {"done", "total", "unit", "text", maybe "said"}
             heartbeat        touched by the engine
             cancel  stop     touched by the web side: for good, or (other hosts) to go on later
             lock  pid        who works on it: "<pid> <start time>", by itself and by its launcher
             stopped          touched by an engine that was told to stop before the end
             checkpoints/     the engine's own, newest complete one is resumed from
             kept/            models of checkpoints of a training run
             result.json      written last, atomically: {"status", ...}
             model/           what a training run made

The directory is trusted to be ours but not to be whole: a process may die in the middle of a line.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.lib.said import Said

MAX_LINE = 64 * 1024
MAX_TEXT = 8000
MAX_READ = 4 * 1024 * 1024
MAX_TAIL = 256 * 1024
RECENT_SECONDS = 60.0
RECENT_MARKS = 5
"""The pace is that of the last minute, or of so many changes where those took longer."""
_BETWEEN_MARKS = 2.0


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file in one step, flushed to disk first: readers see the old or the new."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class RunDir:
    """One run's folder. Every method is safe to call while the other side is writing."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def media(self) -> Path:
        return self.path / "media"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """Where the launcher sends the process's stdout and stderr."""
        return self.path / "process.log"

    @property
    def stopped(self) -> Path:
        """There when the last process ended because it was told to, not because it crashed."""
        return self.path / "stopped"

    def create(self, spec: dict[str, Any]) -> None:
        """Make the folder and write ``run.json``.

        Args:
            spec: at least ``kind``; config, seed and inputs are the engine's own words.
        """
        for folder in (self.path, self.data, self.media, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            self.path / "run.json", json.dumps(spec, indent=2, sort_keys=True).encode()
        )

    def spec(self) -> dict[str, Any]:
        return json.loads((self.path / "run.json").read_text())

    # the engine's side

    def metric(self, step: int, **values: float) -> None:
        """Append numbers at a step. NaN and infinities are written as null."""
        line = {
            "step": step,
            "time": time.time(),
            "values": {k: _finite(v) for k, v in values.items()},
        }
        self._append("metrics.jsonl", line)

    def resources(self, **values: float) -> None:
        """Append what the process uses now, at the step that it has come to."""
        step = int((self.read_progress() or {}).get("done", 0))
        rounded = {name: round(value, 1) for name, value in values.items()}
        self._append("resources.jsonl", {"step": step, "time": time.time(), "values": rounded})

    def event(self, text: str, level: str = "info") -> None:
        """Append a line to the run's log; level is info, warning or error."""
        line = {"time": time.time(), "level": level, "text": text[:MAX_TEXT]}
        if isinstance(text, Said) and len(text) <= MAX_TEXT:
            line["said"] = text.as_dict()
        self._append("events.jsonl", line)

    def progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        """Say how far the run is, and beat."""
        body: dict[str, Any] = {"done": done, "total": total, "unit": unit, "text": text}
        if isinstance(text, Said):
            body["said"] = text.as_dict()
        try:
            before = self.read_progress() or {}
        except ValueError:
            before = {}
        same = all(before.get(name) == body[name] for name in ("total", "unit"))
        body["marks"] = _marked(before.get("marks", []) if same else [], time.time(), done)
        write_atomically(self.path / "progress.json", json.dumps(body).encode())
        self.beat()

    def beat(self) -> None:
        (self.path / "heartbeat").touch()

    def cancelled(self) -> bool:
        return (self.path / "cancel").exists()

    def finish(self, **result: Any) -> None:
        """Write ``result.json``: ``status`` is succeeded, failed or cancelled.

        A failure adds ``code`` and ``message``; success adds what the run's kind promises.
        ``said`` has the codes of sentences, by what they are given as.
        """
        said = {name: text.as_dict() for name, text in result.items() if isinstance(text, Said)}
        if said:
            result["said"] = said
        write_atomically(self.path / "result.json", json.dumps(result, indent=2).encode())

    # the web side

    def request_cancel(self) -> None:
        (self.path / "cancel").touch()

    def forget_end(self) -> None:
        """Take away what says that the run has ended, so that it can be started again."""
        for name in ("result.json", "cancel", "stopped"):
            (self.path / name).unlink(missing_ok=True)

    def result(self) -> dict[str, Any] | None:
        path = self.path / "result.json"
        return json.loads(path.read_text()) if path.exists() else None

    def read_progress(self) -> dict[str, Any] | None:
        path = self.path / "progress.json"
        return json.loads(path.read_text()) if path.exists() else None

    def last_beat(self) -> float | None:
        """Seconds since the epoch of the last heartbeat, or None before the first."""
        path = self.path / "heartbeat"
        return path.stat().st_mtime if path.exists() else None

    def read_lines(self, name: str, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Whole lines of a ``.jsonl`` file from a byte offset on, and the offset after them.

        Reads at most 4 MiB a call. A half-written last line is left for the next call; a line
        that is not JSON or is over 64 KiB is passed over.
        """
        path = self.path / name
        if not path.exists():
            return [], offset
        with path.open("rb") as stream:
            stream.seek(offset)
            block = stream.read(MAX_READ)
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) == MAX_READ:
            return [], offset + len(block)
        return list(_parse(block[:end])), offset + end

    def log_tail(self, limit: int = 4000) -> str:
        """The last characters that the process printed."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - limit))
            return stream.read().decode(errors="replace")

    def last_events(self, limit: int) -> list[dict[str, Any]]:
        """The newest lines of the log, the newest last."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return []
        start = max(0, path.stat().st_size - MAX_TAIL)
        with path.open("rb") as stream:
            stream.seek(start)
            block = stream.read()
        whole = block if start == 0 else block.partition(b"\n")[2]
        return list(_parse(whole))[-limit:]

    def _append(self, name: str, line: dict[str, Any]) -> None:
        with (self.path / name).open("ab") as stream:
            stream.write(json.dumps(line).encode() + b"\n")


class Onlooker(RunDir):
    """A run's folder for a process that helps and does not lead: it reads, and writes nothing."""

    def create(self, spec: dict[str, Any]) -> None:
        pass

    def progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        pass

    def beat(self) -> None:
        pass

    def finish(self, **result: Any) -> None:
        pass

    def _append(self, name: str, line: dict[str, Any]) -> None:
        pass


def seconds_left(progress: dict[str, Any]) -> float | None:
    """Until ``total`` at the recent pace; None where there is none to speak of."""
    marks, total = progress.get("marks") or [], progress["total"]
    if len(marks) < 2:
        return None
    (began, first), (ended, done) = marks[0], marks[-1]
    if ended - began < _BETWEEN_MARKS or done <= first or done >= total:
        return None
    return float((ended - began) * (total - done) / (done - first))


def _marked(marks: list[list[float]], now: float, done: int) -> list[list[float]]:
    """When it had come how far, recently; until something is done, only when it was last at 0, so
    that what goes before the first counts for nothing."""
    if not marks or done < marks[-1][1] or marks[-1][1] == 0 == done:
        return [[now, done]]
    if done == marks[-1][1]:
        return marks
    if len(marks) > 1 and now - marks[-2][0] < _BETWEEN_MARKS:
        marks = marks[:-1]
    marks = [*marks, [now, done]]
    recent = sum(now - at <= RECENT_SECONDS for at, _ in marks)
    return marks[-max(recent, RECENT_MARKS) :]


def _parse(block: bytes) -> Iterator[dict[str, Any]]:
    for line in block.split(b"\n"):
        if not line or len(line) > MAX_LINE:
            continue
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
