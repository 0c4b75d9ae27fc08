"""The rows of a frozen version, as its own download has them: Parquet, JSON Lines or a ZIP.

::

    {"pair": "…", "prompt": [{"role", "content"}], "chosen": "…", "rejected": "…",
     "chosen_media": "…", "rejected_media": "…", "chosen_model": "…", "rejected_model": "…",
     "outcome": "win", "chosen_side": "b", "strength": 2.0, "category": "…",
     "votes": [{"annotator", "kind", "outcome", "strength"}],
     "rationales": [{"annotator", "text", "tags", "evidence"}], "aspects": {"style": 1.0}, …}

What the votes came to is read over: every vote comes in as it was given. Versions are written by
:mod:`steelyard.registry.downloads`, so that there is nothing to write here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from annotation.formats.base import TEXT_CONTAINERS, Format, Reading
from annotation.formats.outside import MAX_FILES
from annotation.formats.records import ImportedRecord, ImportedVote
from annotation.formats.rows import Row, RowError
from annotation.formats.sides import steps_of, vote

OUTCOMES = ("a", "b", "tie", "both_bad", "skip")
_COLUMNS = ("pair", "prompt", "chosen", "rejected", "outcome", "chosen_side", "votes")


def gather(rows: Iterable[Row], reading: Reading) -> Iterator[ImportedRecord]:
    """A record a row; what a version does not tell of single votes is counted."""
    for row in rows:
        try:
            record = _record(row, reading)
        except RowError as error:
            reading.wrong(error)
        else:
            yield record


def _record(row: Row, reading: Reading) -> ImportedRecord:
    for column in _COLUMNS:
        if column not in row.values:
            raise row.wrong(f"there is no column “{column}”.", column)
    side = row.one_of("chosen_side", "a", "b")
    a, b = ("chosen", "rejected") if side == "a" else ("rejected", "chosen")
    return ImportedRecord(
        place=row.place,
        messages=row.messages("prompt"),
        text_a=row.text(a, default=""),
        text_b=row.text(b, default=""),
        model_a=row.name(f"{a}_model", default="", limit=200) or "unknown",
        model_b=row.name(f"{b}_model", default="", limit=200) or "unknown",
        category=row.text("category", default="", limit=100).strip(),
        votes=_votes(row, side, reading),
        media=row.names("prompt_media", most=MAX_FILES),
        media_a=row.text(f"{a}_media", default="", limit=1000),
        media_b=row.text(f"{b}_media", default="", limit=1000),
        reference_answer=row.text("reference_answer", default=""),
    )


def _votes(row: Row, side: str, reading: Reading) -> list[ImportedVote]:
    said = row.parts("votes")
    if not said:
        outcome = row.one_of("outcome", "win", "tie", "both_bad")
        steps = steps_of(row.real("strength", 0, 3)) if row.values.get("strength") else 1
        return [vote(side if outcome == "win" else outcome, steps=steps)]
    reasons = {part.text("annotator"): part for part in row.parts("rationales")}
    aspects = _aspects(row)
    if aspects and len(said) > 1:
        reading.leave_out("what single votes say of aspects: a version has only their means")
        aspects = {}
    if _told(row.values.get("segments")):
        reading.leave_out("verdicts on parts of clips")
    if any(_told(part.values.get("evidence")) for part in reasons.values()):
        reading.leave_out("what reasons point at")
    return [_vote(one, reasons, aspects) for one in said]


def _vote(one: Row, reasons: dict[str, Row], aspects: dict[str, int]) -> ImportedVote:
    name = one.name("annotator", limit=150)
    outcome = one.one_of("outcome", *OUTCOMES)
    strength = one.whole("strength", -3, 3)
    sign = {"a": -1, "b": 1}.get(outcome, 0)
    if strength and strength * sign <= 0:
        raise one.wrong(
            f"“strength” is {strength}, but with outcome {outcome} it must be "
            f"{ {-1: 'negative', 1: 'positive', 0: '0'}[sign] }.",
            "strength",
        )
    reason = reasons.get(name)
    return vote(
        outcome,
        steps=abs(strength) or 1,
        annotator=name,
        kind=one.one_of("kind", "person", "judge"),
        rationale=reason.text("text", default="") if reason else "",
        tags=reason.texts("tags") if reason else [],
        aspects=aspects,
    )


def _aspects(row: Row) -> dict[str, int]:
    """Signed steps by aspect; of several votes they are means, which are of no single one."""
    said = _parsed(row.values.get("aspects")) or {}
    if not isinstance(said, dict):
        raise row.wrong("“aspects” must be an object of names with a strength each.", "aspects")
    part = Row(row.number, said, row.place)
    if len(row.values["votes"] or []) > 1:
        return dict.fromkeys(said, 0)
    return {name: part.whole(name, -3, 3) for name, value in said.items() if value is not None}


def _told(value: Any) -> bool:
    return bool(_parsed(value))


def _parsed(value: Any) -> Any:
    """What Parquet has as a text of JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "null")
    except ValueError:
        return value


def is_version(row: Row) -> bool:
    return row.values["chosen_side"] in ("a", "b") and isinstance(row.values["votes"], list)


FORMAT = Format(
    name="steelyard_version",
    title="Steelyard version",
    modalities=("text", "image", "video"),
    containers=TEXT_CONTAINERS,
    columns=_COLUMNS,
    fits=is_version,
    gather=gather,
    rank=3,
    empty_answers="kept",
    ties="Read as they were voted: every vote comes in with its own outcome, both bad too.",
    cannot="Evidence and verdicts on parts; aspects where several votes are counted as one, of "
    "which a version has only the means; which answer was shown first. Files are named by their "
    "SHA-256 and must be in the project. Read alone: a version's own download writes it.",
)
