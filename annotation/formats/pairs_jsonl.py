"""Reader of our own simple format: one pair a line, with any votes it comes with.

::

    {"prompt": "…" or [{"role", "content"}], "a": "…", "b": "…", "model_a": "…", "model_b": "…",
     "category": "…", "outcome": "a", "annotator": "…", "kind": "person", "strength": -2,
     "rationale": "…", "tags": ["…"]}

Only ``prompt``, ``a`` and ``b`` must be there. Several votes on one pair are several lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from annotation.formats.jsonl import Line, lines
from annotation.formats.records import ImportedRecord, ImportedVote

KEYS = ("prompt", "a", "b", "model_a", "model_b", "category")
VOTE_KEYS = ("outcome", "annotator", "kind", "strength", "rationale", "tags")
EXAMPLE = """\
{"prompt": "Why is the sky blue?", "a": "Air scatters blue light most.", "b": "It is the sea.", \
"model_a": "small", "model_b": "large", "category": "science"}
{"prompt": "What is 7 times 8?", "a": "54", "b": "56", "model_a": "small", "model_b": "large", \
"outcome": "b", "annotator": "worker 17"}
"""
OUTCOMES = ("a", "b", "tie", "both_bad", "skip")
KINDS = ("person", "judge")
_SIGN = {"a": -1, "b": 1}


def read(data: bytes) -> Iterator[ImportedRecord]:
    """One record a line.

    Raises:
        UserError: with the line and the key that is wrong, and what would be right.
    """
    for line in lines(data):
        yield _record(line)


def _record(line: Line) -> ImportedRecord:
    line.only(*KEYS, *VOTE_KEYS)
    record = ImportedRecord(
        place=line.place,
        messages=line.messages("prompt"),
        text_a=line.text("a"),
        text_b=line.text("b"),
        model_a=line.name("model_a", default="unknown", limit=200),
        model_b=line.name("model_b", default="unknown", limit=200),
        category=line.name("category", default=""),
        votes=_votes(line),
    )
    if (record.text_a, record.model_a) == (record.text_b, record.model_b):
        raise line.wrong("“a” and “b” are the same text by the same model; a pair needs two.")
    return record


def _votes(line: Line) -> list[ImportedVote]:
    if line.values.get("outcome") is None:
        stray = [key for key in VOTE_KEYS if line.values.get(key) is not None]
        if stray:
            raise line.wrong(f"“{stray[0]}” belongs to a vote, but there is no “outcome”.")
        return []
    outcome = line.text("outcome")
    if outcome not in OUTCOMES:
        raise line.wrong(f"“outcome” is “{outcome}”; it must be one of {', '.join(OUTCOMES)}.")
    kind = line.text("kind", default="person")
    if kind not in KINDS:
        raise line.wrong(f"“kind” is “{kind}”; it must be person or judge.")
    return [
        ImportedVote(
            annotator=line.name("annotator", limit=150),
            kind=kind,
            outcome=outcome,
            strength=_strength(line, outcome),
            rationale=line.text("rationale", default=""),
            tags=line.texts("tags"),
        )
    ]


def _strength(line: Line, outcome: str) -> int:
    strength, sign = line.number_in("strength", -3, 3), _SIGN.get(outcome, 0)
    if strength and strength * sign <= 0:
        right = {-1: "negative", 1: "positive", 0: "0"}[sign]
        raise line.wrong(
            f"“strength” is {strength}, but with outcome {outcome} it must be {right}."
        )
    return strength or sign
