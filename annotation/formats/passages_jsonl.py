"""Reader of a collection of passages to search: one a line, ``{"text": "…", "title": "…"}``."""

from __future__ import annotations

from annotation.formats.jsonl import lines
from annotation.formats.query_rewrites import LONGEST_PASSAGE
from steelyard.lib.errors import UserError

MOST = 50_000
EXAMPLE = """\
{"text": "A steelyard is a balance with two arms of unequal length.", "title": "Steelyard"}
{"text": "The Steelyard was a trading post of the Hanse in London."}
"""


def read(data: bytes) -> list[str]:
    """Each passage as it is searched and read, its title before it.

    Raises:
        UserError: with the line and the key that is wrong, and what would be right.
    """
    found = []
    for line in lines(data):
        line.only("text", "title")
        text, title = line.text("text", limit=LONGEST_PASSAGE), line.name("title", default="")
        if not text.strip():
            raise line.wrong("“text” is blank; a passage says something.", "text")
        found.append(f"{title}\n{text}" if title else text)
        if len(found) > MOST:
            raise UserError(
                f"The file has more than {MOST:,} passages. Search a larger collection with a "
                "search engine of your own, and bring the passages in with the rewrites.",
                code="too_long",
                field="file",
            )
    return found
