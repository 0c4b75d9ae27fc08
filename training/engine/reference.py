"""Log-probabilities under the model as it was before training, computed once and kept.

They lie in ``reference.safetensors`` of the run directory, so there is never a second model in
memory and a run that goes on does not compute them again. The file is known by a key over all that
the numbers depend on; one with another key is not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.lib.rundir import RunDir, write_atomically
from training.engine.checkpoints import fingerprint
from training.engine.data import Pair, batches

FILE = "reference.safetensors"
_SAVE_SECONDS = 60
Score = Callable[[Sequence[Pair]], tuple[Tensor, Tensor]]
"""Pairs to the summed log-probabilities of their chosen and rejected answers, (pairs,) each."""


def reference_log_probs(
    rundir: RunDir,
    pairs: Sequence[Pair],
    score: Score,
    *,
    batch_size: int,
    stop: Stop,
    label: str,
    steps: int,
) -> Tensor | None:
    """Chosen and rejected log-probabilities of all pairs under the untrained model.

    Args:
        score: by the untrained model, without gradients.
        stop: looked at before each batch; when true, what was computed is kept for the next start.
        label: what else the numbers depend on: number format, device.
        steps: how many the run will train, for its progress.

    Returns:
        float32, (pairs, 2), on the CPU; None where it was stopped.

    Raises:
        UserError: the model gives probabilities that are no numbers.
    """
    key = digest_of(
        [fingerprint(rundir), label, torch.__version__]
        + [[pair.prompt, pair.chosen, pair.rejected] for pair in pairs]
    )
    values, known = _load(rundir, key, len(pairs))
    saved = time.monotonic()
    # the batches are the same in every process, so that a start in the middle changes no rounding
    for rows in batches(range(len(pairs)), pairs, batch_size):
        if known[rows].all():
            continue
        if stop:
            _save(rundir, key, values, known)
            return None
        chosen, rejected = score([pairs[row] for row in rows])
        values[rows] = torch.stack([chosen, rejected], 1).float().cpu()
        known[rows] = True
        _check(values, rows)
        told = f"Reference probabilities of {int(known.sum())} of {len(pairs)} pairs"
        rundir.progress(0, steps, "steps", told)
        if time.monotonic() - saved > _SAVE_SECONDS:
            _save(rundir, key, values, known)
            saved = time.monotonic()
    _save(rundir, key, values, known)
    return values


def _check(values: Tensor, rows: list[int]) -> None:
    if not values[rows].isfinite().all():
        raise UserError(
            "The base model gives probabilities that are no numbers, before any training. Its "
            "weights are broken, or bfloat16 is too coarse for it: try dtype float32.",
            code="nan_loss",
            field="dtype",
        )


def _load(rundir: RunDir, key: str, pairs: int) -> tuple[Tensor, Tensor]:
    empty = torch.zeros(pairs, 2), torch.zeros(pairs, dtype=torch.bool)
    path = rundir.path / FILE
    if not path.exists():
        return empty
    try:
        with safe_open(path, framework="pt") as stored:
            if (stored.metadata() or {}).get("key") != key:
                return empty
            return stored.get_tensor("log_probs"), stored.get_tensor("known")
    except (SafetensorError, OSError):
        return empty


def _save(rundir: RunDir, key: str, values: Tensor, known: Tensor) -> None:
    data = save({"log_probs": values, "known": known}, metadata={"key": key})
    write_atomically(rundir.path / FILE, data)
