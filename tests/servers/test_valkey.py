from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import redis

from steelyard.servers.valkey import Valkey


def client(server: Valkey) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket))


def test_it_works(data: Path) -> None:
    server = Valkey(data)
    server.start()
    first = server.server()
    server.start()
    assert server.server() == first
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
    assert client(server).config_get("port") == {"port": "0"}
    server.stop()
    assert not server.is_ready()
    assert server.server() is None


def test_what_was_queued_survives_a_kill(data: Path) -> None:
    server = Valkey(data)
    server.start()
    client(server).lpush("queue", "task")
    running = server.server()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    server.start()
    assert client(server).lrange("queue", 0, -1) == [b"task"]


def test_a_server_whose_socket_was_swept_away_is_replaced_and_never_doubled(data: Path) -> None:
    server = Valkey(data)
    server.start()
    client(server).lpush("queue", "task")
    before = server.server()
    assert before is not None
    server.socket.unlink()
    server.start()
    assert not before.is_alive()
    assert client(server).lrange("queue", 0, -1) == [b"task"]


def test_a_stale_pid_file_harms_nobody(data: Path, bystander: subprocess.Popen[bytes]) -> None:
    server = Valkey(data)
    server.folder.mkdir(parents=True)
    (server.folder / "valkey.pid").write_text(f"{bystander.pid}\n")
    server.stop()
    server.start()
    assert server.is_ready()
    assert bystander.poll() is None


def test_three_that_start_at_once_share_one_server(
    data: Path, race: Callable[[str], list[str]]
) -> None:
    pids = race(
        "from pathlib import Path; from steelyard.servers.valkey import Valkey;"
        f"server = Valkey(Path({str(data)!r})); server.start(); print(server.server().pid)"
    )
    assert len(set(pids)) == 1
