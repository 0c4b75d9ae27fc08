"""What engines say: English as it is written down, with a code and numbers by which a page says the
same in its reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple


class Counted(NamedTuple):
    """A sentence of one and of many."""

    one: str
    many: str
    by: str
    """The value that counts."""

    def form(self, values: Mapping[str, Any]) -> str:
        return self.one if count_of(values[self.by]) == 1 else self.many


Words = str | Counted


def count_of(value: Any) -> int:
    """A count as it was given: a number, or one in figures with commas. What is neither, or has
    decimals, is many."""
    try:
        number = float(str(value).replace(",", ""))
    except ValueError:
        return 2
    return int(number) if number.is_integer() else 2


WORDS: dict[str, Words] = {
    "stopped": "stopped before the end; it goes on from here when it is started again",
    "space": "%(first)s %(second)s",
    "comma": "%(first)s, %(second)s",
    "semicolon": "%(first)s; %(second)s",
    "and": "%(first)s and %(second)s",
    "and_more": "%(listed)s and %(more)s more",
    "getting_ready": "Getting ready",
    "loading_model": "Loading the model",
    "asking": "Asking %(name)s",
    "loading": "Loading %(name)s",
    "looking_at": "Looking at %(name)s",
    "no_model_to_ask": "%(name)s has no model to ask.",
}
"""Of every engine, by code."""


class Said(str):
    """A sentence, filled in.

    Args:
        words: sentences by code, each with places such as ``%(left)s``.
        values: numbers, names, and other sentences of this kind. What has decimals comes as text
            with as many as are to be shown; what is none of these is said as text.
    """

    __slots__ = ("code", "values")

    code: str
    values: dict[str, Any]

    def __new__(cls, words: Mapping[str, Words], code: str, /, **values: Any) -> Said:
        plain = {
            name: value if isinstance(value, str | int | float) else str(value)
            for name, value in values.items()
        }
        sentence = words[code]
        text = sentence if isinstance(sentence, str) else sentence.form(plain)
        made = super().__new__(cls, text % plain)
        made.code, made.values = code, plain
        return made

    @classmethod
    def read(cls, text: str, coded: Mapping[str, Any] | None) -> str:
        """A sentence as it was written down, with its code where it has one."""
        if not coded:
            return text
        made = super().__new__(cls, text)
        made.code, made.values = coded["code"], dict(coded["values"])
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


def coded(text: object) -> dict[str, Any]:
    """The code and values of a sentence; empty where it is plain text."""
    return text.as_dict() if isinstance(text, Said) else {}


def together(parts: Iterable[str], code: str = "comma") -> str:
    """One sentence of several; empty where there are none."""
    some = list(parts)
    if not some:
        return ""
    return reduce(lambda first, second: Said(WORDS, code, first=first, second=second), some)


def listed(parts: Sequence[str], most: int, code: str = "comma") -> str:
    """The first of them, and how many more there are."""
    told = together(parts[:most], code)
    more = len(parts) - most
    return Said(WORDS, "and_more", listed=told, more=more) if more > 0 else told
