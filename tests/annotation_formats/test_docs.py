"""The page on formats tells every one of them, as the code has it."""

from __future__ import annotations

from pathlib import Path

from annotation.formats import FORMATS
from annotation.formats.table import HEAD, table

PAGE = Path(__file__).parents[2] / "platform" / "docs" / "formats.md"


def test_the_table_is_that_of_the_code() -> None:
    told = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    told = told[told.index(HEAD) :]
    missing = [row for row in table(FORMATS.values()).splitlines() if row not in told]
    # `python -m annotation.formats.table` prints the table
    assert missing == ["|" + "---|" * 8]
    rows = [line for line in told if line.count(" | ") == 7]
    assert len(rows) == len(FORMATS) + 1


def test_every_option_is_told() -> None:
    page = PAGE.read_text()
    for each in FORMATS.values():
        for option in each.options:
            assert f"`{option.name}`" in page, (each.name, option.name)
