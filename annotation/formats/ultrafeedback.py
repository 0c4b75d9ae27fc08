"""UltraFeedback binarized: two conversations with the scores that a judge gave.

::

    {"prompt": "…", "prompt_id": "…", "chosen": [{"content", "role"}], "rejected": […],
     "messages": […], "score_chosen": 8.5, "score_rejected": 7.0}
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pyarrow as pa

from annotation.formats.base import TEXT_CONTAINERS, Format, Option, Writing
from annotation.formats.outside import pair, split_shared
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import steps_of, vote
from steelyard.lib.records import PreferenceRecord

_MESSAGES = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
_TIES = Option(
    "ties", "Ties", (("leave_out", "left out"), ("equal", "kept, with the same score twice"))
)


def read(row: Row) -> Iterator[ImportedRecord]:
    messages, a, b = split_shared(row, row.conversation("chosen"), row.conversation("rejected"))
    more = row.real("score_chosen", -1e9, 1e9) - row.real("score_rejected", -1e9, 1e9)
    if more < 0:
        raise row.wrong("“score_chosen” is less than “score_rejected”.", "score_chosen")
    said = vote("a", steps=steps_of(more), kind="judge") if more else vote("tie", kind="judge")
    yield pair(row, messages, a, b, [said])


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    tie = record.outcome == "tie"
    if tie and writing.option("ties") == "leave_out":
        writing.leave_out("a tie has no chosen answer")
        return
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    prompt = next(m["content"] for m in record.prompt if m["role"] == "user")
    head = [_message(m["role"], m["content"]) for m in record.prompt]
    chosen = [*head, _message("assistant", record.chosen)]
    yield {
        "prompt": prompt,
        "prompt_id": sha256(prompt.encode()).hexdigest(),
        "chosen": chosen,
        "rejected": [*head, _message("assistant", record.rejected)],
        "messages": chosen,
        "score_chosen": 0.0 if tie else float(record.strength),
        "score_rejected": 0.0,
    }


def schema(writing: Writing) -> pa.Schema:
    return pa.schema(
        [
            ("prompt", pa.string()),
            ("prompt_id", pa.string()),
            *((name, _MESSAGES) for name in ("chosen", "rejected", "messages")),
            ("score_chosen", pa.float64()),
            ("score_rejected", pa.float64()),
        ]
    )


def _message(role: str, content: str) -> dict[str, str]:
    return {"content": content, "role": role}


FORMAT = Format(
    name="ultrafeedback_binarized",
    title="UltraFeedback binarized",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
    read=read,
    write=write,
    anonymous=True,
    options=(_TIES,),
    schema=schema,
    empty_answers="left_out",
    ties="Read where both scores are the same; when writing left out, or kept so, as chosen.",
    cannot="Scores of single answers: the strength stands as score_chosen beside 0, read back as 1 "
    "to 3 steps; reasons, votes and models; prompts with pictures or clips.",
)
