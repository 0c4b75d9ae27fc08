"""Writes the models of a run's checkpoints; see :mod:`training.engine.kept`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.checkpoints import sync, whole_or_absent
from training.engine.kept import (
    FOLDER,
    SEAL,
    KeepSettings,
    digest_of_model,
    folder_of,
    kept_in,
    superfluous,
)
from training.engine.words import WORDS


def keep_step(
    rundir: RunDir,
    config: KeepSettings,
    step: int,
    write: Callable[[Path], object],
    *,
    adapter: bool,
) -> None:
    """Write the model after ``step`` steps, whole or not at all; one that is there stays.

    A disk that is full ends no run for a model that nobody asked for.

    Args:
        write: saves the model into the folder it is given.

    Raises:
        UserError: ``disk_full``, where the run was asked to keep it.
    """
    target, asked = folder_of(rundir, step), bool(config.keep_checkpoints)
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(f".partial-{target.name}")
    try:
        with whole_or_absent(partial, Said(WORDS, "model_of_checkpoint")):
            write(partial)
            _seal(partial, step, adapter=adapter, asked=asked)
            partial.rename(target)
    except UserError:
        if asked:
            raise
        rundir.event(Said(WORDS, "no_room", step=step), "warning")
        return
    sync(rundir.path / FOLDER)
    _thin_out(rundir, config)


def _seal(folder: Path, step: int, *, adapter: bool, asked: bool) -> None:
    # peft puts an unfilled model card there
    (folder / "README.md").unlink(missing_ok=True)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    body = {
        "step": step,
        "form": "adapter" if adapter else "full",
        "digest": digest_of_model(folder),
        "asked": asked,
        "files": {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths},
    }
    (folder / SEAL).write_text(json.dumps(body))
    for path in [*paths, folder / SEAL, folder]:
        sync(path)


def _thin_out(rundir: RunDir, config: KeepSettings) -> None:
    there = {kept.step: kept.folder for kept in kept_in(rundir) if not kept.asked}
    for step in superfluous(list(there), config.checkpoint_every):
        shutil.rmtree(there[step], ignore_errors=True)
