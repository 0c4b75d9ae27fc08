"""Folders and servers for the tests of the servers themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from steelyard.servers.paths import socket_dir
from steelyard.servers.postgres import Postgres
from steelyard.servers.valkey import Valkey


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder that other users may pass through, as a checkout in /opt would be; what was
    started over it is stopped."""
    parent = Path(tempfile.mkdtemp(prefix="steelyard-test-"))
    parent.chmod(0o755)
    folder = parent / "var"
    for name in ("DATABASE_URL", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STEELYARD_DATA", str(folder))
    yield folder
    Valkey(folder).stop()
    Postgres(folder).stop()
    shutil.rmtree(parent)
    shutil.rmtree(socket_dir(folder), ignore_errors=True)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody's process whose pid a stale file may name."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def race() -> Callable[[str], list[str]]:
    """Run the same Python lines in three processes at once; what each printed."""

    def run(code: str) -> list[str]:
        started = [
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        return [process.communicate(timeout=300)[0].strip() for process in started]

    return run
