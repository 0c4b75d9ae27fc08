"""Which network addresses somebody's word may lead us to.

A host is resolved once, every address that it has is looked at, and the connection goes to one of
just those: a name that answers differently a moment later leads nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence

PRIVATE_ENDPOINTS = "STEELYARD_PRIVATE_ENDPOINTS"
"""The setting that names hosts of private networks that endpoints may be at: names, addresses and
networks, with commas between; ``*`` for any."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER = [ipaddress.ip_network(one) for one in ("169.254.0.0/16", "fe80::/10")]
"""Where clouds tell a machine its own secrets."""


class NotAllowed(OSError):
    """The address is one that nobody may be sent to."""


def is_public(address: str) -> bool:
    """Whether an IP address is on the open internet. One of version 6 that stands for one of
    version 4 is as public as that."""
    ip = ipaddress.ip_address(address)
    inner = _inner(ip)
    if inner is not None:
        return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def allowed_hosts() -> list[str]:
    """What the setting says."""
    said = os.environ.get(PRIVATE_ENDPOINTS, "")
    return [one.strip().lower() for one in said.split(",") if one.strip()]


def reachable(host: str, port: int, allowed: Sequence[str]) -> list[str]:
    """The IP addresses of a host that may be connected to.

    Args:
        allowed: hosts of private networks, as the setting has them.

    Raises:
        NotAllowed: one of its addresses is private and not allowed.
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(row[4][0]).split("%")[0] for row in found))
    named = host.lower() in allowed
    for address in addresses:
        ip = ipaddress.ip_address(address)
        inner = _inner(ip) or ip
        if any(inner in network for network in _NEVER if network.version == inner.version):
            raise NotAllowed(f"{host} is at {address}, which serves this machine alone")
        if not is_public(address) and not named and not _is_in(inner, allowed):
            raise NotAllowed(
                f"{host} is in a private network ({address}); the operator allows such hosts by "
                f"the setting {PRIVATE_ENDPOINTS}"
            )
    return addresses


def _is_in(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, allowed: Sequence[str]) -> bool:
    for one in allowed:
        if one == "*":
            return True
        try:
            network = ipaddress.ip_network(one, strict=False)
        except ValueError:
            continue
        if network.version == ip.version and ip in network:
            return True
    return False


def _inner(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    """The address of version 4 that one of version 6 stands for."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return None
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    if inner is None and ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner
