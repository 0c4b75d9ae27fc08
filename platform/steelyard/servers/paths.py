"""Where this installation keeps its data and its sockets. Pure functions of the environment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from steelyard.lib.hashing import sha256_hex

ROOT = Path(__file__).resolve().parents[3]


def data_dir() -> Path:
    """The folder named by STEELYARD_DATA, or ``var`` beside the code."""
    return Path(os.environ.get("STEELYARD_DATA") or ROOT / "var").expanduser().resolve()


def socket_dir(data: Path) -> Path:
    """A short folder for Unix sockets, whose paths may not be longer than 107 bytes."""
    return Path(tempfile.gettempdir()) / f"steelyard-{sha256_hex(str(data).encode())[:8]}"


def database_url(data: Path) -> str:
    return f"postgres://steelyard@/steelyard?host={socket_dir(data) / 'pg'}"


def broker_url(data: Path) -> str:
    return f"redis+socket://{socket_dir(data) / 'valkey.sock'}"
