"""What is worked out of a version's rows and kept beside the versions: they never change, so
neither does it. It may be thrown away at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from steelyard.lib.rundir import write_atomically
from steelyard.registry.models import DatasetVersion


def kept(version: DatasetVersion, name: str, make: Callable[[DatasetVersion], Any]) -> Any:
    """Plain JSON of this name, made where it is not there yet.

    Args:
        name: names what is made and which edition of it; a new way to make it needs a new name.
    """
    path = Path(settings.VERSIONS_DIR) / ".kept" / version.digest / f"{name}.json"
    if path.exists():
        return json.loads(path.read_bytes())
    found = json.dumps(make(version))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, found.encode())
    return json.loads(found)


class Content:
    """A version as a key of what a process remembers: one digest is one content."""

    def __init__(self, version: DatasetVersion) -> None:
        self.version = version

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Content) and other.version.digest == self.version.digest

    def __hash__(self) -> int:
        return hash(self.version.digest)
