"""Where the web server listens: the HOST and PORT settings, checked before anything starts."""

from __future__ import annotations

import errno
import http.client
import os
import socket
from dataclasses import dataclass

import psutil

from steelyard.servers.process import ServerError

EVERYWHERE = {"0.0.0.0", "::"}


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @classmethod
    def from_environment(cls) -> Address:
        host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise ServerError(f"PORT is {port!r}; it must be a number from 1 to 65535.")
        return cls(host, int(port))

    @property
    def bind(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable_host(self) -> str:
        """A host that a browser on this machine can open."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    @property
    def url(self) -> str:
        return f"http://{Address(self.reachable_host, self.port).bind}/"

    def check_free(self) -> None:
        """Raises ServerError where we could not listen, naming the setting to change."""
        try:
            family, kind, _, _, where = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
                probe.listen(1)
        except socket.gaierror:
            raise ServerError(
                f"HOST is {self.host!r}, which this machine cannot resolve. Use 127.0.0.1 for "
                f"this machine only, or 0.0.0.0 for every network it is in."
            ) from None
        except OSError as error:
            raise ServerError(self._why(error)) from None

    def status(self) -> int | None:
        """The HTTP status of the first page, or None where nobody answers."""
        connection = http.client.HTTPConnection(self.reachable_host, self.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"User-Agent": "steelyard-up"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def taken(self) -> str:
        """That another program has the port, and which one is free."""
        free = self._free_port()
        return (
            f"Port {self.port} on {self.host} is taken{self._by_whom()}. Choose another: "
            f"make up PORT={free}, or PORT={free} in .env."
        )

    def is_held_by(self, pid: int) -> bool:
        """Whether it is this process that listens there."""
        try:
            found = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(
            one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in found
        )

    def _why(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return self.taken()
        if error.errno == errno.EACCES:
            return f"Port {self.port} is not ours to open; PORT must be 1024 or more."
        if error.errno == errno.EADDRNOTAVAIL:
            return f"HOST is {self.host}, which is not an address of this machine."
        return f"The web server cannot listen on {self.bind}: {error.strerror}."

    def _by_whom(self) -> str:
        try:
            for found in psutil.net_connections("tcp"):
                if found.status == psutil.CONN_LISTEN and found.laddr.port == self.port:
                    return f" by {psutil.Process(found.pid).name()} (pid {found.pid})"
        except (psutil.Error, OSError, TypeError, ValueError):
            pass
        return " by another program"

    def _free_port(self) -> int:
        for port in range(self.port + 1, min(self.port + 50, 65536)):
            with socket.socket() as probe:
                if probe.connect_ex((self.reachable_host, port)) != 0:
                    return port
        return self.port + 1
