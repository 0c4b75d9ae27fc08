"""What readers and writers of outside formats share: a pair from a row, files in its cells, and
what a chat without pictures can say."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pyarrow as pa

from annotation.formats.base import MediaFile, Option, Writing
from annotation.formats.columns import file_field
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from steelyard.lib.records import PreferenceRecord

UNKNOWN = "unknown"
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
WITH_MEDIA = Option(
    "media",
    "Pictures and clips of the prompts",
    (("no", "left out, with the rows that need them"), ("yes", "in a column of their own")),
)
MAX_FILES = 16
_ABOUT_MEDIA = "its prompt is about pictures or clips; choose to write them"


def user(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def pair(
    row: Row,
    messages: Messages,
    a: str,
    b: str,
    votes: list[ImportedVote],
    *,
    columns: tuple[str, str] = ("chosen", "rejected"),
    model_a: str = UNKNOWN,
    model_b: str = UNKNOWN,
    **more: Any,
) -> ImportedRecord:
    """A record of a row.

    Raises:
        RowError: the prompt does not end with the user or is blank, or the answers are one.
    """
    if a == b and model_a == model_b and not more.get("media_a"):
        raise row.wrong(
            f"“{columns[0]}” and “{columns[1]}” are the same text; a pair needs two answers.",
            columns[1],
        )
    return ImportedRecord(
        place=row.place,
        messages=row.asked("prompt", messages),
        text_a=a,
        text_b=b,
        model_a=model_a,
        model_b=model_b,
        votes=votes,
        **more,
    )


def answer(row: Row, column: str, messages: Messages) -> str:
    """The one answer that a list of messages is.

    Raises:
        RowError: it is not one message of the assistant.
    """
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise row.wrong(
            f"“{column}” must be one message of the assistant; it has "
            f"{', '.join(message['role'] for message in messages)}.",
            column,
        )
    return messages[0]["content"]


def split_shared(row: Row, chosen: Messages, rejected: Messages) -> tuple[Messages, str, str]:
    """The messages before the last ones, which must be the same, and the two answers.

    Raises:
        RowError: the conversations part before their last message.
    """
    if chosen[:-1] != rejected[:-1]:
        raise row.wrong(
            "“chosen” and “rejected” are different before their last message; they must be the "
            "same conversation with another answer.",
            "rejected",
        )
    return (
        chosen[:-1],
        answer(row, "chosen", chosen[-1:]),
        answer(row, "rejected", rejected[-1:]),
    )


def files(row: Row, column: str) -> tuple[list[str], dict[str, bytes]]:
    """The names of the files in a cell, and the bytes of those that the row carries itself.

    A cell is a name, ``{"bytes", "path"}`` as ``datasets`` writes it, bytes, or a list of these;
    bytes are named by their SHA-256.

    Raises:
        RowError: it is something else.
    """
    value = row.values.get(column)
    cells = value if isinstance(value, list) else [] if value in (None, "") else [value]
    if len(cells) > MAX_FILES:
        raise row.wrong(f"“{column}” has {len(cells)} files; {MAX_FILES} are the most.", column)
    names, blobs = [], {}
    for cell in cells:
        name, data = _file(row, column, cell)
        names.append(name)
        if data is not None:
            blobs[name] = data
    return names, blobs


def _file(row: Row, column: str, cell: Any) -> tuple[str, bytes | None]:
    if isinstance(cell, dict) and (cell.get("bytes") or cell.get("path")):
        cell = cell.get("bytes") or cell["path"]
    if isinstance(cell, bytes):
        return sha256(cell).hexdigest(), cell
    if isinstance(cell, str) and cell.strip():
        return row.storable(column, cell, 1000), None
    raise row.wrong(
        f"a file in “{column}” is neither a name nor bytes; it must be the name of a file in the "
        "archive, or the file itself as Parquet holds it.",
        column,
    )


def as_list(row: Row, column: str) -> list[Any]:
    """A list, also as the JSON text that CSV holds it as.

    Raises:
        RowError: it is none.
    """
    value = row.values.get(column)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list):
        raise row.wrong(f"“{column}” must be a list, or a list as JSON text.", column)
    return value


def shared(a: str, b: str) -> str:
    """What two texts begin with, up to where a word or paragraph ends: the prompt of texts that say
    no prompt. The last blank line in it is the border where there is one."""
    ends = (at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    same = a[: next(ends, min(len(a), len(b)))]
    at = same.rfind("\n\n")
    if at >= 0:
        return same[: at + 2]
    border = max(same.rfind(" "), same.rfind("\n"))
    return same[: border + 1]


def prompt_media(record: PreferenceRecord, writing: Writing) -> list[MediaFile] | None:
    """The files of a prompt where they are to be written; None, and the record counted as left
    out, where it has some that are not."""
    if not record.prompt_media:
        return []
    if writing.option("media") == "no":
        writing.leave_out(_ABOUT_MEDIA)
        return None
    return [writing.media(sha256) for sha256 in record.prompt_media]


def only_images(files: list[MediaFile], writing: Writing) -> bool:
    """Whether all are pictures; else the record is counted as left out."""
    if all(file.mime.startswith("image/") for file in files):
        return True
    writing.leave_out("its prompt is about a clip, for which there is no column")
    return False


def won(record: PreferenceRecord, writing: Writing) -> bool:
    """Whether an answer was preferred; a tie is counted as left out."""
    if record.won:
        return True
    writing.leave_out("a tie has no chosen answer")
    return False


def single(record: PreferenceRecord, writing: Writing) -> str | None:
    """The prompt as one text; None, and the record counted as left out, if it is a conversation."""
    if len(record.prompt) == 1 and record.prompt[0]["role"] == "user":
        return record.prompt[0]["content"]
    writing.leave_out("its prompt is a conversation, which one text cannot hold")
    return None


def with_images(fields: list[tuple[str, pa.DataType]], writing: Writing) -> pa.Schema:
    """These columns, and ``images`` where they are written."""
    schema = pa.schema(fields)
    if writing.option("media") == "no":
        return schema
    return schema.append(file_field("images", "Image", many=True))
