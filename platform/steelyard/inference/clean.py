"""What a model wrote, as a database can keep it."""

from __future__ import annotations


def storable(text: str) -> str:
    """Without the two things that PostgreSQL refuses, NUL and halves of surrogate pairs, and
    without space around."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode().strip()
