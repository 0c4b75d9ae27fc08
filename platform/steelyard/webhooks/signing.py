"""Signatures of the Standard Webhooks scheme (standardwebhooks.com), version 1: symmetric."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, *, key: str, timestamp: int, body: bytes) -> str:
    """One signature over ``key.timestamp.body``: ``v1,`` and base64 of HMAC-SHA256."""
    raw = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{key}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()


def headers(signers: Iterable[str], *, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """What is sent beside the body; a signature for each secret that is good at the moment."""
    signed = [signature(one, key=key, timestamp=timestamp, body=body) for one in signers]
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signed),
    }
