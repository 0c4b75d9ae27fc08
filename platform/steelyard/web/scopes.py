"""Which scope of a token a call needs. A view may say otherwise than the default by its attribute
``scopes``: method to one scope, or to several of which one is enough."""

from __future__ import annotations

from typing import Any

SCOPES = {
    "read": "Read what you may read.",
    "label": "Get pairs and hand in verdicts in your name.",
    "write": "Bring in data, freeze versions, start runs.",
    "admin": "Settings, people, webhooks and tokens; all of the others as well.",
}
ANY = tuple(SCOPES)


def needed(view: Any, method: str) -> tuple[str, ...]:
    """Scopes of which a token must have one."""
    method = "GET" if method in {"HEAD", "OPTIONS"} else method
    said = getattr(view, "scopes", {}).get(method)
    if said is None:
        said = "read" if method == "GET" else "write"
    return (said,) if isinstance(said, str) else tuple(said)
