"""What encoders made of prompts and media: computed once, kept for all runs.

::

    CACHE/encoded-<key>/<digest>.safetensors   tensors called <entry>.<name>
    CACHE/facts/<digest>.json                  of each file that was looked at: sides, frames, rate
    CACHE/files/<digest>                       SHA-256 of a large file of a model
    CACHE/errors-<key>/…                       errors of a frozen model, as reference.py keeps them
    CACHE/errors-of/<digest>                   the key of a base model's errors, for preflights

The key is a digest of all that the tensors depend on but the prompt, the medium and its shape,
which the entry is a digest of: so runs share what they have in common, over versions too, and a
version frozen after a hundred more labels costs a hundred more pictures. A file is written whole
under a hidden name and its name is that of its content, so any number of processes may write at
once and a killed one leaves nothing half done. Shards are mapped into memory, not read. The folder
may be deleted whenever no run is at work. A file is marked as used (its time of change) by every
run that reads of it, so that what was used longest ago can be removed first.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of, sha256_file, sha256_hex
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine.diffusion_media import Facts
from training.engine.preflight_machine import folder_of
from training.engine.words import WORDS

if TYPE_CHECKING:
    from training.engine.families import Family

SHARD_BYTES = 64 * 2**20
SAVE_SECONDS = 60
RULES = "2026-11: upright, sRGB, on white, covered, middle kept, bicubic or block means"
"""How a file becomes pixels; another rule is another key."""
_DENOISERS = ("unet", "transformer", "scheduler", "safety_checker", "feature_extractor")
_WEIGHTS = {".safetensors", ".bin", ".pt", ".ckpt", ".msgpack", ".onnx", ".gguf"}
_SMALL = 2**20


def cache_folder(rundir: RunDir, spec: Mapping[str, Any]) -> Path:
    """What all runs share; the run's own folder where run.json names none."""
    return Path(spec["cache"]) if "cache" in spec else rundir.path / "cache"


class Shards:
    """Tensors by entry and name, on disk.

    What is added is to be had at once, and kept at :meth:`flush`, by itself whenever much is
    waiting: a kill loses a minute's work at most.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: dict[str, dict[str, Tensor]] = {}
        self._bytes, self._saved = 0, time.monotonic()
        self._files: dict[str, Any] = {}
        self._index: dict[str, tuple[str, list[str]]] = {}
        self._used: set[str] = set()
        self.refresh()

    def __contains__(self, entry: str) -> bool:
        return entry in self._waiting or entry in self._index

    def refresh(self) -> None:
        """Take up what other processes have written since; what cannot be read is not there."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name in self._files:
                continue
            try:
                opened: Any = safe_open(path, "pt")
                names = list(opened.keys())
            except (SafetensorError, OSError):
                continue
            self._files[path.name] = opened
            for name in names:
                entry, _, part = name.partition(".")
                kept = self._index.setdefault(entry, (path.name, []))
                if kept[0] == path.name:
                    kept[1].append(part)

    def get(self, entry: str) -> dict[str, Tensor]:
        """
        Raises:
            KeyError: it is not there.
        """
        if entry in self._waiting:
            return self._waiting[entry]
        name, parts = self._index[entry]
        if name not in self._used:
            self._used.add(name)
            mark(self.folder / name)
        return {part: self._files[name].get_tensor(f"{entry}.{part}") for part in parts}

    def add(self, entry: str, tensors: Mapping[str, Tensor]) -> None:
        """
        Raises:
            UserError: ``disk_full``.
        """
        # a copy, for a view would keep all of what it is a part of
        self._waiting[entry] = {name: t.detach().cpu().clone() for name, t in tensors.items()}
        self._bytes += sum(tensor.nbytes for tensor in self._waiting[entry].values())
        if self._bytes >= SHARD_BYTES or time.monotonic() - self._saved > SAVE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """
        Raises:
            UserError: ``disk_full``.
        """
        if self._waiting:
            entries = sorted(self._waiting)
            tensors = {
                f"{entry}.{name}": tensor.contiguous()
                for entry in entries
                for name, tensor in self._waiting[entry].items()
            }
            name = sha256_hex("".join(entries).encode())[:32]
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_atomically(self.folder / f"{name}.safetensors", save(tensors))
            except OSError as error:
                raise _not_kept(self.folder, error) from error
            self._waiting, self._bytes = {}, 0
        self._saved = time.monotonic()
        self.refresh()


