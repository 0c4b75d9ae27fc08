"""One POST to an address that somebody has given us.

The host is resolved once, every address that it has is looked at, and the connection goes to one of
just those: a name that answers differently a moment later leads nowhere else. Redirects are not
followed, no proxy is asked, and there is an end to how long an answer may take.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from steelyard.lib.addresses import is_public

TIMEOUT = 10.0
"""seconds for each step"""
DEADLINE = 20.0
"""seconds in all"""
_READ = 2000
"""bytes of an answer that anybody looks at"""


class SendError(Exception):
    """It did not arrive; the text says why."""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str


def parts_of(url: str) -> SplitResult:
    """The parts of an address that may be sent to.

    Raises:
        SendError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SendError(f"This is no address: {error}.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise SendError("An address begins with https:// or http:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise SendError("An address holds no name and password; what is sent is signed.")
    if parts.fragment or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise SendError("An address has no spaces, no # and only ASCII letters.")
    return parts


def look_up(host: str, port: int, *, private: bool) -> list[str]:
    """The IP addresses of a host.

    Args:
        private: whether those of this machine and of private networks may be among them.

    Raises:
        SendError: it has none, or one that is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SendError(f"The host {host} has no address: {error}.") from None
    addresses = list(dict.fromkeys(str(row[4][0]).split("%")[0] for row in found))
    if not private and any(not is_public(one) for one in addresses):
        raise SendError(f"The host {host} is in a private network; nothing is sent there.")
    return addresses


def send(url: str, body: bytes, headers: Mapping[str, str], *, private: bool = False) -> Answer:
    """POST the body and read the beginning of the answer, whatever its status.

    Raises:
        SendError: nothing answered.
    """
    parts = parts_of(url)
    assert parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = look_up(parts.hostname, port, private=private)[0]
    kind = _Tls if parts.scheme == "https" else _Plain
    connection = kind(parts.hostname, port, address)
    timer = threading.Timer(DEADLINE, connection.cut)
    timer.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(_READ).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SendError(f"{type(error).__name__}: {error}"[:300]) from None
    finally:
        timer.cancel()
        connection.close()


class _Plain(http.client.HTTPConnection):
    """A connection to one address of a host, whatever its name leads to now."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self.address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), TIMEOUT)

    def cut(self) -> None:
        """The answer takes too long: what reads it fails."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _Tls(_Plain):
    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
