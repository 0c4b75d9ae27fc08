"""Arena logs: two models' conversations and who won, as chatbot_arena_conversations (33k) and
arena-human-preference-100k have them.

::

    {"question_id": "…", "model_a": "…", "model_b": "…", "winner": "model_a",
     "judge": "arena_user_1",
     "conversation_a": [{"role", "content"}], "conversation_b": […], "turn": 1, "anony": true,
     "language": "English", "tstamp": 1682351591.1}

The 100k has ``judge_hash`` in place of ``judge``. A conversation of several turns goes on as each
model answered, so all that follows the last question that both
have in common is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotation.formats.base import TEXT_CONTAINERS, UNNAMED, Format, Writing
from annotation.formats.outside import MESSAGES, pair
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row
from annotation.formats.sides import Side, sides, vote, whole
from steelyard.lib.records import PreferenceRecord

OUTCOME = {
    "model_a": "a",
    "leftvote": "a",
    "model_b": "b",
    "rightvote": "b",
    "tie": "tie",
    "tievote": "tie",
    "tie (bothbad)": "both_bad",
    "both_bad": "both_bad",
    "bothbad": "both_bad",
    "bothbad_vote": "both_bad",
}
"""Every spelling that arena logs have."""
WINNER = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "tie (bothbad)"}
TIES = "Kept; a tie and both bad are two things."
CANNOT = (
    "Strength, reasons, tags and evidence; when a vote was given; prompts with pictures or clips. "
    "Skipped votes are left out."
)
_FURTHER = "\n\n---\n\n**{}:**\n\n{}"


def read_33k(row: Row) -> Iterator[ImportedRecord]:
    yield _record(row, "judge")


def read_100k(row: Row) -> Iterator[ImportedRecord]:
    yield _record(row, "judge_hash")


def write_33k(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    yield from _rows(record, writing, "judge", {})


def write_100k(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    more = {"is_code": False, "is_refusal": False}
    yield from _rows(record, writing, "judge_hash", more)


def schema_33k(writing: Writing) -> pa.Schema:
    return _schema("judge", [])


def schema_100k(writing: Writing) -> pa.Schema:
    return _schema("judge_hash", [("is_code", pa.bool_()), ("is_refusal", pa.bool_())])


def outcome_of(row: Row, column: str = "winner") -> str:
    """The outcome, in whichever spelling."""
    return OUTCOME[row.one_of(column, *OUTCOME)]


def part_ways(row: Row, a: Messages, b: Messages) -> tuple[Messages, str, str]:
    """What both conversations begin with, up to the question after which they are different, and
    all that followed on each side.

    Raises:
        RowError: they were asked different things, or nothing was answered.
    """
    differ = (at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    at = min(next(differ, len(a)), len(a) - 1, len(b) - 1)
    while at > 0 and not (a[at - 1]["role"] == "user" and a[at]["role"] == "assistant"):
        at -= 1
    if at < 1 or b[at]["role"] != "assistant":
        raise row.wrong(
            "“conversation_a” and “conversation_b” must begin with the same question and go on "
            "with an answer.",
            "conversation_b",
        )
    return a[:at], _answer(a[at:]), _answer(b[at:])


def conversation(record: PreferenceRecord, side: Side) -> Messages:
    """The prompt and the answer as one conversation."""
    prompt = [dict(message) for message in record.prompt]
    return [*prompt, {"role": "assistant", "content": side.text}]


def turns(record: PreferenceRecord) -> int:
    """How often the user speaks."""
    return sum(message["role"] == "user" for message in record.prompt)


def votes_of(record: PreferenceRecord, writing: Writing) -> list[dict[str, Any]]:
    """The votes that a log of winners can hold, or one of what they came to where there are none;
    none, and the record counted as left out, where the prompt has files."""
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return []
    return [one for one in record.votes or [whole(record)] if one["outcome"] != "skip"]


def kind_of_judge(name: str) -> str:
    """Whether a judge's name is a model's."""
    known = ("gpt-", "claude", "gemini", "llama")
    return "judge" if name.lower().startswith(known) else "person"


def _answer(rest: Messages) -> str:
    first, *more = rest
    return first["content"] + "".join(
        _FURTHER.format(m["role"].capitalize(), m["content"]) for m in more
    )


def _record(row: Row, judge: str) -> ImportedRecord:
    messages, a, b = part_ways(
        row, row.conversation("conversation_a"), row.conversation("conversation_b")
    )
    name = row.name(judge, default=UNNAMED, limit=150)
    return pair(
        row,
        messages,
        a,
        b,
        [_vote(outcome_of(row), name)],
        columns=("conversation_a", "conversation_b"),
        model_a=row.name("model_a", limit=200),
        model_b=row.name("model_b", limit=200),
        key=row.id("question_id"),
    )


def _vote(outcome: str, name: str) -> ImportedVote:
    return vote(outcome, annotator=name, kind=kind_of_judge(name), first="a")


def _rows(
    record: PreferenceRecord, writing: Writing, judge: str, more: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    a, b = sides(record)
    for one in votes_of(record, writing):
        yield {
            "question_id": one["judgment"],
            "model_a": a.model,
            "model_b": b.model,
            "winner": WINNER[one["outcome"]],
            judge: one["annotator"],
            "conversation_a": conversation(record, a),
            "conversation_b": conversation(record, b),
            "turn": turns(record),
            "anony": True,
            "language": "",
            "tstamp": None,
            **more,
        }


def _schema(judge: str, more: list[tuple[str, pa.DataType]]) -> pa.Schema:
    texts = ("question_id", "model_a", "model_b", "winner", judge)
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("conversation_a", MESSAGES),
            ("conversation_b", MESSAGES),
            ("turn", pa.int64()),
            ("anony", pa.bool_()),
            ("language", pa.string()),
            ("tstamp", pa.float64()),
            *more,
        ]
    )


def _format(name: str, title: str, judge: str, **doing: Any) -> Format:
    return Format(
        both_bad=True,
        name=name,
        title=title,
        modalities=("text",),
        containers=TEXT_CONTAINERS,
        columns=("model_a", "model_b", "winner", "conversation_a", "conversation_b", judge),
        empty_answers="left_out",
        ties=TIES,
        cannot=CANNOT,
        **doing,
    )


ARENA_33K = _format(
    "arena_33k",
    "Arena conversations (33k)",
    "judge",
    read=read_33k,
    write=write_33k,
    schema=schema_33k,
)
ARENA_100K = _format(
    "arena_100k",
    "Arena human preference 100k",
    "judge_hash",
    read=read_100k,
    write=write_100k,
    schema=schema_100k,
)
