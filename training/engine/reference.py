"""Log-probabilities under the model as it was before training: computed once, kept for all runs.

They lie in a folder that runs share, token by token, so that no objective and no setting of a loss
needs a second pass::

    CACHE/<key>/<entries>.safetensors   entries (n, 32), lengths (n,), values (tokens,)

The key is a digest of all that the numbers depend on but the tokens: the weights as they are in
memory (a merged adapter is in them), the model's config, number format, device, attention, and the
libraries' versions. An entry is a digest of a prompt's ids, its pictures and an answer's ids; a
changed chat template or length limit gives other ids. A file is written whole under a hidden name
and never changed, so any number of processes may write at once; the folder may be deleted whenever
no run is at work. A file is marked as used (its time of change) whenever an entry of it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import PreTrainedModel

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of, sha256_hex
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine.data import Example
from training.engine.distributed import AgreedStop, agreed, barrier, share
from training.engine.forward import Row, Scored, one_by_one
from training.engine.words import WORDS

_SAVE_SECONDS = 60
Values = list[tuple[Tensor | None, ...]]
"""For each example one float32 (tokens,) tensor a sequence, on the CPU; None where the reference
was not asked."""


class Cache:
    """The entries of one key.

    Args:
        folder: what all runs share.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key

    def read(self, wanted: set[bytes]) -> dict[bytes, Tensor]:
        """Those of the wanted entries that are there; what cannot be read is not there."""
        found: dict[bytes, Tensor] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            if len(found) == len(wanted):
                break
            try:
                stored = load_file(path)
                names, lengths = stored["entries"], stored["lengths"].tolist()
                values = stored["values"].split(lengths)
            except (SafetensorError, OSError, KeyError, RuntimeError):
                continue
            used = False
            for name, value in zip(map(bytes, names.numpy()), values, strict=True):
                if name in wanted:
                    # a view would hold the whole file in memory
                    found.setdefault(name, value.clone())
                    used = True
            if used:
                # what was used longest ago is removed first, where there is a limit
                with suppress(OSError):
                    os.utime(path)
        return found

    def write(self, entries: Mapping[bytes, Tensor]) -> None:
        """
        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        if not entries:
            return
        names = list(entries)
        data = save(
            {
                "entries": torch.frombuffer(bytearray(b"".join(names)), dtype=torch.uint8).view(
                    -1, 32
                ),
                "lengths": torch.tensor([len(entries[name]) for name in names]),
                "values": torch.cat([entries[name] for name in names]),
            }
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / f"{sha256_hex(data)}.safetensors", data)


def key_of(model: PreTrainedModel, weights: str, dtype: torch.dtype, prefix: bool) -> str:
    """What log-probabilities depend on besides the tokens.

    Args:
        weights: their digest, by :func:`weights_digest`.
    """
    config = {k: v for k, v in model.config.to_dict().items() if k != "_name_or_path"}
    return digest_of(
        {
            "weights": weights,
            "config": json.dumps(config, sort_keys=True, default=str),
            "dtype": str(dtype),
            "device": model.device.type,
            "attention": [str(model.config._attn_implementation), prefix],
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
    )


def weights_digest(model: torch.nn.Module) -> str:
    """Of all weights by name, as they are in memory."""
    tensors = dict(chain(model.named_parameters(), model.named_buffers()))

    def one(tensor: Tensor) -> str:
        plain = tensor.detach().contiguous().cpu().flatten()
        data: Any = plain.view(torch.uint8).numpy()
        return hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        hashes = pool.map(one, tensors.values())
        told = [
            [name, str(tensor.dtype), list(tensor.shape), digest]
            for (name, tensor), digest in zip(tensors.items(), hashes, strict=True)
        ]
    return digest_of(told)


def entry_of(row: Row) -> bytes:
    """The digest of a row with one answer."""
    (answer,) = row.answers
    told = hashlib.sha256(array("q", [len(row.prompt), len(answer), *row.prompt, *answer]))
    told.update("".join(row.images).encode())
    return told.digest()


def reference_values(
    rundir: RunDir,
    examples: Sequence[Example],
    names: frozenset[str],
    score: Callable[[Sequence[Row]], Scored],
    *,
    cache: Cache,
    passes: Sequence[list[int]],
    stop: Stop | AgreedStop,
    steps: int,
) -> Values | None:
    """What the untrained model gives for the sequences of these names.

    Args:
        score: by the untrained model, without gradients.
        passes: numbers of examples that go through the model together; the same in every start of
            a run, so that a start in the middle changes no rounding.
        stop: looked at before each pass; when true, what was computed is kept for the next start.
        steps: how many the run will train, for its progress.

    Returns:
        None where it was stopped.

    Raises:
        UserError: the model gives probabilities that are no numbers.
    """
    asked = [_asked(example, names) for example in examples]
    entries = [[entry_of(one) for one in one_by_one(rows)] for rows in asked]
    wanted = {entry for each in entries for entry in each}
    known = cache.read(wanted)
    fresh: dict[bytes, Tensor] = {}
    saved, done = time.monotonic(), 0
    for place, numbers in share(passes, even=True):
        if stop:
            _keep(rundir, cache, fresh)
            return None
        done += len(numbers)
        needed = place >= 0 and not all(e in known for n in numbers for e in entries[n])
        # weights that are spread are gathered by all processes: all look at a pass or none does
        if not agreed(needed):
            continue
        scored = score([row for n in numbers for row in asked[n]])
        values = scored.values.cpu().split(scored.lengths.tolist())
        of_pass = [(n, entry) for n in numbers for entry in entries[n]]
        for (number, entry), value in zip(of_pass, values, strict=True):
            _check(value, examples[number])
            if entry not in known:
                known[entry] = fresh[entry] = value.clone()
        told = Said(WORDS, "reference", done=done, of=len(examples))
        rundir.progress(0, steps, "steps", told)
        if time.monotonic() - saved > _SAVE_SECONDS:
            _keep(rundir, cache, fresh)
            fresh, saved = {}, time.monotonic()
    _keep(rundir, cache, fresh)
    barrier()
    known |= cache.read(wanted - known.keys())
    return [
        _named(example, names, [known[entry] for entry in each])
        for example, each in zip(examples, entries, strict=True)
    ]


def _asked(example: Example, names: frozenset[str]) -> list[Row]:
    """The example's rows with those answers alone that the reference is asked for."""
    found, left = [], iter(example.names)
    for row in example.rows:
        answers = tuple(answer for answer in row.answers if next(left) in names)
        if answers:
            found.append(Row(row.prompt, answers, row.images))
    return found


def _named(
    example: Example, names: frozenset[str], values: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    left = iter(values)
    return tuple(next(left) if name in names else None for name in example.names)


def _check(value: Tensor, example: Example) -> None:
    if not value.isfinite().all():
        raise UserError(
            Said(WORDS, "base_not_finite", row=example.number, pair=example.key[:12]),
            code="nan_loss",
            field="dtype",
        )


def _keep(rundir: RunDir, cache: Cache, entries: dict[bytes, Tensor]) -> None:
    try:
        cache.write(entries)
    except OSError as error:
        rundir.event(
            Said(WORDS, "reference_not_kept", folder=cache.folder.parent, error=error),
            "warning",
        )
