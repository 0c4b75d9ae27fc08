"""A small HTTP server that speaks chat completions, run in a thread of the test."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = str | tuple[int, dict[str, str], Any]
"""The text of an answer, or (status, headers, body)."""


class ChatServer:
    """Answers by ``reply(body, number)``; keeps what it was asked in ``asked``.

    Use it as a context manager; ``url`` is the base URL. Where a stream is asked for, a text comes
    word by word, with ``pause`` seconds after each.
    """

    pause = 0.0
    hold_after = -1
    """How many words of a stream go before it waits for ``go_on``."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply] | None = None) -> None:
        self.reply = reply or (lambda body, number: "Hello.")
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self.go_on = threading.Event()
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
            status, headers, said = server.answer(body, self.headers.get("Authorization"))
            if body.get("stream") and status == 200 and isinstance(said, dict):
                self._stream(said["choices"][0]["message"]["content"])
            else:
                self._send(status, headers, said)

        def _stream(self, text: str) -> None:
            """Word by word, as server-sent events; the connection ends with the answer."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            # whoever asked may be gone meanwhile
            with contextlib.suppress(ConnectionError):
                for n, piece in enumerate(re.findall(r"\S+\s*|\s+", text)):
                    if n == server.hold_after:
                        server.go_on.wait(120)
                    self._event(json.dumps({"choices": [{"delta": {"content": piece}}]}))
                self._event(json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
                self._event("[DONE]")

        def _event(self, data: str) -> None:
            self.wfile.write(f"data: {data}\n\n".encode())
            self.wfile.flush()
            time.sleep(server.pause)

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
