"""Potato's pairwise comparisons: an item, who judged it, and the answers by their scheme's name.

::

    {"id": "1", "user_id": "…", "prompt": "…", "response_a": "…", "response_b": "…",
     "annotations": {"pref": {"selection": "A"}}}
    … {"pref": {"scale_value": "-2"}}                     negative means A, as with us
    … {"pref": {"helpfulness": "A", "safety": "tie",
                "justification": "{\\"reasons\\": [], \\"rationale\\": \\"…\\"}"}}

Annotations may be called ``label_annotations``, as Potato writes them; the two answers may be a
list under ``text``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from annotation.formats.base import UNNAMED, Format, Option, Writing
from annotation.formats.mapped import suggest
from annotation.formats.outside import files, pair, single, user
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import aspects_of_one, reason_of, sides, steps_vote, vote, whole
from annotation.formats.visual import both, is_name_of_file, model
from steelyard.lib.records import PreferenceRecord

SHAPE = Option(
    "shape",
    "Shape",
    (("scale", "a scale, which says how much better"), ("selection", "A, B or tie")),
)
_ANNOTATIONS = ("annotations", "label_annotations")
_OUTCOME = {"A": "a", "B": "b", "tie": "tie"}
_STEP = {"A": -1, "B": 1, "tie": 0}
_NO_ASPECTS = ("selection", "scale_value", "justification")
_SELECTION = {"a": "A", "b": "B", "tie": "tie", "both_bad": "tie"}


def read(row: Row) -> Iterator[ImportedRecord]:
    column = _annotations_of(row)
    part, columns = _answers(row)
    votes = []
    for name, said in row.values[column].items():
        scheme = Row(row.number, said, f"{row.place}, “{name}”") if isinstance(said, dict) else None
        if scheme and (found := _vote(row, scheme)):
            votes.append(found)
    about: dict[str, Any] = {
        "model_a": model(row, "model_a"),
        "model_b": model(row, "model_b"),
        "category": row.text("category", default="", limit=100).strip(),
        "key": _key(row),
    }
    if not votes:
        raise row.wrong(
            f"nothing in “{column}” compares A and B; it must have “selection”, “scale_value” or "
            "aspects that are A, B or tie.",
            column,
        )
    if len(votes) > 1:
        raise row.wrong(f"“{column}” has {len(votes)} comparisons; one is a vote.", column)
    prompt = _prompt(row)
    if all(is_name_of_file(part.values[each]) for each in columns):
        (a,), (b,) = (files(part, each)[0] for each in columns)
        yield pair(row, prompt, "", "", votes, media_a=a, media_b=b, **about)
        return
    a, b = (part.text(each) for each in columns)
    yield pair(row, prompt, a, b, votes, columns=columns, **about)


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    prompt = single(record, writing)
    if prompt is None:
        return
    a, b = sides(record)
    first, second = both(record, writing) if a.media else (a.text, b.text)
    aspects = _dimensions(aspects_of_one(record, writing), writing)
    for one in record.votes or [whole(record)]:
        if one["outcome"] == "skip":
            continue
        if one["outcome"] == "both_bad":
            writing.without("that both are bad, which is written as a tie")
        yield {
            "id": record.pair,
            "user_id": one["annotator"],
            "prompt": prompt,
            "response_a": first,
            "response_b": second,
            "model_a": a.model,
            "model_b": b.model,
            "category": record.category,
            "annotations": {"pref": {**aspects, **_pref(record, one, writing)}},
        }


def _dimensions(aspects: dict[str, int], writing: Writing) -> dict[str, str]:
    if any(abs(steps) > 1 for steps in aspects.values()):
        writing.without("how strongly aspects differ")
    if any(name in _NO_ASPECTS for name in aspects):
        writing.without("aspects that are called as Potato calls something else")
    return {
        name: "A" if steps < 0 else "B" if steps > 0 else "tie"
        for name, steps in aspects.items()
        if name not in _NO_ASPECTS
    }


def _pref(record: PreferenceRecord, one: dict[str, Any], writing: Writing) -> dict[str, str]:
    scale = writing.option("shape") == "scale"
    said = (
        {"scale_value": str(one["strength"])}
        if scale
        else {"selection": _SELECTION[one["outcome"]]}
    )
    reason = reason_of(record, one["annotator"])
    if reason:
        why = {"reasons": reason.get("tags", []), "rationale": reason["text"]}
        said["justification"] = json.dumps(why, ensure_ascii=False)
    return said


def _vote(row: Row, scheme: Row) -> ImportedVote | None:
    """A scheme's vote; None where it compares nothing."""
    who = str(row.values.get("user_id") or row.values.get("user") or "") or UNNAMED
    why = _justification(scheme)
    said: dict[str, Any] = {"annotator": row.storable("user_id", who, 150), **why}
    aspects = {
        Row(row.number, {"aspect": name}, scheme.place).name("aspect"): _STEP[
            scheme.one_of(name, *_STEP)
        ]
        for name in scheme.values
        if name not in _NO_ASPECTS
        and str(scheme.values[name]).strip().casefold() in ("a", "b", "tie")
    }
    if scheme.values.get("selection") is not None:
        chosen = _OUTCOME[scheme.one_of("selection", *_OUTCOME)]
        return vote(chosen, aspects=aspects, **said)
    if scheme.values.get("scale_value") is not None:
        steps = scheme.whole("scale_value", -10, 10)
        return steps_vote(max(-3, min(3, steps)), aspects=aspects, **said)
    if not aspects:
        return None
    # what most of the aspects say is the outcome, a tie where neither is ahead
    balance = sum(aspects.values())
    return steps_vote((balance > 0) - (balance < 0), aspects=aspects, **said)


