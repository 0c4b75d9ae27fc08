"""Chat completions as they go on a bad day: slow, refused, broken off, garbled; and an account of
what was paid for."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from steelyard.lib.hashing import stable_uniform

FAULTS = {"slow": 0.01, "429": 0.02, "500": 0.02, "cut": 0.01, "garbage": 0.01}
"""Which share of the questions meet each when they are asked for the first time. Drawn by their
number, for their keys depend on the server's port: so six hundred always meet every one."""


class FaultyServer:
    """Answers each question, by its ``Idempotency-Key``, once for money and then for nothing.

    ``paid`` counts by key what was charged, ``given`` how often a whole answer went out.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], str], *, faulty: bool = True) -> None:
        self.answer, self.faulty = answer, faulty
        self.paid: Counter[str] = Counter()
        self.given: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> FaultyServer:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def fault(self, key: str) -> str:
        """What befalls this question now; nothing the second time."""
        with self._lock:
            self._asked[key] += 1
            if not self.faulty or self._asked[key] > 1:
                return ""
            place = stable_uniform("fault", len(self._asked))
        for name, share in FAULTS.items():
            if place < share:
                with self._lock:
                    self.met[name] += 1
                return name
            place -= share
        return ""

    def text(self, key: str, body: dict[str, Any]) -> str:
        with self._lock:
            if key not in self._texts:
                self._texts[key] = self.answer(body)
                self.paid[key] += 1
            return self._texts[key]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has been killed."""


def _handler(server: FaultyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers["Idempotency-Key"]
            fault = server.fault(key)
            if fault == "429":
                self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.05"})
            elif fault == "500":
                self._send(500, {"error": {"message": "oh"}}, {"Retry-After": "0.01"})
            elif fault == "garbage":
                self._send(200, "<html>gateway</html>", {"Retry-After": "0.01"})
            else:
                if fault == "slow":
                    time.sleep(0.3)
                message = {"role": "assistant", "content": server.text(key, body)}
                usage = {"prompt_tokens": 400, "completion_tokens": 20}
                self._send(
                    200,
                    {"choices": [{"index": 0, "message": message}], "usage": usage},
                    cut=fault == "cut",
                    key=key,
                )

        def _send(
            self,
            status: int,
            body: Any,
            headers: dict[str, str] | None = None,
            *,
            cut: bool = False,
            key: str = "",
        ) -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            lines = [f"HTTP/1.1 {status} .", f"Content-Length: {len(data)}"]
            lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
            head = "\r\n".join([*lines, "", ""]).encode()
            try:
                if cut:
                    self.wfile.write(head + data[: len(data) // 2])
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.wfile.write(head + data)
            except OSError:
                # whoever asked has been killed
                self.close_connection = True
                return
            if key:
                with server._lock:
                    server.given[key] += 1

        def log_message(self, *parts: object) -> None:
            pass

    return Handler
