"""LLaMA-Factory's ranking data, and the entry that makes it known in ``dataset_info.json``.

::

    {"conversations": [{"from", "value"}], "chosen": {"from", "value"}, "rejected": …, "system"}
    {"instruction", "input", "chosen", "rejected", "system", "history": [[asked, said], …]}

The first is called ShareGPT, the second Alpaca.

With ``images`` and ``videos``, for each of which the prompt has a mark ``<image>`` or ``<video>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotation.formats.base import Format, MediaFile, Option, Writing
from annotation.formats.outside import (
    WITH_MEDIA,
    answer,
    as_list,
    files,
    pair,
    prompt_media,
    won,
)
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import vote
from steelyard.lib.records import PreferenceRecord

_SHAPE = Option("shape", "Shape", (("sharegpt", "ShareGPT"), ("alpaca", "Alpaca")))
_FROM = {"user": "human", "assistant": "gpt"}
_MARKS = {"images": "<image>", "videos": "<video>"}


def read(row: Row) -> Iterator[ImportedRecord]:
    if "conversations" in row.values:
        messages, a, b = _read_sharegpt(row)
    else:
        messages, a, b = _read_alpaca(row)
    if row.values.get("system"):
        messages = [{"role": "system", "content": row.text("system")}, *messages]
    names: list[str] = []
    blobs: dict[str, bytes] = {}
    for column, mark in _MARKS.items():
        found, carried = files(row, column)
        names += found
        blobs |= carried
        if found:
            messages = [_without(message, mark) for message in messages]
    yield pair(row, messages, a, b, [vote("a")], media=names, blobs=blobs)


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if not won(record, writing):
        return
    media = prompt_media(record, writing)
    if media is None:
        return
    if any(m["role"] == "system" for m in record.prompt[1:]):
        writing.leave_out("it has a system message that is not the first")
        return
    system, messages = _system(record)
    if not _alternates(messages):
        writing.leave_out("the user and the assistant do not take turns in its prompt")
        return
    split = {
        "images": [file for file in media if not file.mime.startswith("video/")],
        "videos": [file for file in media if file.mime.startswith("video/")],
    }
    messages = _marked(messages, split)
    alpaca = writing.option("shape") == "alpaca"
    row = _alpaca(record, messages) if alpaca else _sharegpt(record, messages)
    yield {**row, "system": system, **(split if writing.option("media") == "yes" else {})}


def aside(file_name: str, writing: Writing) -> dict[str, bytes]:
    """``dataset_info.json`` with the entry of a written file."""
    alpaca = writing.option("shape") == "alpaca"
    names = (
        {"prompt": "instruction", "query": "input", "history": "history"}
        if alpaca
        else {"messages": "conversations"}
    )
    names |= {"chosen": "chosen", "rejected": "rejected", "system": "system"}
    if writing.option("media") == "yes":
        names |= {column: column for column in _MARKS}
    entry: dict[str, Any] = {"file_name": file_name, "ranking": True, "columns": names}
    if not alpaca:
        entry["formatting"] = "sharegpt"
    name = Path(file_name).name.split(".")[0]
    return {"dataset_info.json": json.dumps({name: entry}, indent=2).encode() + b"\n"}


def is_ranking(row: Row) -> bool:
    return row.has("instruction") or row.has("conversations")


def _read_sharegpt(row: Row) -> tuple[Messages, str, str]:
    messages = row.conversation("conversations", role="from", content="value")
    said = []
    for column in ("chosen", "rejected"):
        alone = Row(row.number, {column: [row.values[column]]}, row.place)
        said.append(answer(row, column, alone.conversation(column, role="from", content="value")))
    return messages, said[0], said[1]


def _read_alpaca(row: Row) -> tuple[Messages, str, str]:
    messages = []
    for turn in as_list(row, "history") if row.values.get("history") else []:
        if not isinstance(turn, list) or [type(text) for text in turn] != [str, str]:
            raise row.wrong("“history” must be a list of [asked, answered].", "history")
        messages.append({"role": "user", "content": row.storable("history", turn[0])})
        messages.append({"role": "assistant", "content": row.storable("history", turn[1])})
    asked = [row.text("instruction"), row.text("input", default="")]
    messages.append({"role": "user", "content": "\n".join(text for text in asked if text)})
    return messages, row.text("chosen"), row.text("rejected")


def _without(message: dict[str, str], mark: str) -> dict[str, str]:
    """The message without the marks, which the list of files says as well."""
    return {**message, "content": message["content"].replace(mark, "")}


def _system(record: PreferenceRecord) -> tuple[str, Messages]:
    if record.prompt and record.prompt[0]["role"] == "system":
        return record.prompt[0]["content"], record.prompt[1:]
    return "", record.prompt


def _alternates(messages: Messages) -> bool:
    roles = [message["role"] for message in messages]
    return roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def _marked(messages: Messages, split: dict[str, list[MediaFile]]) -> Messages:
    """The messages with a mark for each file at the head of the first."""
    marks = "".join(_MARKS[column] * len(found) for column, found in split.items())
    first = {**messages[0], "content": marks + messages[0]["content"]}
    return [first, *messages[1:]]


def _sharegpt(record: PreferenceRecord, messages: Messages) -> dict[str, Any]:
    return {
        "conversations": [_said(m["role"], m["content"]) for m in messages],
        "chosen": _said("assistant", record.chosen),
        "rejected": _said("assistant", record.rejected),
    }


def _alpaca(record: PreferenceRecord, messages: Messages) -> dict[str, Any]:
    texts = [message["content"] for message in messages]
    return {
        "instruction": texts[-1],
        "input": "",
        "chosen": record.chosen,
        "rejected": record.rejected,
        "history": [list(turn) for turn in zip(texts[:-1:2], texts[1::2], strict=True)],
    }


def _said(role: str, text: str) -> dict[str, str]:
    return {"from": _FROM[role], "value": text}


FORMAT = Format(
    name="llamafactory_ranking",
    title="LLaMA-Factory ranking",
    modalities=("text",),
    containers=("json", "jsonl", "parquet"),
    columns=("chosen", "rejected"),
    fits=is_ranking,
    rank=1,
    read=read,
    write=write,
    anonymous=True,
    options=(_SHAPE, WITH_MEDIA),
    aside=aside,
    ties="Left out: a tie has no chosen answer.",
    cannot="Ties, strength, reasons, votes and models; answers that are pictures or clips; where "
    "in the prompt a file belongs: its mark stands at the head of the first message.",
)
