"""Files laid where a run can read them."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def place_file(source: Path, target: Path) -> None:
    """The same file under another name where the file system can, a copy where it cannot; one that
    is there already stays. For what never changes: rows and blobs named by their content."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
