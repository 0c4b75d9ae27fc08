"""Label Studio's JSON: a task with the annotations that people made of it.

::

    {"id": 1, "data": {"prompt": "…", "left": "…", "right": "…"},
     "annotations": [{"completed_by": {"email": "…"}, "was_cancelled": false, "lead_time": 4.2,
       "result": [{"from_name": "better", "to_name": "better", "type": "pairwise",
                   "value": {"selected": "left"}}]}]}

``Pairwise`` knows left and right alone; a tie is a ``Choices`` tag beside it. A ``Ranker`` of items
(``value: {"ranker": {"rank": [id, …]}}``) becomes a pair of each two. A ``Rating`` says how much
better, a ``TextArea`` why. Written out, ``label_config.xml`` goes along, for which the tasks are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any
from urllib.parse import unquote

from annotation.formats.base import UNNAMED, Format, Writing
from annotation.formats.mapped import WORDS, suggest
from annotation.formats.outside import files, pair, single, user
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import reason_of, sides, vote, whole
from annotation.formats.visual import both, is_name_of_file, model
from steelyard.lib.records import PreferenceRecord

_WORD = {word: name for name, words in WORDS.items() for word in words.split()} | {
    "both bad": "both_bad"
}
_CHOICE = {"tie": "Tie", "both_bad": "Both bad"}
_SELECTED = {"a": "left", "b": "right"}
_MOST = 9
_TAGS = {"text": "Text", "image": "Image", "video": "Video"}
_CONFIG = """\
<View>
  <Text name="prompt" value="$prompt"/>
  <{tag} name="left" value="$left"/>
  <{tag} name="right" value="$right"/>
  <Pairwise name="better" toName="left,right"/>
  <Choices name="tie" toName="prompt"><Choice value="Tie"/><Choice value="Both bad"/></Choices>
  <Rating name="strength" toName="prompt" maxRating="3"/>
  <TextArea name="rationale" toName="prompt"/>
</View>
"""


def read(row: Row) -> Iterator[ImportedRecord]:
    data = row.values["data"]
    if not isinstance(data, dict):
        raise row.wrong("“data” must be an object with what the task shows.", "data")
    part = Row(row.number, data, row.place)
    annotations = [one for one in row.parts("annotations") if not _cancelled(one)]
    rankings = [(one, order) for one in annotations if (order := _ranking(one))]
    if rankings:
        yield from _ranked(row, part, rankings)
        return
    found = suggest(data)
    prompt, sides_of = _prompt(row, part, found), (found.get("a", ""), found.get("b", ""))
    if not all(sides_of):
        sides_of = (found.get("media_a", ""), found.get("media_b", ""))
    if not all(sides_of):
        raise row.wrong(
            f"“data” has {', '.join(data) or 'nothing'}; the two answers must be called left and "
            "right, or response_a and response_b.",
            "data",
        )
    votes = [vote for one in annotations if (vote := _vote(one))]
    yield _two(row, part, prompt, sides_of, votes, key=row.id("id"))


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    prompt = single(record, writing)
    if prompt is None:
        return
    writing.notes["modality"] = record.modality
    a, b = sides(record)
    left, right = both(record, writing) if a.media else (a.text, b.text)
    yield {
        "data": {
            "prompt": prompt,
            "left": left,
            "right": right,
            "left_model": a.model,
            "right_model": b.model,
            "category": record.category,
        },
        "annotations": [_annotation(record, one) for one in record.votes or [whole(record)]],
    }


def aside(file_name: str, writing: Writing) -> dict[str, bytes]:
    """The labelling interface that the tasks are for."""
    tag = _TAGS[writing.notes.get("modality", "text")]
    return {"label_config.xml": _CONFIG.format(tag=tag).encode()}


def _annotation(record: PreferenceRecord, one: dict[str, Any]) -> dict[str, Any]:
    outcome, about = one["outcome"], {"annotator": one["annotator"]}
    result: list[dict[str, Any]] = []

    def say(name: str, kind: str, value: dict[str, Any], to: str = "prompt") -> None:
        result.append(
            {
                "id": f"{name}-{len(result)}",
                "from_name": name,
                "to_name": to,
                "type": kind,
                "value": value,
                "meta": about,
            }
        )

    if outcome in _SELECTED:
        say("better", "pairwise", {"selected": _SELECTED[outcome]}, "better")
    elif outcome in _CHOICE:
        say("tie", "choices", {"choices": [_CHOICE[outcome]]})
    if one["strength"]:
        say("strength", "rating", {"rating": abs(one["strength"])})
    text = reason_of(record, one["annotator"]).get("text", "")
    if text:
        say("rationale", "textarea", {"text": [text]})
    return {"result": result, "was_cancelled": outcome == "skip", "ground_truth": False}


def _cancelled(one: Row) -> bool:
    return one.flag("was_cancelled")


def _results(one: Row, kind: str) -> Iterator[tuple[Row, dict[str, Any]]]:
    for result in one.parts("result"):
        if result.values.get("type") == kind:
            value = result.values.get("value")
            if not isinstance(value, dict):
                raise result.wrong(f"“value” of a {kind} must be an object.", "value")
            yield result, value


def _vote(one: Row) -> ImportedVote | None:
    """An annotation's vote; None where it compares nothing."""
    outcome = _outcome(one)
    if outcome is None:
        return None
    steps = 1
    for result, value in _results(one, "rating"):
        steps = Row(one.number, value, result.place).whole("rating", 0, 100)
    texts: list[str] = []
    for result, value in _results(one, "textarea"):
        said = value.get("text") or []
        said = [said] if isinstance(said, str) else said
        if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
            raise result.wrong("“text” of a textarea must be a list of texts.", "text")
        texts += said
    rationale = one.storable("text", "\n\n".join(texts))
    return vote(
        outcome, steps=min(3, max(1, steps)), annotator=_annotator(one), rationale=rationale
    )


