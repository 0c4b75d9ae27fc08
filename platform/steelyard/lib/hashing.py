"""Content identity: canonical JSON, SHA-256 and counter-based randomness."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_json(value: Any) -> bytes:
    """Encode as UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes.

    Raises:
        ValueError: a float is NaN or infinite, which JSON cannot say.
        TypeError: the value holds something JSON has no word for.
    """
    return _CANONICAL.encode(value).encode()


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of the value's canonical JSON, 64 hexadecimal digits."""
    return sha256_hex(canonical_json(value))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read a mebibyte at a time."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def stable_int(*parts: object) -> int:
    """A 63-bit integer that depends on the parts alone, never on process, order or machine."""
    data = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 1


def stable_uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return math.ldexp(stable_int(*parts), -63)


def stable_ints(parts: Sequence[object], last: Iterable[bytes]) -> list[int]:
    """:func:`stable_int` of the parts and each of many last ones, which are ASCII."""
    start = "".join(f"{part}\x1f" for part in parts).encode()
    first = b"".join([hashlib.sha256(start + one).digest()[:8] for one in last])
    return [number >> 1 for (number,) in struct.iter_unpack(">Q", first)]
