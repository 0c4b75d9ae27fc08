"""JSON from outside, of which only what a database can store gets in."""

from __future__ import annotations

import json
import re
from typing import Any

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""As ``json.dumps`` writes it; a backslash before it is one of the text's own."""


def read_json(text: str) -> Any:
    """What the text says.

    Raises:
        ValueError: it is no JSON, or holds what neither UTF-8 nor PostgreSQL has a place for: NaN,
            an infinite number, a NUL, half of a character, nesting beyond measure.
    """
    try:
        data = json.loads(text)
        written = json.dumps(data, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None
    written.encode()  # UnicodeEncodeError is a ValueError
    if _NUL.search(written):
        raise ValueError("A text in it has a NUL.")
    return data
