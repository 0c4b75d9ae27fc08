"""VideoDPO: a folder of clips, ``metadata.json`` that lists them, and ``pair.json`` of pairs.

::

    metadata.json  [{"basic": {"clip_path": "0.mp4", "clip_duration": 2.0},
                     "misc": {"frame_caption": "…"}}]
    pair.json      [{"video1": 0, "video2": 1, "frame_caption": "…", "score": 0.9}]

``video1`` is the better one; numbers count the clips in ``metadata.json`` from 0. Both files are
read from one archive, ``metadata.json`` first, as their names are sorted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from annotation.formats.base import Format, MediaFile, Reading, Writing
from annotation.formats.outside import won
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row, RowError
from annotation.formats.sides import vote
from annotation.formats.visual import VOTE_CANNOT, asked, better_first, compared
from annotation.formats.write_files import beside
from steelyard.lib.records import PreferenceRecord


def gather(rows: Iterable[Row], reading: Reading) -> Iterator[ImportedRecord]:
    """Clips are held by their names, pairs are not."""
    clips: list[tuple[str, str]] = []
    for row in rows:
        try:
            if row.has("basic"):
                clips.append(_clip(row))
                continue
            record = _pair(row, clips)
        except RowError as error:
            if row.has("basic"):
                # later numbers still count this one
                clips.append(("", ""))
            reading.wrong(error)
        else:
            yield record


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if not won(record, writing):
        return
    prompt = asked(record, writing)
    if prompt is None:
        return
    better, other = better_first(record, writing)
    # besides the numbers the files themselves, so that a container takes them along
    yield {
        "video1": _number(better, prompt, writing),
        "video2": _number(other, prompt, writing),
        "frame_caption": prompt,
        "clips": [better, other],
    }


def aside(file_name: str, writing: Writing) -> dict[str, bytes]:
    """``metadata.json`` of the clips that were written."""
    clips = writing.notes.get("clips", {})
    told = ",\n".join(json.dumps(about, ensure_ascii=False) for _, about in clips.values())
    return {"metadata.json": f"[\n{told}\n]\n".encode()}


def _number(file: MediaFile, prompt: str, writing: Writing) -> int:
    """The clip's place in ``metadata.json``; it has one for each prompt that it answers."""
    clips = writing.notes.setdefault("clips", {})
    key = (file.name, prompt)
    if key not in clips:
        basic = {"clip_path": beside(file), "clip_duration": file.duration}
        clips[key] = (len(clips), {"basic": basic, "misc": {"frame_caption": prompt}})
    return int(clips[key][0])


def _clip(row: Row) -> tuple[str, str]:
    basic, misc = (row.values.get(key) for key in ("basic", "misc"))
    if not isinstance(basic, dict):
        raise row.wrong("“basic” must be an object with “clip_path”.", "basic")
    path = Row(row.number, basic, row.place).name("clip_path", limit=1000)
    said = misc.get("frame_caption") if isinstance(misc, dict) else None
    said = said[0] if isinstance(said, list) and said else said
    return path, said if isinstance(said, str) else ""


def _pair(row: Row, clips: list[tuple[str, str]]) -> ImportedRecord:
    found = []
    for column in ("video1", "video2"):
        if column not in row.values:
            raise row.wrong(
                f"there is no column “{column}”; a pair needs video1, video2 and frame_caption.",
                column,
            )
        number = row.whole(column, 0, 10**9)
        if number >= len(clips) or not clips[number][0]:
            raise row.wrong(
                f"“{column}” is {number}, but metadata.json has {len(clips)} clips, counted from "
                "0; bring both files in in one archive.",
                column,
            )
        found.append(clips[number])
    (first, caption), (second, _) = found
    prompt = row.text("frame_caption", default=caption)
    two = Row(row.number, {"video1": first, "video2": second}, row.place)
    return compared(two, prompt, ("video1", "video2"), [vote("a")])


def _is_videodpo(row: Row) -> bool:
    return row.has("basic", "misc") or row.has("video1", "video2")


FORMAT = Format(
    name="videodpo",
    title="VideoDPO",
    modalities=("video",),
    containers=("json",),
    columns=(),
    fits=_is_videodpo,
    rank=2,
    gather=gather,
    write=write,
    aside=aside,
    ties="Left out: video1 is the better one.",
    cannot=f"Ties, votes and models; the score of a pair, which is not read. {VOTE_CANNOT}; "
    "prompts of several messages or with pictures or clips.",
)
