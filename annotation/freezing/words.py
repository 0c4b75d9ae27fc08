"""What a freezing run says, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import Counted, Words

WORDS: dict[str, Words] = {
    "looking_at_votes": "looking at the votes",
    "goes_on_after": "goes on after %(done)s of %(total)s rows",
    "writing_rows": "writing rows",
    "frozen": Counted(
        "This is %(version)s now, with %(rows)s row.",
        "This is %(version)s now, with %(rows)s rows.",
        "rows",
    ),
}
