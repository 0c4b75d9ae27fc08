"""Our own simple format, in and out: one pair a line, with any votes it comes with.

::

    {"prompt": "…" or [{"role", "content"}], "a": "…", "b": "…", "model_a": "…", "model_b": "…",
     "category": "…", "reference_answer": "…",
     "outcome": "a", "annotator": "…", "kind": "person", "strength": -2,
     "rationale": "…", "tags": ["…"], "aspects": {"style": 1}, "first": "a",
     "media": ["…"], "media_a": "…", "media_b": "…",
     "known": {"outcome": "a", "reason": "…"}, "training": true}

Only ``prompt``, ``a`` and ``b`` must be there, or ``media_a`` and ``media_b`` where pictures or
videos are compared. ``first`` is the side that was shown first. Several votes on one pair are
several lines. A file is named by its SHA-256, or by its name in the archive that the lines come in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from annotation.formats.base import TEXT_CONTAINERS, Format, Writing
from annotation.formats.jsonl import Line, lines
from annotation.formats.outside import files
from annotation.formats.records import ImportedRecord, ImportedVote, Known
from annotation.formats.sides import aspects_of_one, reason_of, sides, whole
from steelyard.lib.records import PreferenceRecord

KEYS = ("prompt", "a", "b", "model_a", "model_b", "category", "reference_answer")
MEDIA_KEYS = ("media", "media_a", "media_b")
TRAINING_KEYS = ("known", "training")
VOTE_KEYS = ("outcome", "annotator", "kind", "strength", "rationale", "tags", "aspects", "first")
EXAMPLE = """\
{"prompt": "Why is the sky blue?", "a": "Air scatters blue light most.", "b": "It is the sea.", \
"model_a": "small", "model_b": "large", "category": "science"}
{"prompt": "What is 7 times 8?", "a": "54", "b": "56", "model_a": "small", "model_b": "large", \
"outcome": "b", "annotator": "worker 17"}
"""
MEDIA_EXAMPLE = """\
{"prompt": "A red kite", "media_a": "kites/1.png", "media_b": "kites/2.png", \
"model_a": "small", "model_b": "large"}
{"prompt": "Make it blue", "media": ["kites/1.png"], "media_a": "kites/3.png", \
"media_b": "kites/4.png", "known": {"outcome": "a", "reason": "b is green."}, "training": true}
"""
MAX_MEDIA = 16
MAX_ASPECTS = 50
OUTCOMES = ("a", "b", "tie", "both_bad", "skip")
KINDS = ("person", "judge")
_NESTED = ("prompt", "tags", "aspects", "known")
_SIGN = {"a": -1, "b": 1}


def read(data: bytes) -> Iterator[ImportedRecord]:
    """One record a line.

    Raises:
        UserError: with the line and the key that is wrong, and what would be right.
    """
    for line in lines(data):
        yield _record(line)


def read_row(row: Line) -> Iterator[ImportedRecord]:
    """The pair of one row of any container; columns that are null are as if they were not there.

    Raises:
        RowError: a column is wrong.
    """
    there = {key: value for key, value in row.values.items() if value is not None}
    blobs: dict[str, bytes] = {}
    for key in MEDIA_KEYS:
        names, carried = files(row, key)
        blobs |= carried
        if names:
            there[key] = names if key == "media" else names[0]
    for key in _NESTED:
        there[key] = _parsed(there[key]) if key in there else None
    if isinstance(there.get("strength"), str):
        there["strength"] = row.whole("strength", -3, 3)
    there = {key: value for key, value in there.items() if value is not None}
    record = _record(Line(row.number, there, row.place))
    yield replace(record, blobs=blobs) if blobs else record


def _parsed(value: Any) -> Any:
    """What a cell says that holds JSON as a text, as in CSV; any other text is itself."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[{", '["', '{"', "[]")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def is_ours(row: Line) -> bool:
    """Whether it has two sides, and no column that is not ours."""
    ours = {*KEYS, *VOTE_KEYS, *MEDIA_KEYS, *TRAINING_KEYS}
    return set(row.values) <= ours and (row.has("a", "b") or row.has("media_a", "media_b"))


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    """One row a vote; a record without votes is one row with what it came to."""
    a, b = sides(record)
    pair: dict[str, Any] = {
        "prompt": record.prompt,
        "a": a.text,
        "b": b.text,
        "model_a": a.model,
        "model_b": b.model,
        "category": record.category,
    }
    if record.reference_answer:
        pair["reference_answer"] = record.reference_answer
    if record.prompt_media:
        pair["media"] = [writing.media(sha256) for sha256 in record.prompt_media]
    if a.media:
        pair |= {"media_a": writing.media(a.media), "media_b": writing.media(b.media)}
    aspects = aspects_of_one(record, writing)
    if record.segments:
        writing.without("verdicts on parts")
    if any(rationale.get("evidence") for rationale in record.rationales):
        writing.without("evidence")
    for vote in record.votes or [whole(record)]:
        said = reason_of(record, vote["annotator"])
        yield {
            **pair,
            "outcome": vote["outcome"],
            "annotator": vote["annotator"],
            "kind": vote["kind"],
            "strength": vote["strength"],
            "rationale": said.get("text", ""),
            "tags": said.get("tags", []),
            **({"aspects": aspects} if aspects else {}),
        }