def _justification(scheme: Row) -> dict[str, Any]:
    value = scheme.values.get("justification")
    if value in (None, ""):
        return {}
    try:
        why = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        why = None
    if not isinstance(why, dict):
        raise scheme.wrong(
            "“justification” must be an object with “reasons” and “rationale”, as JSON text.",
            "justification",
        )
    told = Row(scheme.number, why, scheme.place)
    return {"rationale": told.text("rationale", default=""), "tags": told.texts("reasons")}


def _answers(row: Row) -> tuple[Row, tuple[str, str]]:
    """A row with the two answers, and what they are called in it."""
    value = row.values.get("text")
    if isinstance(value, list):
        if len(value) != 2:
            raise row.wrong(f"“text” has {len(value)} answers; a pair has two.", "text")
        return Row(row.number, {"text[0]": value[0], "text[1]": value[1]}, row.place), (
            "text[0]",
            "text[1]",
        )
    found = suggest(row.values)
    columns = (found.get("a", ""), found.get("b", ""))
    if not all(columns):
        columns = (found.get("media_a", ""), found.get("media_b", ""))
    if not all(columns):
        raise row.wrong(
            "there are no two answers; they must be a list under “text”, or be called response_a "
            "and response_b.",
            "text",
        )
    return row, columns


def _prompt(row: Row) -> Messages:
    column = suggest(row.values).get("prompt", "")
    if not column:
        raise row.wrong("there is no column “prompt”; it says what was asked.", "prompt")
    return (
        row.conversation(column) if isinstance(row.values[column], list) else user(row.text(column))
    )


def _annotations_of(row: Row) -> str:
    for column in _ANNOTATIONS:
        if isinstance(row.values.get(column), dict):
            return column
    raise row.wrong("“annotations” must be an object with the answers by scheme.", "annotations")


def _key(row: Row) -> str:
    """Several people judge one item."""
    return f"{row.id('id')} {row.id('user_id') or row.id('user')}".strip() if row.id("id") else ""


def _is_potato(row: Row) -> bool:
    return any(isinstance(row.values.get(column), dict) for column in _ANNOTATIONS)


FORMAT = Format(
    name="potato",
    title="Potato pairwise",
    modalities=("text", "image", "video"),
    containers=("jsonl", "json"),
    columns=("id",),
    fits=_is_potato,
    rank=2,
    read=read,
    write=write,
    options=(SHAPE,),
    ties="Kept; both bad becomes a tie.",
    cannot="Whether a person or a judge voted; that both are bad; how strongly aspects differ, and "
    "aspects where several votes are counted as one, of which a version has only the means; "
    "evidence; prompts of several messages, which are read, or with pictures or clips. Skipped "
    "votes are left out.",
)
