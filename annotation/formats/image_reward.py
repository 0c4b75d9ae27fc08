"""ImageRewardDB: several pictures of a prompt and a rank for each, 1 the best.

::

    {"id": "006-0", "prompt": "…", "generations": ["a.webp", …], "ranking": [2, 1, 4, 4]}

Ranks may leave numbers out; equal ones are a tie. Each two pictures become a pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from annotation.formats.base import Format, Writing
from annotation.formats.outside import MAX_FILES, as_list
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from annotation.formats.sides import outcome, vote
from annotation.formats.visual import VOTE_CANNOT, asked, both, compared
from steelyard.lib.records import PreferenceRecord

_RANKING = {"a": [1, 2], "b": [2, 1], "tie": [1, 1]}


def read(row: Row) -> Iterator[ImportedRecord]:
    prompt = row.text("prompt")
    pictures = as_list(row, "generations")
    ranks = _ranks(row, len(pictures))
    key = row.id("id")
    for a, b in combinations(range(len(pictures)), 2):
        names = (f"generations[{a}]", f"generations[{b}]")
        two = Row(row.number, {names[0]: pictures[a], names[1]: pictures[b]}, row.place)
        better = "a" if ranks[a] < ranks[b] else "b" if ranks[b] < ranks[a] else "tie"
        yield compared(two, prompt, names, [vote(better)], key=f"{key} {a} {b}" if key else "")


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    prompt = asked(record, writing)
    if prompt is not None:
        yield {
            "id": record.pair,
            "prompt": prompt,
            "generations": list(both(record, writing)),
            "ranking": _RANKING[outcome(record)],
        }


def _ranks(row: Row, n: int) -> list[int]:
    ranks = as_list(row, "ranking")
    if not 2 <= n <= MAX_FILES:
        raise row.wrong(
            f"“generations” has {n} files; it must have 2 to {MAX_FILES}.", "generations"
        )
    if len(ranks) != n:
        raise row.wrong(
            f"“ranking” has {len(ranks)} ranks for {n} pictures; each needs one.", "ranking"
        )
    for rank in ranks:
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise row.wrong(
                f"“ranking” has {rank!r}; a rank is a whole number, 1 for the best.", "ranking"
            )
    return ranks


FORMAT = Format(
    name="image_reward_db",
    title="ImageRewardDB",
    modalities=("image",),
    containers=("json", "jsonl", "parquet"),
    columns=("prompt", "generations", "ranking"),
    read=read,
    write=write,
    ties="Kept, as equal ranks.",
    cannot="How far ranks lie apart: each better one is a step better; who voted, and models; that "
    "both are bad. When writing, each pair is a ranking of two. "
    f"{VOTE_CANNOT}; prompts of several messages or with pictures.",
)
