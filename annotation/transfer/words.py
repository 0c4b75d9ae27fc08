"""What runs say that bring files in or write them, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.lib.said import Counted, Said, Words

WORDS: dict[str, Words] = {
    "rows_read": "Rows read: %(rows)s, wrong: %(wrong)s. New prompts: %(prompts)s, pairs: "
    "%(pairs)s, judgments: %(judgments)s.",
    "rows_written": "Rows written: %(rows)s. Records left out: %(left)s.",
    "going_on": "going on",
    "wrong_modality": "%(format)s holds answers of %(of)s; this is a project of %(project)s.",
    "too_many_errors": "%(most)s rows are wrong, so that no more are read; the file may be of "
    "another format than %(format)s.",
    "writing": "writing",
    "storing": "storing",
    "checking": "checking",
    "nothing_stored": "%(trouble)s Nothing was stored.",
    "stored_before": "%(trouble)s What stands before row %(row)s is in: new pairs %(pairs)s, new "
    "judgments %(judgments)s.",
    "row_wrong": "%(place)s: %(reason)s Nothing was stored.",
    "rows_more_wrong": Counted(
        "%(place)s: %(reason)s %(more)s more is wrong. Nothing was stored.",
        "%(place)s: %(reason)s %(more)s more are wrong. Nothing was stored.",
        "more",
    ),
    "nothing_written": "No row of %(version)s can be written as %(format)s.",
    "nothing_written_but": "No row of %(version)s can be written as %(format)s. Left out were "
    "%(reasons)s.",
    "no_writer": "%(format)s can be read, not written.",
    "wrong_modality_out": "%(format)s holds answers of %(of)s; this version is of %(project)s.",
    "bad_container": "%(format)s cannot lie in “%(container)s”; it must be one of %(known)s.",
    "bad_split": "split is “%(split)s”; it must be one of %(known)s.",
    "file_lost": "The file %(file)s… of %(version)s is not on this server's disk. Restore the "
    "data folder from its backup.",
}
REFUSED_WHOLE = ("row_wrong", "rows_more_wrong")
"""Sentences that say by themselves that nothing was stored."""


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
