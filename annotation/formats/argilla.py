"""Argilla records as ``to_list`` gives them, flattened or nested.

::

    {"id": "1", "prompt": "…", "response-1": "…", "response-2": "…",
     "preference.responses": [[{"value": "response-1", "rank": 1}, …]],
     "preference.responses.users": ["…"], "preference.responses.status": ["submitted"],
     "preference.suggestion": …, "preference.suggestion.agent": "…"}
    {"id": "1", "fields": {"prompt": "…", …}, "metadata": {}, "suggestions": {},
     "responses": {"preference": [{"value": …, "user_id": "…", "status": "submitted"}]}}
    {"id": "1", "fields": {…}, "responses": [{"user_id": "…", "status": "submitted",
                                              "values": {"preference": {"value": …}}}]}

The last is what Argilla's server answers, with the ranks that its own ``to_list`` may lose.
Which answer is better is told by a ranking of the answers' fields, by a rating of each of them (a
question whose name ends like the field's), or by a label such as A, B or tie. A rating called
``strength`` says how much better, a text question why. Suggestions are a judge's votes where their
agent is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeGuard

from annotation.formats.base import Format, Option, Writing
from annotation.formats.mapped import WORDS
from annotation.formats.outside import pair, single, user
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import reason_of, sides, steps_of, vote, whole
from steelyard.lib.records import PreferenceRecord

SHAPE = Option("shape", "Shape", (("flat", "flattened"), ("nested", "nested")))
_ANSWER = re.compile(r"^(?:response|answer|output|completion|generation|text)[-_ ]?([0-9]|[a-z])$")
_PROMPTS = ("prompt", "instruction", "question", "input", "query", "context", "chat")
_WORD = {word: name for name, words in WORDS.items() for word in words.split()}
_RANKS = {"a": (1, 2), "b": (2, 1), "tie": (1, 1), "both_bad": (1, 1), "skip": (1, 1)}
_MOST = 9


@dataclass
class _Said:
    """One person's, or agent's, answers to the questions of a record."""

    name: str
    kind: str = "person"
    answers: dict[str, Any] = field(default_factory=dict)


def read(row: Row) -> Iterator[ImportedRecord]:
    fields = _fields(row)
    names = sorted(name for name in fields if _ANSWER.match(name.lower()))
    if not 2 <= len(names) <= _MOST:
        raise row.wrong(
            f"there are {len(names)} fields of answers, such as response-1; there must be 2 to "
            f"{_MOST}. The fields are {', '.join(fields) or 'none'}.",
            "fields" if row.has("fields") else "",
        )
    messages = _prompt(row, fields)
    part = Row(row.number, fields, row.place)
    said = _said(row)
    key = row.id("id")
    for first, second in combinations(names, 2):
        two = [vote for one in said if (vote := _vote(row, one, (first, second), names))]
        yield pair(
            row,
            messages,
            part.text(first),
            part.text(second),
            two,
            columns=(first, second),
            model_a=_model(row, first),
            model_b=_model(row, second),
            key=key if len(names) == 2 or not key else f"{key} {first} {second}",
        )


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    prompt = single(record, writing)
    if prompt is None:
        return
    a, b = sides(record)
    fields = {"prompt": prompt, "response-1": a.text, "response-2": b.text}
    metadata = {
        "response-1-model": a.model,
        "response-2-model": b.model,
        "category": record.category,
    }
    responses = _responses(record, writing)
    if writing.option("shape") == "nested":
        yield {
            "id": record.pair,
            "status": "completed",
            "fields": fields,
            "metadata": metadata,
            "suggestions": {},
            "responses": responses,
        }
        return
    flat: dict[str, Any] = {"id": record.pair, "status": "completed", **fields, **metadata}
    for question, each in responses.items():
        flat[f"{question}.responses"] = [one["value"] for one in each]
        flat[f"{question}.responses.users"] = [one["user_id"] for one in each]
        flat[f"{question}.responses.status"] = [one["status"] for one in each]
    yield flat


def _responses(record: PreferenceRecord, writing: Writing) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"preference": [], "strength": [], "rationale": []}
    for one in record.votes or [whole(record)]:
        if one["outcome"] == "both_bad":
            writing.without("that both are bad, which is written as a tie")
        status = "discarded" if one["outcome"] == "skip" else "submitted"
        who = {"user_id": one["annotator"], "status": status}
        ranks = [
            {"value": f"response-{n}", "rank": rank}
            for n, rank in enumerate(_RANKS[one["outcome"]], 1)
        ]
        found["preference"].append({"value": ranks, **who})
        found["strength"].append({"value": abs(one["strength"]), **who})
        text = reason_of(record, one["annotator"]).get("text", "")
        if text:
            found["rationale"].append({"value": text, **who})
    return found


def _fields(row: Row) -> dict[str, Any]:
    if "fields" not in row.values:
        return {k: v for k, v in row.values.items() if "." not in k and k not in ("id", "status")}
    fields = row.values["fields"]
    if not isinstance(fields, dict):
        raise row.wrong("“fields” must be an object with the texts of the record.", "fields")
    return fields


def _prompt(row: Row, fields: dict[str, Any]) -> Messages:
    column = next((name for name in _PROMPTS if fields.get(name)), "")
    if not column:
        raise row.wrong(
            f"no field is the prompt; it must be called one of {', '.join(_PROMPTS)}.", "prompt"
        )
    part = Row(row.number, fields, row.place)
    if isinstance(fields[column], list):
        return part.conversation(column)
    return user(part.text(column))


def _said(row: Row) -> list[_Said]:
    """Everybody's answers that were submitted."""
    people: dict[str, _Said] = {}
    for question, value, name in [*_nested(row), *_flat(row)]:
        people.setdefault(name, _Said(name)).answers[question] = value
    for question, value, agent in _suggested(row):
        judge = people.setdefault(f"\n{agent}", _Said(agent, "judge"))
        judge.answers[question] = value
    return list(people.values())


