"""TRL's unpaired preferences, for KTO: an answer and whether it is good.

::

    {"prompt": …, "completion": …, "label": true}

Rows of one prompt are put together in pairs: each good answer with a bad one of the same prompt,
and of the bad ones that are left each with another, as a pair of which both are bad.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any

import pyarrow as pa

from annotation.formats.base import TEXT_CONTAINERS, Format, Option, Reading, Writing
from annotation.formats.outside import (
    MESSAGES,
    WITH_MEDIA,
    answer,
    files,
    only_images,
    pair,
    prompt_media,
    single,
    user,
    with_images,
)
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row, RowError
from annotation.formats.sides import vote
from annotation.formats.trl_preference import SHAPE, is_standard
from steelyard.lib.hashing import canonical_json
from steelyard.lib.records import PreferenceRecord

MAX_WAITING = 64 * 2**20
"""Characters of rows that wait for their other half."""
_LOOKED_AT = 100
"""Bad answers to a prompt among which one is looked for that says something else."""
_TIES = Option(
    "ties",
    "Ties",
    (
        ("leave_out", "left out"),
        ("good", "both answers are good"),
        ("bad", "both answers are bad"),
    ),
)


@dataclass
class _Half:
    row: Row
    prompt: Messages
    text: str
    good: bool
    media: list[str]
    blobs: dict[str, bytes]

    @property
    def size(self) -> int:
        return len(self.text) + sum(len(message["content"]) for message in self.prompt)


@dataclass
class _Waiting:
    """The rows of one prompt that have no other half yet."""

    good: deque[_Half] = field(default_factory=deque)
    bad: deque[_Half] = field(default_factory=deque)

    def of(self, good: bool) -> deque[_Half]:
        return self.good if good else self.bad

    @property
    def size(self) -> int:
        return sum(half.size for half in (*self.good, *self.bad))

    def take_for(self, half: _Half) -> _Half | None:
        """The other half that waits longest; an answer is never compared with itself."""
        others = self.of(not half.good)
        for at, other in enumerate(others):
            if other.text != half.text:
                del others[at]
                return other
        return None


def gather(rows: Iterable[Row], reading: Reading) -> Iterator[ImportedRecord]:
    """Pairs of rows, as soon as both are met; the others are counted as left out."""
    waiting: dict[bytes, _Waiting] = {}
    size = 0
    for row in rows:
        try:
            half = _half(row)
        except RowError as error:
            reading.wrong(error)
            continue
        key = sha256(canonical_json([half.prompt, half.media])).digest()
        here = waiting.setdefault(key, _Waiting())
        other = here.take_for(half)
        if other is None:
            here.of(half.good).append(half)
            size += half.size
        else:
            size -= other.size
            yield from _made(other, half, reading)
        if not (here.good or here.bad):
            del waiting[key]
        while size > MAX_WAITING:
            longest = waiting.pop(next(iter(waiting)))
            size -= longest.size
            yield from _rest(longest, reading)
    for here in waiting.values():
        yield from _rest(here, reading)


def _rest(here: _Waiting, reading: Reading) -> Iterator[ImportedRecord]:
    """What becomes of a prompt's rows of one kind: bad ones are paired, others left out."""
    for _ in here.good:
        reading.leave_out("no bad answer to the same prompt to pair it with")
    while here.bad:
        half = here.bad.popleft()
        seen = enumerate(islice(here.bad, _LOOKED_AT))
        at = next((at for at, other in seen if other.text != half.text), None)
        if at is None:
            reading.leave_out("no good answer to the same prompt to pair it with")
            continue
        other = here.bad[at]
        del here.bad[at]
        yield from _made(half, other, reading)


def _made(first: _Half, second: _Half, reading: Reading) -> Iterator[ImportedRecord]:
    try:
        yield _pair(first, second)
    except RowError as error:
        reading.wrong(error)


def _half(row: Row) -> _Half:
    for column in FORMAT.columns:
        if column not in row.values:
            raise row.wrong(f"there is no column “{column}”.", column)
    prompt, completion = row.values["prompt"], row.values["completion"]
    names, blobs = files(row, "images")
    return _Half(
        row,
        row.conversation("prompt") if isinstance(prompt, list) else user(row.text("prompt")),
        answer(row, "completion", row.conversation("completion"))
        if isinstance(completion, list)
        else row.text("completion"),
        row.truth("label"),
        names,
        blobs,
    )


def _pair(first: _Half, second: _Half) -> ImportedRecord:
    good, bad = (second, first) if second.good else (first, second)
    return pair(
        second.row,
        good.prompt,
        good.text,
        bad.text,
        [vote("a" if good.good else "both_bad")],
        columns=("completion", "completion"),
        media=good.media,
        blobs=good.blobs | bad.blobs,
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    labels = _labels(record, writing)
    if labels is None:
        return
    media = prompt_media(record, writing)
    if media is None or not only_images(media, writing):
        return
    prompt: Any = [dict(message) for message in record.prompt]
    if is_standard(writing) and (prompt := single(record, writing)) is None:
        return
    for text, label in zip((record.chosen, record.rejected), labels, strict=True):
        said = text if is_standard(writing) else [{"role": "assistant", "content": text}]
        row = {"prompt": prompt, "completion": said, "label": label}
        yield {**row, "images": media} if writing.option("media") == "yes" else row


def _labels(record: PreferenceRecord, writing: Writing) -> tuple[bool, bool] | None:
    if record.won:
        return True, False
    if record.outcome == "both_bad":
        return False, False
    ties = writing.option("ties")
    if ties == "leave_out":
        writing.leave_out("a tie says of neither answer that it is good")
        return None
    return ties == "good", ties == "good"


def schema(writing: Writing) -> pa.Schema:
    kind = pa.string() if is_standard(writing) else MESSAGES
    fields = [("prompt", kind), ("completion", kind), ("label", pa.bool_())]
    return with_images(fields, writing)


FORMAT = Format(
    name="trl_unpaired",
    title="TRL unpaired (KTO)",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("prompt", "completion", "label"),
    gather=gather,
    write=write,
    options=(SHAPE, _TIES, WITH_MEDIA),
    schema=schema,
    both_bad=True,
    anonymous=True,
    ties="Left out, or both answers written as good or as bad, as chosen. Where both are bad, both "
    "are written so.",
    cannot="Which two answers were compared, strength, reasons, votes and models; that the better "
    "answer is good and the worse one bad is more than the votes say. Read, two bad answers to a "
    "prompt that are left without a good one are a pair of which both are bad; a good one without "
    "a bad one, and a bad one alone, are left out and counted.",
)
