"""``make up`` says that the web answers where it is our own that does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from steelyard.servers.address import Address
from steelyard.servers.children import Child
from steelyard.servers.process import ServerError
from steelyard.servers.up import Up
from tests.ports import free_port


def server(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]


@contextmanager
def foreign(address: Address) -> Iterator[int]:
    process = subprocess.Popen(server(address.port), stderr=subprocess.DEVNULL)
    try:
        while address.status() is None:
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path, Address("127.0.0.1", free_port()))
    still = [sys.executable, "-c", "import time; time.sleep(600)"]
    made.worker = Child("worker", still, tmp_path, dict(made.env), tmp_path / "worker.log")
    made.worker.start()
    yield made
    made.web.stop(1)
    made.worker.stop(1)


def web(up: Up, command: list[str]) -> None:
    up.web = Child("web", command, up.data, dict(up.env), up.data / "web.log")
    up.web.start()


def test_a_server_of_somebody_else_is_not_taken_for_ours(
    up: Up, capsys: pytest.CaptureFixture[str]
) -> None:
    with foreign(up.address) as pid:
        web(up, up.worker.command)
        with pytest.raises(ServerError) as told:
            up._wait_for_web()
        assert f"Port {up.address.port} on 127.0.0.1 is taken by" in str(told.value)
        assert f"pid {pid}" in str(told.value)
        assert "make up PORT=" in str(told.value)
        # ours gave up, since it could not have the port
        up.web.stop(1)
        web(up, [sys.executable, "-c", "raise SystemExit(1)"])
        with pytest.raises(ServerError, match="is taken by"):
            up._wait_for_web()
    assert "answers" not in capsys.readouterr().out


def test_our_own_server_is_said_to_answer(up: Up, capsys: pytest.CaptureFixture[str]) -> None:
    web(up, server(up.address.port))
    up._wait_for_web()
    assert "answers" in capsys.readouterr().out
