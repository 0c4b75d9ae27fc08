from __future__ import annotations

from ipaddress import ip_address

from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """Where a request comes from. A proxy on this machine is believed when it says for whom it
    asks, so that all its visitors are not one; what anybody else says of that is worth nothing."""
    peer = request.META.get("REMOTE_ADDR", "")
    said = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        from_here = not peer or ip_address(peer).is_loopback
        return str(ip_address(said)) if from_here and said else peer
    except ValueError:
        return peer
