"""The store of files: each once, under the SHA-256 of its bytes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings


def blob_path(sha256: str) -> Path:
    """Where the bytes of that SHA-256 lie, whether or not they are there."""
    return Path(settings.BLOBS_DIR) / sha256[:2] / sha256


@contextmanager
def work_place(*names: str) -> Iterator[list[Path]]:
    """Hidden names beside the blobs, on the same file system; the files are gone afterwards."""
    root = Path(settings.BLOBS_DIR)
    root.mkdir(parents=True, exist_ok=True)
    start = f".{uuid.uuid4().hex}"
    paths = [root / f"{start}.{name}" for name in names]
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def put_in_place(kept: Path, target: Path) -> None:
    """Rename after the bytes are on disk: whoever sees the name sees the whole file."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("rb") as stream:
        os.fsync(stream.fileno())
    kept.chmod(0o644)
    kept.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
