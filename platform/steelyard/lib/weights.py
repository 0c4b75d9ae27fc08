"""Whether a model's files are whole, by their headers and sizes: no weights are read."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

MOST_HEADER = 100 << 20


class Broken(ValueError):
    """A file that is not what its name says, or not all of it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name} {why}")
        self.path, self.why = path, why


def header_of(path: Path) -> dict[str, Any]:
    """What a safetensors file says of its tensors, by name: dtype, shape, data_offsets.

    Raises:
        Broken: it has no header that can be read, or another size than its header tells.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
        if not 0 < length <= min(size - 8, MOST_HEADER):
            raise Broken(path, "has no header of a safetensors file")
        try:
            header = json.loads(stream.read(length))
            tensors = {name: one for name, one in header.items() if name != "__metadata__"}
            end = max((int(one["data_offsets"][1]) for one in tensors.values()), default=0)
            shaped = all(isinstance(one["shape"], list) for one in tensors.values())
        except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
            raise Broken(path, "has no header of a safetensors file") from error
    if not shaped:
        raise Broken(path, "has no header of a safetensors file")
    if 8 + length + end != size:
        raise Broken(path, f"has {size} bytes, but by its header {8 + length + end}")
    return tensors


def check_json(path: Path) -> dict[str, Any]:
    """
    Raises:
        Broken: the file holds no JSON object; told with line and column where it is no JSON.
    """
    try:
        value = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise Broken(path, f"is no JSON (line {error.lineno}, column {error.colno})") from error
    except ValueError as error:
        raise Broken(path, "is no JSON, for it is no text") from error
    if not isinstance(value, dict):
        raise Broken(path, "is no JSON object")
    return value
