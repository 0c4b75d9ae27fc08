"""What runs say that bring files in or write them, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.lib.said import Said

WORDS = {
    "rows_read": "Rows read: %(rows)s, wrong: %(wrong)s. New prompts: %(prompts)s, pairs: "
    "%(pairs)s, judgments: %(judgments)s.",
    "rows_written": "Rows written: %(rows)s. Records left out: %(left)s.",
}


def read_in_words(taken: Mapping[str, Any]) -> Said:
    """
    Args:
        taken: fields of :class:`annotation.transfer.incoming.Taken`.
    """
    names = ("rows", "wrong", "prompts", "pairs", "judgments")
    return Said(WORDS, "rows_read", **{name: taken[name] for name in names})


def written_in_words(result: Mapping[str, Any]) -> Said:
    """
    Args:
        result: what an export ends with; ``left_out`` has a number for each reason.
    """
    left = sum(result["left_out"].values())
    return Said(WORDS, "rows_written", rows=result["rows"], left=left)
