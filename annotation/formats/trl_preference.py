"""TRL's preference data, for DPO and its kin and for reward models.

::

    {"prompt": "…", "chosen": "…", "rejected": "…"}                      standard
    {"prompt": [{"role", "content"}], "chosen": […], "rejected": […]}    conversational
    {"chosen": …, "rejected": …}                                         with an implicit prompt

With ``images`` where prompts are about pictures. https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import TEXT_CONTAINERS, Format, Option, Writing
from annotation.formats.outside import (
    MESSAGES,
    WITH_MEDIA,
    answer,
    files,
    only_images,
    pair,
    prompt_media,
    shared,
    single,
    split_shared,
    user,
    with_images,
    won,
)
from annotation.formats.records import ImportedRecord, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import vote
from steelyard.lib.records import PreferenceRecord

SHAPE = Option(
    "shape",
    "Shape",
    (("conversational", "lists of messages"), ("standard", "plain texts")),
)
EXPLICIT = ("explicit", "in a column of its own")
IMPLICIT = ("implicit", "at the head of both answers")
PROMPT = Option("prompt", "Prompt", (EXPLICIT, IMPLICIT))
OPTIONS = (SHAPE, PROMPT, WITH_MEDIA)
_NO_WINNER = {"tie", "both_bad", "skip"}
TIES = "Left out: a tie has no chosen answer."
CANNOT = (
    "Ties, strength, reasons, votes and models; answers that are pictures or clips, since TRL "
    "shows the same images with both; prompts with clips; in the standard shape, prompts of "
    "several messages; an implicit prompt of plain text is found again only as what both texts "
    "begin with."
)


def read(row: Row) -> Iterator[ImportedRecord]:
    yield read_pair(row)


def read_pair(row: Row, *, steps: int = 1) -> ImportedRecord:
    """The pair of a row of any of the four shapes, with a vote for what was chosen.

    Raises:
        RowError: it is none, or another column says that neither answer won.
    """
    said = row.values.get("outcome")
    if isinstance(said, str) and said.strip().lower() in _NO_WINNER:
        raise row.wrong(
            f"“outcome” says {said.strip()}, so that “chosen” is not better than “rejected”; leave "
            "such rows out, or bring them in as Steelyard pairs.",
            "outcome",
        )
    messages, a, b = _parts(row)
    names, blobs = files(row, "images" if "images" in row.values else "image")
    return pair(row, messages, a, b, [vote("a", steps=steps)], media=names, blobs=blobs)


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if not won(record, writing):
        return
    media = prompt_media(record, writing)
    if media is None or not only_images(media, writing):
        return
    row = _plain(record, writing) if is_standard(writing) else _chat(record, writing)
    if row is None:
        return
    yield {**row, "images": media} if writing.option("media") == "yes" else row


def schema(writing: Writing) -> pa.Schema:
    kind = pa.string() if is_standard(writing) else MESSAGES
    names = ["chosen", "rejected"]
    if writing.option("prompt") == "explicit":
        names.insert(0, "prompt")
    return with_images([(name, kind) for name in names], writing)


def is_standard(writing: Writing) -> bool:
    return writing.option("shape") == "standard"


def is_pair(row: Row) -> bool:
    """Whether both answers are texts, or both lists."""
    if row.has("instruction") or row.has("conversations"):
        return False
    kinds = {type(row.values["chosen"]), type(row.values["rejected"])}
    return kinds in ({str}, {list})


def _parts(row: Row) -> tuple[Messages, str, str]:
    if isinstance(row.values["chosen"], list):
        chosen, rejected = row.conversation("chosen"), row.conversation("rejected")
        if row.values.get("prompt") is None or chosen[0]["role"] != "assistant":
            return split_shared(row, chosen, rejected)
        return (
            _prompt(row),
            answer(row, "chosen", chosen),
            answer(row, "rejected", rejected),
        )
    a, b = row.text("chosen"), row.text("rejected")
    if row.values.get("prompt") is not None:
        return _prompt(row), a, b
    head = shared(a, b)
    if not head.strip():
        raise row.wrong(
            "there is no “prompt”, and “chosen” and “rejected” do not begin with the same text.",
            "prompt",
        )
    return user(head.strip()), a[len(head) :], b[len(head) :]


def _prompt(row: Row) -> Messages:
    if isinstance(row.values["prompt"], list):
        return row.conversation("prompt")
    return user(row.text("prompt"))


def _plain(record: PreferenceRecord, writing: Writing) -> dict[str, Any] | None:
    prompt = single(record, writing)
    if prompt is None:
        return None
    if writing.option("prompt") == "explicit":
        return {"prompt": prompt, "chosen": record.chosen, "rejected": record.rejected}
    head = f"{prompt}\n\n"
    return {"chosen": head + record.chosen, "rejected": head + record.rejected}


def _chat(record: PreferenceRecord, writing: Writing) -> dict[str, Any]:
    prompt = [dict(message) for message in record.prompt]
    chosen, rejected = ([_said(text)] for text in (record.chosen, record.rejected))
    if writing.option("prompt") == "explicit":
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {"chosen": prompt + chosen, "rejected": prompt + rejected}


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


FORMAT = Format(
    name="trl_preference",
    title="TRL preference",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("chosen", "rejected"),
    fits=is_pair,
    read=read,
    write=write,
    anonymous=True,
    options=OPTIONS,
    schema=schema,
    ties=TIES,
    cannot=CANNOT,
)
