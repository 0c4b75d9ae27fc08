"""What engines say: English as it is written down, with a code and numbers by which a page says the
same in its reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "stopped": "stopped before the end; it goes on from here when it is started again",
}
"""Of every engine, by code."""


class Said(str):
    """A sentence, filled in.

    Args:
        words: sentences by code, each with places such as ``%(left)s``.
        values: numbers, names, and other sentences of this kind. What has decimals comes as text
            with as many as are to be shown.
    """

    __slots__ = ("code", "values")

    code: str
    values: dict[str, Any]

    def __new__(cls, words: Mapping[str, str], code: str, /, **values: Any) -> Said:
        made = super().__new__(cls, words[code] % values)
        made.code, made.values = code, values
        return made

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "values": {
                name: value.as_dict() if isinstance(value, Said) else value
                for name, value in self.values.items()
            },
        }
