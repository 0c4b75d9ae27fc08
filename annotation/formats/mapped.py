"""Plain columns of any names: whoever brings the file says which column is what.

A prompt is a text, or messages as JSON text. Written out the columns have our own names::

    prompt,a,b,model_a,model_b,category,outcome,annotator,kind,strength,rationale
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from annotation.formats.base import FLAT_CONTAINERS, UNNAMED, Format, Writing
from annotation.formats.outside import WITH_MEDIA, files, pair, prompt_media, user
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import reason_of, sides, steps_vote, vote, whole
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord

KINDS = ("person", "judge")
OUTCOMES = ("a", "b", "tie", "both_bad", "skip")
WORDS = {
    "a": "a left model_a response_a answer_a output_1 response_1 first chosen leftvote",
    "b": "b right model_b response_b answer_b output_2 response_2 second rejected rightvote",
    "tie": "tie same equal draw both tievote",
    "both_bad": "both_bad bothbad bothbad_vote neither",
    "skip": "skip skipped invalid",
}
"""What an outcome may be called where the mapping says nothing of it."""
_OUTCOME = {word: name for name, words in WORDS.items() for word in words.split()}
_OUTCOME["tie (bothbad)"] = "both_bad"
_USUAL = {
    "prompt": "prompt instruction question input query caption context",
    "a": "a response_a answer_a output_a response_1 response1 output_1 answer_1 left chosen",
    "b": "b response_b answer_b output_b response_2 response2 output_2 answer_2 right rejected",
    "outcome": "outcome winner preference choice label",
    "strength": "strength",
    "annotator": "annotator judge worker rater user user_id",
    "kind": "kind",
    "rationale": "rationale reason justification comment",
    "model_a": "model_a model_1 generator_1 left_model chosen_model",
    "model_b": "model_b model_2 generator_2 right_model rejected_model",
    "category": "category domain dataset",
    "key": "id",
    "media": "media image images",
    "media_a": "media_a image_a video_a path_a",
    "media_b": "media_b image_b video_b path_b",
}


@dataclass(frozen=True)
class Mapping:
    """Which column is what; empty where there is none. Columns of no part are passed over."""

    prompt: str
    """What was asked."""
    a: str = ""
    """The first answer; where files are compared it may be missing."""
    b: str = ""
    """The second answer."""
    outcome: str = ""
    """Which was better, in one of the words of ``words`` or the usual ones."""
    strength: str = ""
    """How strongly, -3 to 3, negative where a is better; alone it says the outcome as well."""
    annotator: str = ""
    kind: str = ""
    """person or judge."""
    rationale: str = ""
    model_a: str = ""
    model_b: str = ""
    category: str = ""
    key: str = ""
    """The row's own id."""
    media: str = ""
    """Files that the prompt is about."""
    media_a: str = ""
    media_b: str = ""
    always: str = ""
    """An outcome that holds for every row, such as a where a is the chosen answer."""
    words: dict[str, str] = field(default_factory=dict)
    """The file's own words for outcomes: ``{"1": "a", "2": "b"}``."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that must be there."""
        named = (getattr(self, name) for name in PARTS)
        return tuple(dict.fromkeys(column for column in named if column))


PARTS = tuple(each.name for each in fields(Mapping) if each.name not in ("always", "words"))
"""The names of the parts that a column can be."""


def mapping_of(said: dict[str, Any], columns: Iterable[str] | None = None) -> Mapping:
    """A mapping from what a form or an API call says.

    Args:
        columns: of the file, where they are known.

    Raises:
        UserError: there is no such part or column, or what is needed is missing.
    """
    known = {each.name for each in fields(Mapping)}
    for name in said:
        if name not in known:
            raise _wrong(f"there is no part “{name}”; it must be one of {', '.join(PARTS)}.", name)
    mapping = Mapping(**{"prompt": "", **said})
    if not mapping.prompt:
        raise _wrong("say which column is the prompt.", "prompt")
    if not (mapping.a and mapping.b) and not (mapping.media_a and mapping.media_b):
        raise _wrong("say which columns are the two answers, or the two files.", "a")
    outcomes = (
        [mapping.always, *mapping.words.values()] if mapping.always else mapping.words.values()
    )
    for one in outcomes:
        if one not in OUTCOMES:
            raise _wrong(
                f"“{one}” is no outcome; it must be one of {', '.join(OUTCOMES)}.", "words"
            )
    there = None if columns is None else set(columns)
    for column in mapping.columns:
        if there is not None and column not in there:
            raise _wrong(f"the file has no column “{column}”.", column)
    return mapping


def suggest(columns: Iterable[str]) -> dict[str, str]:
    """The parts that columns of usual names are likely to be, to begin a mapping with."""
    there = {column.strip().lower(): column for column in columns}
    found: dict[str, str] = {}
    for part, names in _USUAL.items():
        column = next((there[name] for name in names.split() if name in there), "")
        if column and column not in found.values():
            found[part] = column
    if found.get("a", "").lower() == "chosen" and "outcome" not in found:
        found["always"] = "a"
    return found


def in_words(mapping: dict[str, Any]) -> str:
    """A mapping as the commands take one: ``prompt=question a=left``."""
    return " ".join(f"{part}={column}" for part, column in mapping.items() if part != "words")


def format_for(mapping: Mapping) -> Format:
    """The format of files with these columns."""
    return replace(
        FORMAT, columns=mapping.columns, fits=None, read=lambda row: [_record(row, mapping)]
    )