def _record(line: Line) -> ImportedRecord:
    line.only(*KEYS, *VOTE_KEYS, *MEDIA_KEYS, *TRAINING_KEYS)
    media_a, media_b = (line.name(key, default="", limit=1000) for key in ("media_a", "media_b"))
    if bool(media_a) != bool(media_b):
        raise line.wrong("“media_a” and “media_b” go together; give both or neither.")
    needed = None if not media_a else ""
    record = ImportedRecord(
        place=line.place,
        messages=line.messages("prompt"),
        text_a=line.text("a", default=needed),
        text_b=line.text("b", default=needed),
        model_a=line.name("model_a", default="unknown", limit=200),
        model_b=line.name("model_b", default="unknown", limit=200),
        category=line.name("category", default=""),
        votes=_votes(line),
        media=line.names("media", most=MAX_MEDIA),
        media_a=media_a,
        media_b=media_b,
        known=_known(line),
        training=line.flag("training"),
        reference_answer=line.text("reference_answer", default=""),
    )
    sides = [
        (record.text_a, record.media_a, record.model_a),
        (record.text_b, record.media_b, record.model_b),
    ]
    if sides[0] == sides[1]:
        what = "file" if media_a else "text"
        raise line.wrong(f"“a” and “b” are the same {what} by the same model; a pair needs two.")
    _check_training(line, record)
    return record


def _known(line: Line) -> Known | None:
    """The right answer that a line may say."""
    said = line.part("known", "outcome", "reason")
    if said is None:
        return None
    outcome = said.text("outcome")
    if outcome not in OUTCOMES[:-1]:
        right = ", ".join(OUTCOMES[:-1])
        raise line.wrong(f"the outcome of “known” is “{outcome}”; it must be one of {right}.")
    return Known(outcome, said.text("reason", default="", limit=5000))


def _check_training(line: Line, record: ImportedRecord) -> None:
    if not record.training:
        return
    if record.known is None:
        raise line.wrong(
            'a pair for training needs its right answer: “known”: {"outcome": "a", "reason": "…"}.'
        )
    if record.votes:
        raise line.wrong("a pair for training takes no votes; leave “outcome” out.")


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
            aspects=_aspects(line),
            first=_first(line),
        )
    ]


def _first(line: Line) -> str:
    """Which side the vote's annotator was shown first."""
    first = line.text("first", default="")
    if first not in ("", "a", "b"):
        raise line.wrong(f"“first” is “{first}”; it must be a or b: the side shown first.")
    return first


def _aspects(line: Line) -> dict[str, int]:
    """Parquet names the aspects of other rows too, with nothing said of them."""
    value = line.values.get("aspects") or {}
    if value == {}:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_ASPECTS:
        raise line.wrong(
            f"“aspects” must be an object of at most {MAX_ASPECTS} names with a strength each, "
            'such as {"style": -1}.',
            "aspects",
        )
    said = {name: steps for name, steps in value.items() if steps is not None}
    part = Line(line.number, said, line.place)
    return {
        Line(line.number, {"aspects": name}, line.place).name("aspects"): part.number_in(
            name, -3, 3
        )
        for name in said
    }


def _strength(line: Line, outcome: str) -> int:
    strength, sign = line.number_in("strength", -3, 3), _SIGN.get(outcome, 0)
    if strength and strength * sign <= 0:
        right = {-1: "negative", 1: "positive", 0: "0"}[sign]
        raise line.wrong(
            f"“strength” is {strength}, but with outcome {outcome} it must be {right}."
        )
    return strength or sign


FORMAT = Format(
    both_bad=True,
    name="steelyard_pairs",
    title="Steelyard pairs",
    modalities=("text", "image", "video"),
    containers=TEXT_CONTAINERS,
    columns=("prompt",),
    fits=is_ours,
    read=read_row,
    write=write,
    ties="Kept: every vote is a row with its own outcome.",
    cannot="Evidence and verdicts on parts; aspects where several votes are counted as one, of "
    "which a version has only the means.",
)
