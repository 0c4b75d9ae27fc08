"""What formats of pictures and clips share: two files compared, and the prompt that both answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from annotation.formats.base import MediaFile, Writing
from annotation.formats.outside import UNKNOWN, files, pair, single, user
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import sides, whole
from steelyard.lib.records import PreferenceRecord

VISUAL = ("image", "video")
VOTE_CANNOT = "Strength, reasons, tags, aspects and evidence; what is said beside a picture or clip"
_PICTURES = ("png", "jpg", "jpeg", "webp", "gif", "avif", "bmp")
_CLIPS = ("mp4", "webm", "mov", "mkv", "m4v", "avi")


def shown(row: Row, column: str) -> tuple[str, dict[str, bytes]]:
    """The name of the one file in a cell, and its bytes where the row carries them.

    Raises:
        RowError: there is none, or it is empty.
    """
    names, blobs = files(row, column)
    if len(names) != 1 or blobs.get(names[0]) == b"":
        said = "is an empty file" if len(names) == 1 else f"has {len(names) or 'no'} files"
        raise row.wrong(f"“{column}” {said}; a pair needs one file on each side.", column)
    return names[0], blobs


def compared(
    row: Row,
    prompt: str | Messages,
    columns: tuple[str, str],
    votes: list[ImportedVote],
    **more: Any,
) -> ImportedRecord:
    """A record of the files in two columns.

    Raises:
        RowError: a file is missing, both are one, or the prompt is blank.
    """
    a, blobs_a = shown(row, columns[0])
    b, blobs_b = shown(row, columns[1])
    if a == b:
        raise row.wrong(
            f"“{columns[0]}” and “{columns[1]}” are the same file; a pair needs two answers.",
            columns[1],
        )
    messages = user(prompt) if isinstance(prompt, str) else prompt
    blobs = {**more.pop("blobs", {}), **blobs_a, **blobs_b}
    return pair(row, messages, "", "", votes, media_a=a, media_b=b, blobs=blobs, **more)


def model(row: Row, column: str) -> str:
    """A model's name, ``unknown`` where the row says none."""
    return row.name(column, default=UNKNOWN, limit=200) or UNKNOWN


def asked(record: PreferenceRecord, writing: Writing) -> str | None:
    """The prompt as one text; None, and the record counted as left out, if it is more than that."""
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return None
    return single(record, writing)


def both(record: PreferenceRecord, writing: Writing) -> tuple[MediaFile, MediaFile]:
    """The files of sides a and b."""
    a, b = sides(record)
    return writing.media(a.media), writing.media(b.media)


def better_first(record: PreferenceRecord, writing: Writing) -> tuple[MediaFile, MediaFile]:
    """The files of the chosen and the rejected answer."""
    return writing.media(record.chosen_media), writing.media(record.rejected_media)


def cast_votes(record: PreferenceRecord) -> Iterator[dict[str, Any]]:
    """The votes that were no skip, or one of what they came to where none are told."""
    return (one for one in record.votes or [whole(record)] if one["outcome"] != "skip")


def modality_of(name: str) -> str:
    """image or video, by a file's ending; empty where it is neither."""
    ending = PurePosixPath(name).suffix[1:].lower()
    return "image" if ending in _PICTURES else "video" if ending in _CLIPS else ""


def is_name_of_file(value: Any) -> bool:
    """Whether a cell's text names a picture or clip: one word of a path with such an ending."""
    return isinstance(value, str) and len(value.split()) == 1 and bool(modality_of(value))
