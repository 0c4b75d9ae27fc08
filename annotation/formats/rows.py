"""One row of a file that somebody else made, read column by column.

Whatever a row came from (a line of JSON, a row of Parquet or CSV), it is read by the same methods;
a refusal names the row, the column, what was wrong and what would be right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from annotation.formats.records import Messages
from steelyard.lib.errors import UserError

MAX_TEXT = 200_000
ROLES = ("system", "user", "assistant")
_CONTROL = re.compile(r"[\x00-\x1f]")
_ROLE_OF = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}


class RowError(UserError):
    """A row that cannot be read; what is wrong with it stands in the message.

    Args:
        place: where it is: ``Line 12``, ``Row 3 of train.parquet``.
        column: the column or key that is wrong, where it is one alone.
    """

    def __init__(self, message: str, *, place: str, number: int = 0, column: str = "") -> None:
        super().__init__(f"{place}: {message}", code="bad_line", field="file")
        self.place = place
        self.number = number
        self.column = column
        self.reason = message


@dataclass(frozen=True)
class Row:
    """One row of any container. Every reader raises :class:`RowError`."""

    number: int
    """From 1, within its file."""
    values: dict[str, Any]
    place: str
    """What an error begins with: ``Row 12 of train.parquet``."""

    def wrong(self, message: str, column: str = "") -> RowError:
        return RowError(message, place=self.place, number=self.number, column=column)

    def only(self, *known: str) -> None:
        """Refuse keys that nobody reads: a misspelt one would be lost without a word."""
        for key in self.values:
            if key not in known:
                raise self.wrong(f"there is no key “{key}”; the keys are {', '.join(known)}.", key)

    def has(self, *columns: str) -> bool:
        """Whether the row has all of these, whatever is in them."""
        return all(column in self.values for column in columns)

    def text(self, key: str, *, default: str | None = None, limit: int = MAX_TEXT) -> str:
        """A string; a missing or null one is the default, or refused where there is none."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            said = "is missing" if value is None else f"is {kind_of(value)}"
            raise self.wrong(f"“{key}” {said}; it must be a text in double quotes.", key)
        return self.storable(key, value, limit)

    def name(self, key: str, *, default: str | None = None, limit: int = 100) -> str:
        """A text that names something: not blank, no line break."""
        value = self.text(key, default=default, limit=limit)
        if value != default and (not value.strip() or _CONTROL.search(value)):
            raise self.wrong(f"“{key}” must be a name of one line, not blank.", key)
        return value.strip()

    def id(self, key: str) -> str:
        """The outside's own id, a text or a whole number; empty where there is none."""
        value = self.values.get(key)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise self.wrong(f"“{key}” is {kind_of(value)}; an id is a text or a number.", key)
        return self.storable(key, str(value), 200)

    def storable(self, key: str, value: str, limit: int = MAX_TEXT) -> str:
        """The text, if a database can keep it."""
        if len(value) > limit:
            raise self.wrong(
                f"“{key}” has {len(value):,} characters; {limit:,} are the most that can be kept.",
                key,
            )
        if "\x00" in value:
            raise self.wrong(f"“{key}” holds a NUL character (\\u0000); take it out.", key)
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.wrong(
                f"“{key}” holds half of a surrogate pair; it is no text.", key
            ) from None
        return value

    def number_in(self, key: str, low: int, high: int) -> int:
        """A whole number; 0 where there is none."""
        value = self.values.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(
                f"“{key}” is {value!r}; it must be a whole number, {low} to {high}.", key
            )
        return value

    def real(self, key: str, low: float, high: float) -> float:
        """A number, also as a text such as CSV has."""
        value = self.values.get(key)
        try:
            number = float(value) if not isinstance(value, bool) else None  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not low <= number <= high:
            raise self.wrong(f"“{key}” is {value!r}; it must be a number, {low} to {high}.", key)
        return number

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number, also as a text or a float such as CSV and Parquet have."""
        number = self.real(key, low, high)
        if number != int(number):
            raise self.wrong(
                f"“{key}” is {self.values[key]!r}; it must be a whole number, {low} to {high}.", key
            )
        return int(number)

    def one_of(self, key: str, *known: str) -> str:
        """One of these words, as it stands or in other letters' case."""
        value = self.text(key, limit=1000).strip()
        for word in known:
            if value.casefold() == word.casefold():
                return word
        raise self.wrong(f"“{key}” is “{value[:60]}”; it must be one of {', '.join(known)}.", key)

    def truth(self, key: str) -> bool:
        """true or false, also as 0, 1 or a text."""
        value = self.values.get(key)
        said = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
        found = said.get(str(value).strip().lower())
        if found is None:
            raise self.wrong(f"“{key}” is {value!r}; it must be true or false.", key)
        return found

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"“{key}” must be a list of texts.", key)
        return [self.storable(key, item, 100) for item in value]

    def flag(self, key: str) -> bool:
        """true or false; a missing or null one is false."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"“{key}” is {kind_of(value)}; it must be true or false.", key)
        return bool(value)

    def names(self, key: str, *, most: int) -> list[str]:
        """A list of names, or one of them alone."""
        value = self.values.get(key) or []
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(f"“{key}” must be a list of at most {most} names.", key)
        return [Row(self.number, {key: one}, self.place).name(key, limit=1000) for one in value]

    def part(self, key: str, *known: str) -> Row | None:
        """The object under a key, to be read in the same way; None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict) or not set(value) <= set(known):
            raise self.wrong(f"“{key}” must be an object with {', '.join(known)}.", key)
        return Row(self.number, value, self.place)

    def parts(self, key: str) -> list[Row]:
        """The objects of a list, each to be read in the same way; none where it is null."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(f"“{key}” is {kind_of(value)}; it must be a list of objects.", key)
        return [
            Row(self.number, item, f"{self.place}, item {at} of “{key}”")
            for at, item in enumerate(value, 1)
        ]

    def messages(self, key: str) -> Messages:
        """A text (one user message) or a list of {"role", "content"} that ends with the user."""
        value = self.values.get(key)
        if isinstance(value, str):
            value = [{"role": "user", "content": value}]
        if not isinstance(value, list) or not value:
            raise self.wrong(
                f"“{key}” is {'missing' if value is None else kind_of(value)}; it must be a text, "
                'or a list of messages such as {"role": "user", "content": "…"}.',
                key,
            )
        return self.asked(key, [self._message(key, message) for message in value])

    def asked(self, key: str, messages: Messages) -> Messages:
        """The messages, if the last of them is the user's and says something."""
        if not messages or messages[-1]["role"] != "user":
            raise self.wrong(f"the last message of “{key}” must be the user's, role “user”.", key)
        if not messages[-1]["content"].strip():
            raise self.wrong(f"“{key}” is blank; say what was asked.", key)
        return messages

    def conversation(self, key: str, *, role: str = "role", content: str = "content") -> Messages:
        """The messages under a key as other tools write them: keys besides are passed over, roles
        such as ``human`` and ``gpt`` are known, the texts of a content of parts are joined."""
        value = self.values.get(key)
        if not isinstance(value, list) or not value:
            said = "missing" if value is None else "empty" if value == [] else kind_of(value)
            raise self.wrong(
                f"“{key}” is {said}; it must be a list of messages such as "
                f'{{"{role}": "user", "{content}": "…"}}.',
                key,
            )
        return [self._outside_message(key, message, role, content) for message in value]

    def _outside_message(self, key: str, message: Any, role: str, content: str) -> dict[str, str]:
        if not isinstance(message, dict) or role not in message or content not in message:
            raise self.wrong(f"a message of “{key}” must have “{role}” and “{content}”.", key)
        who = _ROLE_OF.get(str(message[role]).lower(), str(message[role]).lower())
        if who not in ROLES:
            raise self.wrong(
                f"a role in “{key}” is {message[role]!r}; it must be one of {', '.join(ROLES)}.",
                key,
            )
        return {"role": who, "content": self.storable(key, self._said(key, message[content]))}

    def _said(self, key: str, content: Any) -> str:
        if isinstance(content, str):
            return content
        if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
            raise self.wrong(
                f"the content of a message in “{key}” is {kind_of(content)}; it must be a text, or "
                'a list of parts such as {"type": "text", "text": "…"}.',
                key,
            )
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))

    def _message(self, key: str, message: Any) -> dict[str, str]:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise self.wrong(f"a message of “{key}” must have exactly “role” and “content”.", key)
        if message["role"] not in ROLES:
            raise self.wrong(
                f"a role in “{key}” is {message['role']!r}; it must be one of {', '.join(ROLES)}.",
                key,
            )
        if not isinstance(message["content"], str):
            raise self.wrong(f"the content of a message in “{key}” must be a text.", key)
        return {
            "role": message["role"],
            "content": self.storable(key, message["content"]),
        }


def kind_of(value: Any) -> str:
    """What a value is, in a word for a message."""
    kinds = {
        bool: "a boolean",
        list: "a list",
        dict: "an object",
        str: "a text",
        bytes: "bytes",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")
