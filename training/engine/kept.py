"""The models of a run's checkpoints: which are written, where they lie, when they are whole.

::

    RUN_DIR/kept/step-00000400/ what the run would have kept had it ended there
                                kept.json: {"step", "form", "digest", "asked", "files": sizes}

A folder appears under its name when all of it is on disk. With ``keep_checkpoints`` there is one
for every so many steps. Without, an adapter's run keeps those of its checkpoints, which are small,
thinned out evenly to a few: so that whoever wants one later has something to choose from. Nothing
here knows torch, so that the web side can read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steelyard.lib.hashing import digest_of, sha256_file
from steelyard.lib.rundir import RunDir

FOLDER, SEAL = "kept", "kept.json"
_DENOISERS = ("unet", "transformer")
"""With what the names of the folders begin in which a pipeline has its denoisers."""
MOST = 8
"""So many that nobody asked for stay."""


class KeepSettings(Protocol):
    """What is read of a config."""

    @property
    def checkpoint_every(self) -> int: ...
    @property
    def keep_checkpoints(self) -> int: ...


@dataclass(frozen=True)
class Kept:
    """One that is whole."""

    step: int
    form: str
    """adapter or full"""
    digest: str
    asked: bool
    """Whether ``keep_checkpoints`` asked for it."""
    files: dict[str, int]
    """Their sizes, by name."""
    folder: Path

    @property
    def size(self) -> int:
        return sum(self.files.values())

    @property
    def is_whole(self) -> bool:
        """Whether every file is there, as long as it was written."""
        places = [(self.folder / name, size) for name, size in self.files.items()]
        return all(path.is_file() and path.stat().st_size == size for path, size in places)


def is_due(config: KeepSettings, step: int, total: int, *, adapter: bool) -> bool:
    """Whether the model after ``step`` of ``total`` steps is to be written; the last is the run's
    result anyway."""
    if not 0 < step < total:
        return False
    if config.keep_checkpoints:
        return step % config.keep_checkpoints == 0
    return adapter and step % config.checkpoint_every == 0


def number_of(settings: Mapping[str, Any], steps: int, *, adapter: bool) -> int:
    """How many models of checkpoints lie in the folder of a run of so many steps when it ends."""
    if every := settings.get("keep_checkpoints", 0):
        return max(0, steps - 1) // every
    return min(MOST + 1, max(0, steps - 1) // settings["checkpoint_every"]) if adapter else 0


def folder_of(rundir: RunDir, step: int) -> Path:
    return rundir.path / FOLDER / f"step-{step:08d}"


def kept_in(rundir: RunDir) -> Iterator[Kept]:
    """All that are sealed, by step; what is half-written or not to be read is passed over."""
    for folder in sorted((rundir.path / FOLDER).glob("step-*")):
        try:
            told = json.loads((folder / SEAL).read_text())
            yield Kept(**{**told, "folder": folder})
        except (OSError, ValueError, TypeError):
            continue


def superfluous(steps: list[int], every: int) -> list[int]:
    """Which of the steps go where at most MOST may stay besides the newest: what is left lies
    evenly, and only the newest step decides how widely."""
    if not steps:
        return []
    newest, stride = max(steps), every
    while newest // stride > MOST:
        stride *= 2
    return [step for step in steps if step % stride and step != newest]


def digest_of_model(folder: Path) -> str:
    """SHA-256 of the file of weights that was trained, or of the list of hashes of several."""
    top = sorted(folder.glob("*.safetensors"))
    found = top or sorted(
        path for path in folder.glob("*/*.safetensors") if path.parent.name.startswith(_DENOISERS)
    )
    hashes = [sha256_file(path) for path in found]
    return hashes[0] if len(hashes) == 1 else digest_of(hashes)