def _nested(row: Row) -> Iterator[tuple[str, Any, str]]:
    responses = row.values.get("responses") or {}
    if isinstance(responses, list):
        yield from _served(row)
        return
    if not isinstance(responses, dict):
        raise row.wrong("“responses” must be an object with a list for each question.", "responses")
    for question in responses:
        for one in Row(row.number, responses, row.place).parts(question):
            if one.values.get("status", "submitted") == "submitted":
                name = str(one.values.get("user_id") or "annotator")
                yield question, one.values.get("value"), name


def _served(row: Row) -> Iterator[tuple[str, Any, str]]:
    for one in row.parts("responses"):
        values = one.values.get("values") or {}
        if not isinstance(values, dict):
            raise one.wrong("“values” must be an object with one for each question.", "values")
        if one.values.get("status", "submitted") != "submitted":
            continue
        for question, value in values.items():
            if not isinstance(value, dict):
                raise one.wrong(f"“{question}” must be an object with “value”.", "values")
            yield question, value.get("value"), str(one.values.get("user_id") or "annotator")


def _flat(row: Row) -> Iterator[tuple[str, Any, str]]:
    for column, values in row.values.items():
        if not column.endswith(".responses") or values is None:
            continue
        question = column.removesuffix(".responses")
        users = row.values.get(f"{column}.users") or []
        statuses = row.values.get(f"{column}.status") or ["submitted"] * len(users)
        lists = all(isinstance(each, list) for each in (values, users, statuses))
        if not lists or not len(values) == len(users) == len(statuses):
            raise row.wrong(
                f"“{column}”, “{column}.users” and “{column}.status” must be lists of one length.",
                column,
            )
        for value, name, status in zip(values, users, statuses, strict=True):
            if status == "submitted":
                yield question, value, str(name)


def _suggested(row: Row) -> Iterator[tuple[str, Any, str]]:
    suggestions = row.values.get("suggestions") or {}
    if isinstance(suggestions, list):
        # the server's name no question
        suggestions = {}
    if not isinstance(suggestions, dict):
        raise row.wrong(
            "“suggestions” must be an object with one for each question.", "suggestions"
        )
    for question, one in suggestions.items():
        if isinstance(one, dict) and one.get("agent"):
            yield question, one.get("value"), str(one["agent"])
    for column, value in row.values.items():
        agent = row.values.get(f"{column}.agent")
        if column.endswith(".suggestion") and value is not None and agent:
            yield column.removesuffix(".suggestion"), value, str(agent)


