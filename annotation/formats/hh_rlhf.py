"""HH-RLHF: two dialogues as plain text, the same but for the last answer.

::

    {"chosen": "\\n\\nHuman: …\\n\\nAssistant: …", "rejected": "\\n\\nHuman: …\\n\\nAssistant: …"}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.outside import pair, split_shared, won
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import vote
from steelyard.lib.records import PreferenceRecord

_TURN = re.compile(r"\n\n(Human|Assistant):(?: |(?=\n|$))")
_ROLE = {"Human": "user", "Assistant": "assistant"}
_SPEAKER = {role: speaker for speaker, role in _ROLE.items()}


def read(row: Row) -> Iterator[ImportedRecord]:
    chosen, rejected = (_turns(row, column) for column in ("chosen", "rejected"))
    messages, a, b = split_shared(row, chosen, rejected)
    yield pair(row, messages, a, b, [vote("a")])


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if not won(record, writing):
        return
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
    elif any(message["role"] == "system" for message in record.prompt):
        writing.leave_out("it has a system message, for which there is no speaker")
    elif any(_TURN.search(text) for text in _texts(record)):
        writing.leave_out("a text in it has a line that would read as a speaker's")
    else:
        head = "".join(_line(message["role"], message["content"]) for message in record.prompt)
        yield {
            "chosen": head + _line("assistant", record.chosen),
            "rejected": head + _line("assistant", record.rejected),
        }


def is_dialogue(row: Row) -> bool:
    return all(
        isinstance(row.values[column], str) and _TURN.match(row.values[column])
        for column in ("chosen", "rejected")
    )


def _turns(row: Row, column: str) -> Messages:
    parts = _TURN.split(row.text(column))
    if parts[0].strip() or len(parts) < 3:
        raise row.wrong(f"“{column}” must begin with a blank line and “Human: ”.", column)
    return [
        {"role": _ROLE[speaker], "content": text}
        for speaker, text in zip(parts[1::2], parts[2::2], strict=True)
    ]


def _texts(record: PreferenceRecord) -> list[str]:
    return [*(message["content"] for message in record.prompt), record.chosen, record.rejected]


def _line(role: str, text: str) -> str:
    return f"\n\n{_SPEAKER[role]}: {text}"


FORMAT = Format(
    name="hh_rlhf",
    title="HH-RLHF",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("chosen", "rejected"),
    fits=is_dialogue,
    rank=1,
    read=read,
    write=write,
    anonymous=True,
    empty_answers="kept",
    ties="Left out: a tie has no chosen answer.",
    cannot="Ties, strength, reasons, votes and models; system messages; prompts with pictures or "
    "clips.",
)
