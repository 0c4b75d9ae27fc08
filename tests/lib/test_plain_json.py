from __future__ import annotations

import json

import pytest

from steelyard.lib.plain_json import read_json


@pytest.mark.parametrize(
    "value", [{}, [1, 2.5, None], "é 😀", "\\u0000 as it is spelt", {"a": {"b": "\n"}}]
)
def test_what_can_be_stored_is_read(value: object) -> None:
    assert read_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "NaN",
        "[1e999]",
        '"\\u0000"',
        '{"\\u0000": 1}',
        '"\\ud800"',
        "[" * 5000,
        '"\\\\\\u0000"',
    ],
)
def test_what_cannot_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the caller tells what was wrong)
        read_json(text)
