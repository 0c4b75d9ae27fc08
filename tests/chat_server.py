"""A small HTTP server that speaks chat completions, run in a thread of the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = str | tuple[int, dict[str, str], Any]
"""The text of an answer, or (status, headers, body)."""


class ChatServer:
    """Answers by ``reply(body, number)``; keeps what it was asked in ``asked``.

    Use it as a context manager; ``url`` is the base URL.
    """

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply] | None = None) -> None:
        self.reply = reply or (lambda body, number: "Hello.")
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, str], Any]:
        with self._lock:
            number = len(self.asked)
            self.asked.append(body)
            self.keys.append(key)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            said = self.reply(body, number)
        finally:
            with self._lock:
                self.at_once -= 1
        if isinstance(said, str):
            message = {"role": "assistant", "content": said}
            return 200, {}, {"choices": [{"index": 0, "message": message}]}
        return said


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                self._send(404, {}, {"error": {"message": f"no {self.path}"}})
                return
            self._send(*server.answer(body, self.headers.get("Authorization")))

        def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *parts: object) -> None:
            pass

    return Handler
