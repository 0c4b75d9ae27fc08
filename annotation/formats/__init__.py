"""Readers and writers of outside formats: pure, one module each, listed in :data:`FORMATS`."""

from __future__ import annotations

from annotation.formats import (
    alpaca_eval,
    arena,
    arena_55k,
    arena_140k,
    argilla,
    genai_bench,
    helpsteer2,
    helpsteer3,
    hh_rlhf,
    image_reward,
    label_studio,
    llamafactory,
    mapped,
    mt_bench,
    oasst,
    pairs_jsonl,
    pick_a_pic,
    potato,
    query_rewrites,
    trl_preference,
    trl_reward,
    trl_unpaired,
    ultrafeedback,
    unified_reward,
    version_rows,
    videoalign,
    videodpo,
)
from annotation.formats.base import Format
from annotation.formats.rows import Row
from steelyard.lib.errors import UserError

_TEXT: tuple[Format, ...] = (
    pairs_jsonl.FORMAT,
    version_rows.FORMAT,
    trl_preference.FORMAT,
    trl_unpaired.FORMAT,
    trl_reward.FORMAT,
    llamafactory.FORMAT,
    hh_rlhf.FORMAT,
    ultrafeedback.FORMAT,
    helpsteer2.FORMAT,
    helpsteer3.FORMAT,
    oasst.OASST_TREES,
    oasst.OASST_MESSAGES,
    arena.ARENA_33K,
    arena_55k.FORMAT,
    arena.ARENA_100K,
    arena_140k.FORMAT,
    alpaca_eval.FORMAT,
    mt_bench.FORMAT,
    query_rewrites.FORMAT,
    mapped.FORMAT,
)
_MEDIA: tuple[Format, ...] = (
    pick_a_pic.FORMAT,
    image_reward.FORMAT,
    genai_bench.IMAGE,
    unified_reward.IMAGE,
    videoalign.FORMAT,
    videodpo.FORMAT,
    genai_bench.VIDEO,
    unified_reward.VIDEO,
)
_TOOLS: tuple[Format, ...] = (argilla.FORMAT, label_studio.FORMAT, potato.FORMAT)
FORMATS: dict[str, Format] = {each.name: each for each in (*_TEXT, *_MEDIA, *_TOOLS)}


def get(name: str) -> Format:
    """The format of that name.

    Raises:
        UserError: there is none.
    """
    if name not in FORMATS:
        raise UserError(
            f"There is no format “{name}”; it must be one of {', '.join(FORMATS)}.",
            code="no_such_format",
            field="format",
        )
    return FORMATS[name]


def guess(row: Row) -> list[Format]:
    """The formats that a row may be of, the likeliest first: the more of its columns a format
    names, the likelier."""
    fitting = [each for each in FORMATS.values() if each.matches(row)]
    return sorted(fitting, key=lambda each: (-each.rank, -len(each.columns)))


def check(format: Format, row: Row) -> None:
    """Look at a first row before a file is read as a format.

    Raises:
        RowError: it is not of that format; the message says which columns are missing and which
            formats fit.
    """
    if format.matches(row):
        return
    missing = [column for column in format.columns if column not in row.values]
    fitting = [each.title for each in guess(row)]
    there = ", ".join(f"“{column}”" for column in list(row.values)[:12])
    said = (
        f"it has no {', '.join(f'“{column}”' for column in missing)}"
        if missing
        else "what its columns hold is of another shape"
    )
    advice = (
        f"It looks like {', or '.join(fitting[:3])}."
        if fitting
        else "No format has these columns; say by a mapping which column is what."
    )
    raise row.wrong(
        f"this is not {format.title}: {said}. The columns are {there}. {advice}",
        missing[0] if missing else "",
    )
