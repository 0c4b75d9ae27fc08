"""Rewrites of a conversation's last question, with what a search found for each and the answer.

::

    {"prompt": "…" or [{"role", "content"}], "answer": "…", "category": "…",
     "rewrites": [{"text": "…", "model": "…", "passages": [{"text": "…", "score": 12.3}]}]}

A row becomes the pairs of each two of its 2 to 9 rewrites, without votes: which of them is better,
the probability of the answer says (``answer_probability`` among the scorers). Passages may be left
out of the file and be looked for afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from annotation.formats.base import TEXT_CONTAINERS, Format, Reading
from annotation.formats.outside import UNKNOWN
from annotation.formats.records import ImportedRecord, Passages
from annotation.formats.rows import Row, RowError

MOST_REWRITES = 9
MOST_PASSAGES = 20
LONGEST_PASSAGE = 20_000
_BOUND = 1e9


def gather(rows: Iterable[Row], reading: Reading) -> Iterator[ImportedRecord]:
    for row in rows:
        try:
            found = _rewrites(row)
            if len(found) < 2:
                reading.leave_out("all rewrites of the question are the same")
                continue
            yield from _pairs(row, found)
        except RowError as error:
            reading.wrong(error)


def _pairs(row: Row, found: list[tuple[str, str, Passages]]) -> list[ImportedRecord]:
    messages = row.messages("prompt")
    answer = row.text("answer")
    if not answer.strip():
        raise row.wrong("“answer” is blank; it is what the rewrites are measured by.", "answer")
    category = row.name("category", default="")
    return [
        ImportedRecord(
            place=row.place,
            messages=messages,
            text_a=a,
            text_b=b,
            model_a=model_a,
            model_b=model_b,
            category=category,
            reference_answer=answer,
            passages_a=passages_a,
            passages_b=passages_b,
        )
        for (a, model_a, passages_a), (b, model_b, passages_b) in combinations(found, 2)
    ]


def _rewrites(row: Row) -> list[tuple[str, str, Passages]]:
    """Text, model and passages of each that differs from those before it."""
    for column in FORMAT.columns:
        if column not in row.values:
            raise row.wrong(
                f"there is no column “{column}”; {FORMAT.title} needs {', '.join(FORMAT.columns)}.",
                column,
            )
    parts = row.parts("rewrites")
    if not 2 <= len(parts) <= MOST_REWRITES:
        raise row.wrong(
            f"“rewrites” has {len(parts)}; there must be 2 to {MOST_REWRITES}.", "rewrites"
        )
    found: dict[tuple[str, str], Passages] = {}
    for part in parts:
        text, model = part.text("text"), part.name("model", default=UNKNOWN, limit=200)
        if not text.strip():
            raise part.wrong("“text” is blank; a rewrite says something.", "text")
        found.setdefault((text, model), _passages(part))
    return [(text, model, passages) for (text, model), passages in found.items()]


def _passages(part: Row) -> Passages:
    given = part.parts("passages")
    if len(given) > MOST_PASSAGES:
        raise part.wrong(f"“passages” has {len(given)}; {MOST_PASSAGES} are the most.", "passages")
    found: Passages = []
    for one in given:
        text = one.text("text", limit=LONGEST_PASSAGE)
        if not text.strip():
            raise one.wrong("“text” is blank; a passage says something.", "text")
        found.append({"text": text, "score": one.real("score", -_BOUND, _BOUND)})
    return found


FORMAT = Format(
    name="query_rewrites",
    title="Query rewrites",
    modalities=("text",),
    containers=TEXT_CONTAINERS,
    columns=("prompt", "answer", "rewrites"),
    gather=gather,
    ties="None: it has no votes.",
    cannot="Votes. Read alone.",
)
