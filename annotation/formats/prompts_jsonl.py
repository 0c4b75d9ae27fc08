"""Reader of held-out prompts: one a line.

::

    {"prompt": "…" or [{"role", "content"}], "category": "…", "reference_answer": "…",
     "media": ["…"]}

A file is named by its SHA-256, or by its name in the archive that the lines come in.
"""

from __future__ import annotations

from collections.abc import Iterator

from annotation.formats.jsonl import lines
from annotation.formats.pairs_jsonl import MAX_MEDIA
from annotation.formats.records import ImportedPrompt

KEYS = ("prompt", "category", "reference_answer", "media")
EXAMPLE = """\
{"prompt": "Why is the sea salty?", "category": "science"}
{"prompt": "What is 9 times 6?", "category": "sums", "reference_answer": "54"}
"""


def read(data: bytes) -> Iterator[ImportedPrompt]:
    """One prompt a line.

    Raises:
        UserError: with the line and the key that is wrong, and what would be right.
    """
    for line in lines(data):
        line.only(*KEYS)
        yield ImportedPrompt(
            place=line.place,
            messages=line.messages("prompt"),
            category=line.name("category", default=""),
            reference_answer=line.text("reference_answer", default=""),
            media=line.names("media", most=MAX_MEDIA),
        )