def _outcome(one: Row) -> str | None:
    for result, value in _results(one, "pairwise"):
        selected = Row(one.number, value, result.place).one_of("selected", "left", "right")
        return "a" if selected == "left" else "b"
    for result, value in _results(one, "choices"):
        for word in Row(one.number, value, result.place).texts("choices"):
            if word.strip().lower() in _WORD:
                return _WORD[word.strip().lower()]
    return None


def _annotator(one: Row) -> str:
    """Who a result of ours says voted: completed_by is then whoever imported it; else that."""
    for result in one.parts("result"):
        about = result.values.get("meta")
        if isinstance(about, dict) and isinstance(about.get("annotator"), str):
            return one.storable("meta", about["annotator"], 150)
    by = one.values.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("username") or by.get("id")
    if by is None:
        return UNNAMED
    return one.storable("completed_by", by if isinstance(by, str) else f"user {by}", 150)


def _ranking(one: Row) -> list[str]:
    """The ids of the items, the best first; empty where nothing is ranked."""
    for result, value in _results(one, "ranker"):
        buckets = value.get("ranker")
        if not isinstance(buckets, dict):
            raise result.wrong("“ranker” must be an object with lists of ids.", "ranker")
        named = [name for name in buckets if name != "_"]
        if len(named) != 1:
            raise result.wrong(
                f"“ranker” has the buckets {', '.join(named) or 'none'}; items in several buckets "
                "are sorted by kind, not ranked.",
                "ranker",
            )
        order = buckets[named[0]]
        if not isinstance(order, list):
            raise result.wrong("a bucket of “ranker” must be a list of ids.", "ranker")
        return [str(item) for item in order]
    return []


def _ranked(row: Row, part: Row, rankings: list[tuple[Row, list[str]]]) -> Iterator[ImportedRecord]:
    column = next((k for k, v in part.values.items() if isinstance(v, list)), "items")
    items = {str(one.values.get("id")): one for one in part.parts(column)}
    if not 2 <= len(items) <= _MOST:
        raise row.wrong(
            f"“{column}” has {len(items)} items with an id; 2 to {_MOST} can be ranked.", "data"
        )
    for one, order in rankings:
        unknown = [item for item in order if item not in items]
        if unknown or len(set(order)) < len(order):
            raise one.wrong(
                f"“ranker” has the id “{(unknown or order)[0]}” "
                f"{'which is no item of the task' if unknown else 'or another twice'}.",
                "ranker",
            )
    prompt = _prompt(row, part, suggest(part.values))
    whole_key = row.id("id")
    for a, b in combinations(items, 2):
        cells = {a: _body(items[a]), b: _body(items[b])}
        votes = [
            vote("a" if order.index(a) < order.index(b) else "b", annotator=_annotator(one))
            for one, order in rankings
            if a in order and b in order
        ]
        two = Row(row.number, cells, row.place)
        key = f"{whole_key} {a} {b}" if whole_key else ""
        yield _two(row, two, prompt, (a, b), votes, key=key)


def _body(item: Row) -> Any:
    column = next((c for c in ("body", "text", "html", "image", "video") if item.values.get(c)), "")
    if not column:
        raise item.wrong("an item to rank must have “body”, “text” or “image”.", "body")
    return item.values[column]


def _prompt(row: Row, part: Row, found: dict[str, str]) -> Messages:
    column = found.get("prompt", "")
    if not column:
        raise row.wrong(
            f"“data” has {', '.join(part.values) or 'nothing'}; what was asked must be called "
            "prompt, instruction or question.",
            "data",
        )
    if isinstance(part.values[column], list):
        return part.conversation(column)
    return user(part.text(column))


def _two(
    row: Row,
    part: Row,
    prompt: Messages,
    columns: tuple[str, str],
    votes: list[ImportedVote],
    key: str,
) -> ImportedRecord:
    about: dict[str, Any] = {
        "model_a": model(part, "left_model"),
        "model_b": model(part, "right_model"),
        "category": part.text("category", default="", limit=100).strip(),
        "key": key,
    }
    if all(is_name_of_file(part.values[column]) for column in columns):
        a, b = (_file_name(files(part, column)[0][0]) for column in columns)
        return pair(row, prompt, "", "", votes, media_a=a, media_b=b, **about)
    texts = [part.text(column) for column in columns]
    return pair(row, prompt, texts[0], texts[1], votes, columns=columns, **about)


def _file_name(address: str) -> str:
    """The path that Label Studio serves a local file by, where it is one."""
    return unquote(address.split("?d=", 1)[1]) if "?d=" in address else address


FORMAT = Format(
    both_bad=True,
    name="label_studio",
    title="Label Studio JSON",
    modalities=("text", "image", "video"),
    containers=("json", "jsonl"),
    columns=("data", "annotations"),
    read=read,
    write=write,
    aside=aside,
    ties="Kept, as a choice beside the comparison; a tie and both bad are two things. A skipped "
    "vote is a cancelled annotation, which is passed over when reading.",
    cannot="Whether a person or a judge voted; tags, aspects and evidence; prompts of several "
    "messages, which are read, or with pictures or clips. Who voted stands in the results' meta, "
    "since Label Studio imports no annotators; predictions are not read.",
)
