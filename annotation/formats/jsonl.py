"""Reading JSON Lines that somebody else wrote: a refusal names the line and what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from annotation.formats.records import Messages
from steelyard.lib.errors import UserError

MAX_LINES = 200_000
MAX_TEXT = 200_000
_ROLES = ("system", "user", "assistant")


class Line:
    """One line's object, read field by field.

    Every reader raises UserError with the line's number and the key.
    """

    def __init__(self, number: int, values: dict[str, Any]) -> None:
        self.number = number
        self.values = values

    @property
    def place(self) -> str:
        return f"Line {self.number}"

    def wrong(self, message: str) -> UserError:
        return UserError(f"{self.place}: {message}", code="bad_line", field="file")

    def only(self, *known: str) -> None:
        """Refuse keys that nobody reads: a misspelt one would be lost without a word."""
        for key in self.values:
            if key not in known:
                raise self.wrong(f"there is no key “{key}”; the keys are {', '.join(known)}.")

    def text(self, key: str, *, default: str | None = None, limit: int = MAX_TEXT) -> str:
        """A string; a missing or null one is the default, or refused where there is none."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            said = "is missing" if value is None else f"is {_kind(value)}"
            raise self.wrong(f"“{key}” {said}; it must be a text in double quotes.")
        return self.storable(key, value, limit)

    def name(self, key: str, *, default: str | None = None, limit: int = 100) -> str:
        """A text that names something: not blank, no line break."""
        value = self.text(key, default=default, limit=limit)
        if value != default and (not value.strip() or any(sign < " " for sign in value)):
            raise self.wrong(f"“{key}” must be a name of one line, not blank.")
        return value.strip()

    def storable(self, key: str, value: str, limit: int = MAX_TEXT) -> str:
        """The text, if a database can keep it."""
        if len(value) > limit:
            raise self.wrong(
                f"“{key}” has {len(value):,} characters; {limit:,} are the most that can be kept."
            )
        if "\x00" in value:
            raise self.wrong(f"“{key}” holds a NUL character (\\u0000); take it out.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.wrong(f"“{key}” holds half of a surrogate pair; it is no text.") from None
        return value

    def number_in(self, key: str, low: int, high: int) -> int:
        value = self.values.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(f"“{key}” is {value!r}; it must be a whole number, {low} to {high}.")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"“{key}” must be a list of texts.")
        return [self.storable(key, item, 100) for item in value]

    def flag(self, key: str) -> bool:
        """true or false; a missing or null one is false."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"“{key}” is {_kind(value)}; it must be true or false.")
        return bool(value)

    def names(self, key: str, *, most: int) -> list[str]:
        """A list of names, or one of them alone."""
        value = self.values.get(key) or []
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(f"“{key}” must be a list of at most {most} names.")
        return [Line(self.number, {key: one}).name(key, limit=1000) for one in value]

    def part(self, key: str, *known: str) -> Line | None:
        """The object under a key, to be read in the same way; None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict) or not set(value) <= set(known):
            raise self.wrong(f"“{key}” must be an object with {', '.join(known)}.")
        return Line(self.number, value)

    def messages(self, key: str) -> Messages:
        """A text (one user message) or a list of {"role", "content"} that ends with the user."""
        value = self.values.get(key)
        if isinstance(value, str):
            value = [{"role": "user", "content": value}]
        if not isinstance(value, list) or not value:
            raise self.wrong(
                f"“{key}” is {'missing' if value is None else _kind(value)}; it must be a text, or "
                'a list of messages such as {"role": "user", "content": "…"}.'
            )
        messages = [self._message(key, message) for message in value]
        if messages[-1]["role"] != "user":
            raise self.wrong(f"the last message of “{key}” must be the user's, role “user”.")
        if not messages[-1]["content"].strip():
            raise self.wrong(f"“{key}” is blank; say what was asked.")
        return messages

    def _message(self, key: str, message: Any) -> dict[str, str]:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise self.wrong(f"a message of “{key}” must have exactly “role” and “content”.")
        if message["role"] not in _ROLES:
            raise self.wrong(
                f"a role in “{key}” is {message['role']!r}; it must be one of {', '.join(_ROLES)}."
            )
        if not isinstance(message["content"], str):
            raise self.wrong(f"the content of a message in “{key}” must be a text.")
        return {
            "role": message["role"],
            "content": self.storable(key, message["content"]),
        }


def lines(data: bytes) -> Iterator[Line]:
    """The objects of a JSON Lines file; blank lines are passed over.

    Raises:
        UserError: the file is empty, is not UTF-8, is too long, or a line is no JSON object.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"Line {number} is not UTF-8 text. Save the file as UTF-8; each line is one JSON "
            "object.",
            code="not_utf8",
            field="file",
        ) from None
    found = 0
    # JSON may hold U+2028 and its like unescaped, at which splitlines() would cut
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found += 1
        if found > MAX_LINES:
            raise UserError(
                f"The file has more than {MAX_LINES:,} lines; bring it in in parts.",
                code="too_long",
                field="file",
            )
        yield Line(number, _object(number, line))
    if not found:
        raise UserError(
            "The file is empty; each line is to be one JSON object.",
            code="empty_file",
            field="file",
        )


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        advice = (
            " This looks like a JSON array: write one object a line, without brackets around all."
            if number == 1 and line.lstrip().startswith("[")
            else ""
        )
        raise UserError(
            f"Line {number} is not JSON{where}: “{line.strip()[:60]}”.{advice}",
            code="bad_line",
            field="file",
        ) from None
    if not isinstance(value, dict):
        raise UserError(
            f"Line {number} is {_kind(value)}; each line must be one JSON object in braces.",
            code="bad_line",
            field="file",
        )
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _kind(value: Any) -> str:
    kinds = {
        bool: "a boolean",
        list: "a list",
        dict: "an object",
        str: "a text",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")