class KnownFacts:
    """What is known of media by looking at them; a file of another length is another file."""

    def __init__(self, folder: Path, media: Path, modality: str) -> None:
        self.folder, self.media, self.modality = folder / "facts", media, modality
        self._found: dict[str, dict[str, Any]] = {}
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError):
                self._found |= json.loads(path.read_bytes())
                mark(path)

    def of(self, name: str) -> Facts | None:
        known = self._found.get(self._key(name))
        return Facts(**{**known, "notes": tuple(known["notes"])}) if known else None

    def keep(self, found: Mapping[str, Facts]) -> None:
        """Best effort: what cannot be kept is looked at again."""
        if not found:
            return
        body = json.dumps({self._key(name): asdict(facts) for name, facts in found.items()})
        self._found |= json.loads(body)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / f"{sha256_hex(body.encode())[:32]}.json", body.encode())

    def _key(self, name: str) -> str:
        with suppress(OSError):
            return f"{self.modality}-{name}-{(self.media / name).stat().st_size}"
        return ""


def key_of(family: Family, source: str, device: torch.device, folder: Path) -> str:
    """What encoded tensors depend on besides prompt, medium and shape.

    Args:
        source: of the base model.
        folder: what runs share.
    """
    told = {
        "family": family.name,
        "encoders": encoders_digest(source, folder),
        "channels": family.channels,
        "rules": RULES,
        "device": device.type,
        "torch": torch.__version__,
        "diffusers": version("diffusers"),
    }
    return digest_of(told)[:32]


def encoders_digest(source: str, folder: Path) -> str:
    """Of the files of a model that its denoiser is not: encoders, tokenizers, configs."""
    found = folder_of(source)
    if found is None:
        return digest_of(source)
    told = {
        str(path.relative_to(found)): _file_digest(path, folder)
        for path in sorted(found.rglob("*"))
        if path.is_file() and not _apart(path.relative_to(found))
    }
    return digest_of(told)


def _apart(path: Path) -> bool:
    """Whether encoders have nothing to do with the file: it is the denoiser's, or hidden."""
    if any(part.startswith(".") for part in path.parts):
        return True
    if len(path.parts) == 1:
        return path.suffix in _WEIGHTS or path.suffix in {".md", ".png", ".jpg"}
    return path.parts[0].startswith(_DENOISERS)


def _file_digest(path: Path, folder: Path) -> str:
    """SHA-256 of a file; of a large one read once as long as it stays what it is."""
    state = path.stat()
    if state.st_size < _SMALL:
        return sha256_file(path)
    told = [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino]
    kept = folder / "files" / digest_of(told)[:32]
    with suppress(OSError):
        found = kept.read_text()
        mark(kept)
        return found
    found = sha256_file(path)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, found.encode())
    return found


class ErrorsOf:
    """Which cache has a base model's errors, without loading its weights to know.

    Args:
        key: of what its encoders made.
    """

    def __init__(self, folder: Path, spec: Mapping[str, Any], key: str) -> None:
        base, config = spec["base"], spec.get("config") or {}
        source = folder_of(base["source"]) or Path(base["source"])
        files = [
            [str(path), path.stat().st_size, path.stat().st_mtime_ns]
            for root in (source, *map(Path, base.get("adapters") or ()))
            for path in sorted(root.rglob("*.safetensors"))
        ]
        settings = {name: config.get(name) for name in ("dtype", "device", "train")}
        self.path = folder / "errors-of" / digest_of([key, files, settings])[:32]

    def read(self) -> str:
        """Empty where no run has asked it yet."""
        with suppress(OSError):
            return self.path.read_text()
        return ""

    def keep(self, cache: str) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, cache.encode())


def mark(path: Path) -> None:
    """Say that the file was used."""
    with suppress(OSError):
        os.utime(path)


def entry_of(*parts: object) -> str:
    return digest_of(list(parts))[:40]


def missing(shards: Shards, entries: Iterable[str]) -> int:
    return sum(entry not in shards for entry in entries)


def _not_kept(folder: Path, error: OSError) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError(
            Said(WORDS, "media_disk_full", folder=folder),
            code="disk_full",
        )
    return UserError(
        Said(WORDS, "media_not_kept", folder=folder, why=os.strerror(error.errno or 0)),
        code="cache_not_written",
    )
