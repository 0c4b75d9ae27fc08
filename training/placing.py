"""Putting a version's rows into a run's folder, without a second copy where the disk allows it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def place(source: Path, target: Path) -> None:
    """The same file under another name where the file system can, a copy where it cannot.

    What is linked never changes: a version's rows and a blob are named by their content.
    """
    if target.exists():
        return
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
