"""Where this installation keeps its data and its sockets. Pure functions of the environment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from steelyard.lib.hashing import sha256_hex

ROOT = Path(__file__).resolve().parents[3]


def data_dir() -> Path:
    """The folder that STEELYARD_DATA names (from the checkout on, where relative), or ``var``."""
    return (ROOT / Path(os.environ.get("STEELYARD_DATA") or "var").expanduser()).resolve()


def socket_dir(data: Path) -> Path:
    """A short folder for Unix sockets, whose paths may not be longer than 107 bytes.

    It lies in ``/tmp`` and not where TMPDIR points: two shells with different TMPDIR must find
    the same server.
    """
    base = Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())
    return base / f"steelyard-{sha256_hex(str(data).encode())[:8]}"


def database_url(data: Path) -> str:
    """The embedded PostgreSQL. The port names the socket file, and stands here so that a PGPORT
    in somebody's shell does not lead elsewhere."""
    return f"postgres://steelyard@:5432/steelyard?host={socket_dir(data) / 'pg'}"


def broker_url(data: Path) -> str:
    """The embedded Valkey."""
    return f"redis+socket://{socket_dir(data) / 'valkey.sock'}"
