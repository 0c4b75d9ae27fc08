"""VideoAlign's VideoReward: two clips of a prompt, compared by quality, motion and alignment.

::

    path_A,path_B,A_model,B_model,prompt,VQ,MQ,TA,Overall,fps_A,num_frames_A,fps_B,num_frames_B

Each of VQ, MQ, TA and Overall is A, B, same, or invalid. The training file has no Overall: what
most of the three say is then the outcome, and a tie where neither is ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import FLAT_CONTAINERS, Format, MediaFile, Option, Writing
from annotation.formats.columns import file_field
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import outcome, sides, vote
from annotation.formats.visual import asked, both, compared, model
from steelyard.lib.records import PreferenceRecord

ASPECTS = {"VQ": "visual quality", "MQ": "motion quality", "TA": "text alignment"}
"""What each stands for, which is what the aspect is called with us."""
UNSAID = Option(
    "unsaid",
    "Aspects that nobody compared",
    (("invalid", "“invalid”, which trainers pass over"), ("overall", "as the whole was judged")),
)
_SAID = {"a": "A", "b": "B", "tie": "same", "both_bad": "same"}
_STEPS = {"A": -1, "B": 1, "same": 0}


def read(row: Row) -> Iterator[ImportedRecord]:
    columns = {column: _verdict(row, column) for column in ("VQ", "MQ", "TA")}
    overall = _verdict(row, "Overall") if row.values.get("Overall") else None
    steps = {ASPECTS[name]: _STEPS[said] for name, said in columns.items() if said in _STEPS}
    balance = _STEPS.get(overall or "", sum(steps.values()))
    better = "a" if balance < 0 else "b" if balance > 0 else "tie"
    if overall == "invalid" or (overall is None and not steps):
        better = "skip"
    yield compared(
        row,
        row.text("prompt"),
        ("path_A", "path_B"),
        [vote(better, aspects=steps if better != "skip" else {})],
        model_a=model(row, "A_model"),
        model_b=model(row, "B_model"),
    )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    prompt = asked(record, writing)
    if prompt is None:
        return
    a, b = sides(record)
    first, second = both(record, writing)
    overall = _SAID[outcome(record)]
    yield {
        "path_A": first,
        "path_B": second,
        "A_model": a.model,
        "B_model": b.model,
        "prompt": prompt,
        **{name: _aspect(record, writing, name, overall) for name in ASPECTS},
        "Overall": overall,
        **_length(first, "A"),
        **_length(second, "B"),
    }


def schema(writing: Writing) -> pa.Schema:
    texts = ("A_model", "B_model", "prompt", *ASPECTS, "Overall")
    return pa.schema(
        [
            *(file_field(name, "Video") for name in ("path_A", "path_B")),
            *(pa.field(name, pa.string()) for name in texts),
            *(
                pa.field(f"{what}_{side}", kind)
                for side in "AB"
                for what, kind in (("fps", pa.float64()), ("num_frames", pa.int64()))
            ),
        ]
    )


def _verdict(row: Row, column: str) -> str:
    return row.one_of(column, "A", "B", "same", "invalid")


def _aspect(record: PreferenceRecord, writing: Writing, name: str, overall: str) -> str:
    said = next(
        (v for k, v in record.aspects.items() if k.casefold() in (ASPECTS[name], name.casefold())),
        None,
    )
    if said is None:
        return overall if writing.option("unsaid") == "overall" else "invalid"
    return "A" if said < 0 else "B" if said > 0 else "same"


def _length(file: MediaFile, side: str) -> dict[str, Any]:
    """Frames a second and frames, null where they are not known."""
    rate, seconds = file.frame_rate, file.duration
    frames = round(rate * seconds) if rate and seconds else None
    return {f"fps_{side}": rate, f"num_frames_{side}": frames}


FORMAT = Format(
    name="videoalign",
    title="VideoAlign (VideoReward)",
    modalities=("video",),
    containers=FLAT_CONTAINERS,
    columns=("path_A", "path_B", "prompt", "VQ", "MQ", "TA"),
    read=read,
    write=write,
    schema=schema,
    options=(UNSAID,),
    ties="Kept, as same; both bad becomes same. An invalid row is read as a skipped vote.",
    cannot="Who voted: a row a pair, with what the votes came to; how strongly; aspects besides "
    "visual quality, motion quality and text alignment; scores of single clips (MOS); reasons, "
    "tags and evidence; prompts of several messages or with pictures or clips.",
)
