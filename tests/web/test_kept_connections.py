"""A connection that is kept can be used again, or the answer says that it ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.ports import free_port

APP = """
from steelyard.web.unread import without_leftovers

@without_leftovers
def application(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "4")])
    return [b"none"]
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of the kind that the product runs, which answers without reading."""
    folder: Path = tmp_path_factory.mktemp("refusing")
    (folder / "refusing.py").write_text(APP)
    number = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "refusing:application", "--chdir", str(folder)),
            *("--bind", f"127.0.0.1:{number}", "--worker-class", "gthread", "--threads", "2"),
            *("--no-control-socket", "--log-level", "critical"),
        ]
    )
    deadline = time.monotonic() + 120
    try:
        while True:
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield number
    finally:
        server.terminate()
        server.wait(60)


@pytest.mark.parametrize("size", [0, 100_000, 900_000])
def test_a_refusal_that_did_not_read_the_body_leaves_the_connection_usable(
    port: int, size: int
) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(3):
        connection.request("PUT", "/nowhere", body=b"x" * size)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (404, b"none")
        assert answer.headers["Connection"] == "keep-alive"
        time.sleep(0.05)  # for a server to hang up in
        assert connection.sock is not None
    connection.close()


def test_of_a_large_body_the_rest_is_not_waited_for_and_the_answer_says_so(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as raw:
        raw.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        raw.sendall(b"x" * 1_100_000)
        assert b"Connection: close" in raw.recv(4096)
