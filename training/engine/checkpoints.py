"""Points to resume from: whole or absent, never pickled.

::

    checkpoints/step-00000050/ parameters.safetensors   what is trained, by name, float32
                               optimizer.safetensors    the optimiser's moments and counts
                               state.json               step, the run's fingerprint, more

A checkpoint is written under a hidden name, flushed, then renamed; a process killed half-way
leaves only a folder that the next one removes. There is no random state in it: every draw of a
recipe is a function of (seed, step, row), so step and seed are enough to go on to the same curve.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of, sha256_file
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.distributed import agreed, full, laid_out, world
from training.engine.optim import restore, tensors_of, training_mode
from training.engine.words import WORDS

KEEP = 2
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PARTIAL = ".partial-"
_NO_NUMBER = {"processes", "launcher", "keep_checkpoints"}


def fingerprint(rundir: RunDir) -> str:
    """What a checkpoint must agree on to be resumed: the run's inputs and settings, but for those
    that change no number: where it works, and what it keeps."""
    spec = rundir.spec()
    told = {key: spec.get(key) for key in ("recipe", "config", "seed", "base", "dataset")}
    told["config"] = {k: v for k, v in (spec.get("config") or {}).items() if k not in _NO_NUMBER}
    return digest_of(told)


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name; tied ones once."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def save_checkpoint(
    rundir: RunDir,
    *,
    step: int,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any] | None = None,
) -> Path:
    """Write the state after ``step`` optimiser steps and drop all but the newest two.

    Of several processes all have to call this, and the one that leads writes. The parameters are
    saved as the result that they are so far, which for schedule-free AdamW is their average.

    Args:
        parameters: as :func:`trainable` gives them; the optimiser holds exactly these.
        state: what else the recipe needs back; JSON values.
    """
    final = rundir.checkpoints / f"step-{step:08d}"
    if agreed(world().leads and final.exists()):
        return final
    was_on = training_mode(optimizer, False)
    weights = {name: full(parameter.detach()) for name, parameter in parameters.items()}
    moments = tensors_of(parameters, optimizer)
    if world().leads:
        body = {"step": step, "fingerprint": fingerprint(rundir), "state": state or {}}
        _write_checkpoint(rundir, final, body, weights, moments)
    training_mode(optimizer, was_on)
    return final


def _write_checkpoint(
    rundir: RunDir,
    final: Path,
    body: dict[str, Any],
    weights: dict[str, torch.Tensor],
    moments: dict[str, torch.Tensor],
) -> None:
    rundir.checkpoints.mkdir(parents=True, exist_ok=True)
    partial = rundir.checkpoints / f"{_PARTIAL}{body['step']:08d}"
    with whole_or_absent(partial, Said(WORDS, "checkpoint")):
        _save(partial / "parameters.safetensors", weights)
        _save(partial / "optimizer.safetensors", moments)
        _write(partial / "state.json", json.dumps(body).encode())
        partial.rename(final)
    sync(rundir.checkpoints)
    _drop_old(rundir.checkpoints)


def resume(
    rundir: RunDir,
    *,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> tuple[int, dict[str, Any]]:
    """Load the newest checkpoint into the parameters and the optimiser.

    Returns:
        The number of steps done and the recipe's own state; (0, {}) where there is none.

    Raises:
        UserError: the checkpoint was made with other inputs or settings.
    """
    for leftover in rundir.checkpoints.glob(f"{_PARTIAL}*") if world().leads else ():
        shutil.rmtree(leftover, ignore_errors=True)
    complete = sorted(rundir.checkpoints.glob("step-*"))
    if not complete:
        return 0, {}
    folder = complete[-1]
    body = json.loads((folder / "state.json").read_text())
    if body["fingerprint"] != fingerprint(rundir):
        raise UserError(
            Said(WORDS, "other_checkpoint", checkpoint=folder.name),
            code="other_run",
        )
    saved = load_file(folder / "parameters.safetensors")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(laid_out(saved[name], like=parameter))
    restore(parameters, optimizer, load_file(folder / "optimizer.safetensors"))
    return body["step"], body["state"]


def keep_model(rundir: RunDir, write: Callable[[Path], object]) -> str:
    """Write the trained model into ``model/``: whole or absent, on disk when this returns.

    Args:
        write: saves safetensors, and whatever belongs to them, into the folder it is given.

    Returns:
        SHA-256 of the weights file, or of the list of hashes where there are several.
    """
    partial = rundir.path / ".model.partial"
    with whole_or_absent(partial, Said(WORDS, "model")):
        write(partial)
        # peft puts an unfilled model card there
        (partial / "README.md").unlink(missing_ok=True)
        for path in partial.iterdir():
            sync(path)
        shutil.rmtree(rundir.model, ignore_errors=True)
        partial.rename(rundir.model)
    sync(rundir.path)
    hashes = [sha256_file(path) for path in sorted(rundir.model.glob("*.safetensors"))]
    return hashes[0] if len(hashes) == 1 else digest_of(hashes)


@contextmanager
def whole_or_absent(folder: Path, what: str) -> Iterator[None]:
    """An empty folder to write into; it is gone again where that fails.

    Raises:
        UserError: ``disk_full``.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        full_disk = getattr(error, "errno", None) in _NO_SPACE
        if not full_disk and not any(os.strerror(code) in str(error) for code in _NO_SPACE):
            raise
        raise UserError(
            Said(WORDS, "checkpoint_disk_full", what=what, folder=folder.parent),
            code="disk_full",
        ) from error


def _save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, path)
    sync(path)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    sync(path)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _drop_old(folder: Path) -> None:
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