def read(row: Row) -> Iterator[ImportedRecord]:
    """A row whose columns have usual names."""
    if not _usual(row):
        raise row.wrong("its columns have no usual names; say by a mapping which column is what.")
    yield _record(row, _usual_mapping(tuple(row.values)))


@lru_cache(maxsize=64)
def _usual_mapping(columns: tuple[str, ...]) -> Mapping:
    return mapping_of(suggest(columns), columns)


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    media = prompt_media(record, writing)
    if media is None:
        return
    a, b = sides(record)
    pair: dict[str, Any] = {"prompt": _prompt_cell(record.prompt), "a": a.text, "b": b.text}
    if writing.option("media") == "yes":
        pair["media"] = media
    if a.media:
        pair |= {"media_a": writing.media(a.media), "media_b": writing.media(b.media)}
    pair |= {"model_a": a.model, "model_b": b.model, "category": record.category}
    for one in record.votes or [whole(record)]:
        yield {
            **pair,
            "outcome": one["outcome"],
            "annotator": one["annotator"],
            "kind": one["kind"],
            "strength": one["strength"],
            "rationale": reason_of(record, one["annotator"]).get("text", ""),
        }


def _prompt_cell(messages: Messages) -> str:
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return json.dumps(messages, ensure_ascii=False)


def _record(row: Row, mapping: Mapping) -> ImportedRecord:
    names, blobs = files(row, mapping.media) if mapping.media else ([], {})
    shown = {}
    for side in ("media_a", "media_b"):
        column = getattr(mapping, side)
        found, carried = files(row, column) if column else ([], {})
        shown[side] = found[0] if found else ""
        blobs = blobs | carried
    return pair(
        row,
        _messages(row, mapping.prompt),
        _text(row, mapping.a),
        _text(row, mapping.b),
        _votes(row, mapping),
        columns=(mapping.a or mapping.media_a, mapping.b or mapping.media_b),
        model_a=_name(row, mapping.model_a),
        model_b=_name(row, mapping.model_b),
        category=_text(row, mapping.category)[:100].strip(),
        key=_key(row, mapping),
        media=names,
        blobs=blobs,
        **shown,
    )


def _key(row: Row, mapping: Mapping) -> str:
    """The row's id; where annotators are told, several may have judged what has one id."""
    key = row.id(mapping.key)
    return f"{key} {_text(row, mapping.annotator)}".strip() if key else ""


def _messages(row: Row, column: str) -> Messages:
    value = row.values.get(column)
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except ValueError:
            return user(row.text(column))
        return Row(row.number, {column: value}, row.place).conversation(column)
    return row.conversation(column) if isinstance(value, list) else user(row.text(column))


def _text(row: Row, column: str) -> str:
    """What a cell says; a number is a text as well."""
    if not column:
        return ""
    value = row.values.get(column)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return row.text(column, default="")


def _name(row: Row, column: str) -> str:
    return (row.name(column, default="unknown", limit=200) if column else "") or "unknown"


def _votes(row: Row, mapping: Mapping) -> list[ImportedVote]:
    said: dict[str, Any] = {
        "annotator": _text(row, mapping.annotator).strip()[:150] or UNNAMED,
        "kind": row.one_of(mapping.kind, *KINDS) if row.values.get(mapping.kind) else "person",
        "rationale": _text(row, mapping.rationale),
    }
    has_strength = row.values.get(mapping.strength) is not None
    strength = row.whole(mapping.strength, -3, 3) if has_strength else 0
    if mapping.always:
        return [vote(mapping.always, steps=abs(strength) or 1, **said)]
    if row.values.get(mapping.outcome) is None:
        return [steps_vote(strength, **said)] if has_strength else []
    outcome = _outcome(row, mapping)
    if strength and (strength < 0) != (outcome == "a"):
        raise row.wrong(
            f"“{mapping.strength}” is {strength}, but “{mapping.outcome}” says {outcome}; negative "
            "means that a is better.",
            mapping.strength,
        )
    return [vote(outcome, steps=abs(strength) or 1, **said)]


def _outcome(row: Row, mapping: Mapping) -> str:
    value = str(row.values[mapping.outcome]).strip()
    found = mapping.words.get(value) or _OUTCOME.get(value.lower())
    if found is None:
        words = [*mapping.words] or ["a", "b", "tie", "both_bad", "skip"]
        raise row.wrong(
            f"“{mapping.outcome}” is “{value[:60]}”, of which it is not said what it means; known "
            f"are {', '.join(words)}.",
            mapping.outcome,
        )
    return found


def _usual(row: Row) -> bool:
    found = suggest(row.values)
    return "prompt" in found and ("b" in found or "media_b" in found)


def _wrong(message: str, name: str) -> UserError:
    return UserError(f"The mapping: {message}", code="bad_mapping", field=f"column_{name}")


def as_dict(mapping: Mapping) -> dict[str, Any]:
    """The mapping without its empty parts, to be kept and given to :func:`mapping_of` again."""
    return {name: value for name, value in asdict(mapping).items() if value}


FORMAT = Format(
    both_bad=True,
    name="mapped",
    title="Plain columns",
    modalities=("text", "image", "video"),
    containers=FLAT_CONTAINERS,
    columns=(),
    fits=_usual,
    rank=-1,
    read=read,
    write=write,
    options=(WITH_MEDIA,),
    ties="Kept: every vote is a row with its own outcome.",
    cannot="Tags, aspects, evidence and verdicts on parts.",
)