def _vote(row: Row, said: _Said, two: tuple[str, str], names: list[str]) -> ImportedVote | None:
    """What somebody says of two fields; None where no question of theirs compares them."""
    found = _ranked(row, said, two) or _rated(said, two) or _labelled(said, two, names)
    if found is None:
        return None
    outcome, steps = found
    strength = said.answers.get("strength")
    if _is_rating(strength) and strength > 0:
        steps = steps_of(strength)
    texts = [value for value in said.answers.values() if isinstance(value, str)]
    texts = [text for text in texts if text.strip().lower() not in (*_WORD, *names)]
    return vote(
        outcome,
        steps=steps,
        annotator=row.storable("users", said.name, 150),
        kind=said.kind,
        rationale=row.storable("responses", "\n\n".join(texts)),
    )


def _ranked(row: Row, said: _Said, two: tuple[str, str]) -> tuple[str, int] | None:
    for question, value in said.answers.items():
        if not isinstance(value, list) or not value:
            continue
        if all(isinstance(one, str) for one in value):
            if {one.lower() for one in value} & {name.lower() for name in two}:
                raise row.wrong(
                    f"the ranking “{question}” has lost its ranks: it is {value!r:.80}. Take "
                    "the records from Argilla's server (/api/v1/datasets/…/records?include="
                    'responses), which has {"value": "response-1", "rank": 1} for each.',
                    question,
                )
            continue
        ranks = _ranks(row, question, value)
        a, b = (ranks.get(name) for name in two)
        if a is not None and b is not None:
            return ("a" if a < b else "b" if b < a else "tie"), 1
    return None


def _ranks(row: Row, question: str, value: list[Any]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for one in value:
        rank = one.get("rank") if isinstance(one, dict) else None
        if not isinstance(rank, int) or isinstance(rank, bool) or "value" not in one:
            raise row.wrong(
                f"an answer to “{question}” is {one!r:.80}; it must have “value” and a whole "
                "“rank”.",
                question,
            )
        ranks[str(one["value"])] = rank
    return ranks


def _rated(said: _Said, two: tuple[str, str]) -> tuple[str, int] | None:
    a, b = (_rating(said, name) for name in two)
    if a is None or b is None:
        return None
    return ("a" if a > b else "b" if b > a else "tie"), steps_of(abs(a - b))


def _rating(said: _Said, name: str) -> float | None:
    """How somebody rates a field: by the question that ends like it, or like its number."""
    short = _ANSWER.match(name.lower())
    ends = (name.lower(), f"rating-{short[1]}", f"rating_{short[1]}") if short else (name.lower(),)
    for question, value in said.answers.items():
        if question.lower().endswith(ends) and _is_rating(value):
            return value
    return None


def _is_rating(value: Any) -> TypeGuard[float]:
    """Whether it is a number of any sensible scale."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1000


def _labelled(said: _Said, two: tuple[str, str], names: list[str]) -> tuple[str, int] | None:
    for value in said.answers.values():
        if not isinstance(value, str):
            continue
        word = value.strip()
        if word in two:
            return ("a" if word == two[0] else "b"), 1
        if len(names) == 2 and word.lower() in _WORD:
            return _WORD[word.lower()], 1
    return None


def _model(row: Row, name: str) -> str:
    """The model of an answer, from the metadata where our writer, or others, put it."""
    about = row.values.get("metadata") or {}
    about = {**row.values, **about} if isinstance(about, dict) else row.values
    said = about.get(f"{name}-model") or about.get(f"{name}_model")
    return row.storable("metadata", said, 200).strip() if isinstance(said, str) else "unknown"


def _is_argilla(row: Row) -> bool:
    if isinstance(row.values.get("fields"), dict):
        return row.has("responses")
    return any(column.endswith((".responses", ".suggestion")) for column in row.values)


FORMAT = Format(
    name="argilla",
    title="Argilla records",
    modalities=("text",),
    containers=("jsonl", "json"),
    columns=(),
    fits=_is_argilla,
    rank=2,
    read=read,
    write=write,
    options=(SHAPE,),
    ties="Kept, as equal ranks; both bad becomes a tie. A skipped vote is a discarded response.",
    cannot="Whether a person or a judge voted: all become responses; that both are bad; tags, "
    "aspects and evidence; prompts of several messages, which are read, or with pictures or clips. "
    "Drafts and discarded responses are passed over, suggestions as the server lists them too; a "
    "ranking without ranks is refused.",
)
