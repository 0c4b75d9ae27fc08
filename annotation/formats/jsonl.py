"""Reading JSON Lines that somebody else wrote: a refusal names the line and what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from annotation.formats.rows import Row as Line
from annotation.formats.rows import kind_of
from steelyard.lib.errors import UserError

MAX_LINES = 200_000


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
        yield Line(number, _object(number, line), f"Line {number}")
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
            f"Line {number} is {kind_of(value)}; each line must be one JSON object in braces.",
            code="bad_line",
            field="file",
        )
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
