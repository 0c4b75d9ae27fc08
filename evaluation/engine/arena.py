"""The arena's engine: it holds the contestants loaded and answers what is laid into its folder.

::

    requests/ID.json   {"id", "model", "messages", "seed"}; written atomically by the web side
    answers/ID.jsonl   {"begin": n}, {"piece": text} …, and last {"end": "done", "text": whole}
                       or {"end": "failed", "code", "message"}
    closing            touched when it shuts down for want of questions: what is laid in after
                       that goes to another run

A process that dies leaves answers without an end; the next one begins them anew, and gives up one
at which processes died three times. Contestants write at the same time, each in threads of its own.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from evaluation.engine.words import WORDS
from steelyard.inference.loading import sampling_of
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

LOOK_SECONDS = 0.05
MOST_BEGINS = 3
_PIECE_SECONDS = 0.1
"""Pieces are gathered for so long: nobody reads faster."""


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    desk = Desk(rundir, spec, stop)
    try:
        desk.serve(idle_seconds=float(spec["idle_seconds"]))
    finally:
        desk.close()
    if not stop:
        rundir.finish(status="succeeded", counts={"answers": desk.done})


class Desk:
    """Hands each question to its contestant's line."""

    def __init__(self, rundir: RunDir, spec: Mapping[str, Any], stop: Stop) -> None:
        self.rundir, self.stop = rundir, stop
        for name in ("requests", "answers"):
            (rundir.path / name).mkdir(exist_ok=True)
        (rundir.path / "closing").unlink(missing_ok=True)
        self.lines = {
            model["name"]: Line(model, spec.get("sampling", {}), stop) for model in spec["models"]
        }
        self.taken: set[str] = set()
        self.done = 0
        self._lock = threading.Lock()
        self._warming = threading.Thread(target=self._warm, daemon=True)

    def serve(self, *, idle_seconds: float) -> None:
        """Until somebody says stop, or nobody has asked anything for so long."""
        self._tell()
        self._warming.start()
        quiet_since = time.monotonic()
        while not self.stop:
            self._take()
            if self.done < len(self.taken):
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > idle_seconds:
                (self.rundir.path / "closing").touch()
                if not self._take():
                    return
                (self.rundir.path / "closing").unlink()
            time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        for line in self.lines.values():
            line.close()
        if self._warming.is_alive():
            self._warming.join()

    def _warm(self) -> None:
        """Load one after another while the first question is being written."""
        for line in self.lines.values():
            line.warm()

    def _take(self) -> int:
        """Hand over what is new; how much that was."""
        found = [p for p in (self.rundir.path / "requests").glob("*.json") if self._is_new(p)]
        for path in sorted(found, key=lambda path: path.stat().st_mtime):
            self.taken.add(path.stem)
            request = json.loads(path.read_text())
            answer = Answer(self.rundir.path / "answers" / f"{path.stem}.jsonl")
            if answer.ended:
                self.done += 1
                continue
            line = self.lines.get(request["model"])
            if line is None:
                answer.fail("no_contestant", f"{request['model']} is no contestant of this run.")
                self._one_more()
            else:
                line.ask(request, answer, self._one_more)
        return len(found)

    def _is_new(self, path: Path) -> bool:
        return not path.name.startswith(".") and path.stem not in self.taken

    def _one_more(self) -> None:
        with self._lock:
            self.done += 1
            self._tell()

    def _tell(self) -> None:
        # how many there will be is not known, so no total is promised
        self.rundir.progress(self.done, 0, "answers", Said(WORDS, "waiting"))


class Line:
    """One contestant, and those who wait for it."""

    def __init__(self, model: Mapping[str, Any], sampling: Mapping[str, Any], stop: Stop) -> None:
        self.model, self.stop = model, stop
        self.sampling = sampling_of(model, sampling)
        self._speaker: Any = None
        self._is_closed = False
        self._loading = threading.Lock()
        self._pool = ThreadPoolExecutor(4 if model["family"] == "endpoint" else 1)

    def ask(self, request: dict[str, Any], answer: Answer, told: Any) -> None:
        self._pool.submit(self._answer, request, answer, told)

    def warm(self) -> None:
        """Load it; where that fails, its first question tries again and says why."""
        if not self._is_closed:
            with suppress(Exception):
                self._loaded()

    def close(self) -> None:
        self._is_closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._speaker is not None:
            self._speaker.close()

    def _answer(self, request: dict[str, Any], answer: Answer, told: Any) -> None:
        if self.stop:
            return
        if answer.begins >= MOST_BEGINS:
            answer.fail("engine_died", f"The engine died {answer.begins} times at this answer.")
            told()
            return
        answer.begin()
        try:
            speaker = self._loaded()
            text = speaker.speak(
                request["messages"],
                sampling=self.sampling,
                seed=request["seed"],
                say=answer.say,
            )
            answer.finish(text, self.sampling)
        except UserError as error:
            if not self.stop:
                answer.fail(error.code, error.message)
        except Exception as error:  # noqa: BLE001
            # one answer's trouble is its own; what was broken off by a stop is begun anew later
            if not self.stop:
                traceback.print_exc()
                answer.fail("internal_error", f"{type(error).__name__}: {error}")
        finally:
            if answer.ended:
                told()

    def _loaded(self) -> Any:
        from steelyard.inference.streaming import load_speaker

        with self._loading:
            if self._speaker is None:
                self._speaker = load_speaker(self.model, stop=lambda: bool(self.stop))
            return self._speaker


class Answer:
    """The file of one answer; whole lines are appended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = read_answer(path)
        self.begins = sum("begin" in line for line in lines)
        self.ended = any("end" in line for line in lines)
        self._waiting = ""
        self._written = 0.0

    def begin(self) -> None:
        self.begins += 1
        self._add({"begin": self.begins})

    def say(self, piece: str) -> None:
        self._waiting += piece
        if time.monotonic() - self._written >= _PIECE_SECONDS:
            self._flush()

    def finish(self, text: str, sampling: Mapping[str, Any]) -> None:
        self._waiting = ""
        self._add({"end": "done", "text": text, "parameters": dict(sampling)})
        self.ended = True

    def fail(self, code: str, message: str) -> None:
        self._flush()
        self._add({"end": "failed", "code": code, "message": message})
        self.ended = True

    def _flush(self) -> None:
        if self._waiting:
            self._add({"piece": self._waiting})
        self._waiting, self._written = "", time.monotonic()

    def _add(self, line: dict[str, Any]) -> None:
        with self.path.open("ab") as stream:
            # a process that died may have left half a line
            lead = b"\n" if stream.tell() and not _ends_whole(self.path) else b""
            stream.write(lead + json.dumps(line).encode() + b"\n")


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"


def read_answer(path: Path) -> list[dict[str, Any]]:
    """What stands in an answer's file, whole lines alone; nothing where there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


if __name__ == "__main__":
    engine.run(work)
