"""OpenAssistant's trees of messages, in which people ranked the replies to one message.

::

    {"message_tree_id": "…", "prompt": {"message_id", "parent_id": null, "text", "role": "prompter",
     "replies": [{"message_id", "parent_id", "text", "role": "assistant", "rank": 0, "replies": []},
     …], "events": {"ranking": [{"ranked_message_ids": […], "user_id": "…"}]}}}        trees
    {"message_id", "parent_id", "message_tree_id", "text", "role", "rank"}              messages

The best reply has rank 0. Every two ranked replies become a pair, with a vote of each ranking that
the tree tells (both bad where it is called not rankable), or else one from the ranks.
Messages of one tree stand one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import Any

from annotation.formats.base import UNNAMED, Format, Reading, Writing
from annotation.formats.outside import UNKNOWN, pair, won
from annotation.formats.records import ImportedRecord, ImportedVote, Messages
from annotation.formats.rows import Row, RowError, kind_of
from annotation.formats.sides import vote
from steelyard.lib.records import PreferenceRecord

MAX_MESSAGES = 10_000
_ROLE = {"prompter": "user", "assistant": "assistant"}
_PARTED = "; write the whole tree again, each message below the one that it answers."


@dataclass
class _Node:
    row: Row
    id: str
    parent: str
    role: str
    text: str
    replies: list[_Node] = field(default_factory=list)

    @property
    def rank(self) -> int | None:
        rank = self.row.values.get("rank")
        if self.row.values.get("deleted") or rank is None or rank != rank:
            return None
        return self.row.whole("rank", 0, MAX_MESSAGES)

    @property
    def model(self) -> str:
        return self.row.name("model_name", default=UNKNOWN, limit=200)


def read_tree(row: Row) -> Iterator[ImportedRecord]:
    """The pairs of one tree.

    Raises:
        RowError: a message is there twice, or says another parent than the one it stands below.
    """
    prompt = row.values["prompt"]
    if not isinstance(prompt, dict):
        said = f"“prompt” is {kind_of(prompt)}; it must be the first message of the tree."
        raise row.wrong(said, "prompt")
    root = Row(row.number, prompt, row.place)
    nodes: dict[str, _Node] = {}
    waiting = [(root, "")]
    while waiting:
        message, parent = waiting.pop()
        node = _node(message)
        if node.id in nodes:
            raise row.wrong(
                f"message {node.id} is there twice, so this is no tree{_PARTED}", "prompt"
            )
        if node.parent != parent:
            said = f"says that it answers {node.parent or 'none'}"
            raise row.wrong(
                f"message {node.id} {said} but stands below {parent or 'none'}{_PARTED}", "prompt"
            )
        nodes[node.id] = node
        waiting += [
            (Row(row.number, reply.values, row.place), node.id)
            for reply in message.parts("replies")
        ]
    yield from _expanded(row, _joined(row, nodes))


def gather_messages(rows: Iterable[Row], reading: Reading) -> Iterator[ImportedRecord]:
    """The pairs of trees that are told a message a row."""
    for _, group in groupby(rows, lambda row: str(row.values.get("message_tree_id"))):
        nodes: dict[str, _Node] = {}
        first: Row | None = None
        try:
            for row in group:
                first = first or row
                node = _node(row)
                if node.id in nodes:
                    raise row.wrong(f"message {node.id} is there twice in its tree.")
                if len(nodes) >= MAX_MESSAGES:
                    raise row.wrong(f"this tree has more than {MAX_MESSAGES:,} messages.")
                nodes[node.id] = node
            if first is not None:
                yield from list(_expanded(first, _joined(first, nodes)))
        except RowError as error:
            reading.wrong(error)


def write(record: PreferenceRecord, writing: Writing) -> Iterator[dict[str, Any]]:
    """A tree with the two answers as the replies to its last message."""
    if not won(record, writing):
        return
    if record.prompt_media:
        writing.leave_out("its prompt is about pictures or clips")
        return
    roles = [message["role"] for message in record.prompt]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        writing.leave_out("the user and the assistant do not take turns in its prompt")
        return
    yield {
        "message_tree_id": f"{record.pair}-0",
        "tree_state": "ready_for_export",
        "prompt": _tree(record, 0),
    }


def _node(message: Row) -> _Node:
    role = message.one_of("role", *_ROLE)
    parent = message.values.get("parent_id")
    return _Node(
        message,
        message.name("message_id"),
        "" if parent is None else message.name("parent_id"),
        _ROLE[role],
        message.text("text"),
    )


def _joined(row: Row, nodes: dict[str, _Node]) -> list[_Node]:
    """The messages, each after the one that it answers, whose replies they have become.

    Raises:
        RowError: one answers a message that is not there, or they answer each other in a circle.
    """
    roots = []
    for node in nodes.values():
        if not node.parent:
            roots.append(node)
        elif node.parent not in nodes:
            raise row.wrong(
                f"message {node.id} answers {node.parent}, which is not in its tree{_PARTED}",
                "parent_id",
            )
        else:
            nodes[node.parent].replies.append(node)
    order, waiting = [], list(roots)
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += reversed(node.replies)
    if len(order) < len(nodes):
        lost = next(node for node in nodes.values() if node not in order)
        raise row.wrong(f"message {lost.id} answers itself in a circle{_PARTED}", "parent_id")
    return order


def _expanded(row: Row, order: list[_Node]) -> Iterator[ImportedRecord]:
    """A pair of each two ranked answers to one message."""
    asked: dict[str, Messages] = {}
    rankings = _told_rankings(order)
    for node in order:
        before = asked.get(node.parent, [])
        asked[node.id] = [*before, {"role": node.role, "content": node.text}]
        ranked = [reply for reply in node.replies if reply.rank is not None]
        if node.role != "user" or len(ranked) < 2:
            continue
        for a, b in combinations(sorted(ranked, key=lambda reply: reply.rank or 0), 2):
            if (a.text, a.model) != (b.text, b.model):
                yield pair(
                    row,
                    asked[node.id],
                    a.text,
                    b.text,
                    _votes(rankings, a, b),
                    columns=(a.id, b.id),
                    model_a=a.model,
                    model_b=b.model,
                    category=node.row.text("lang", default=""),
                    key=f"{a.id} {b.id}",
                )


def _told_rankings(order: list[_Node]) -> dict[tuple[str, ...], bool]:
    """Who ranked which messages, the best first, and whether all of them were called flawed."""
    found: dict[tuple[str, ...], bool] = {}
    for node in order:
        events = node.row.values.get("events")
        told = events.get("ranking") if isinstance(events, dict) else None
        for number, ranking in enumerate(told if isinstance(told, list) else [], 1):
            ids = ranking.get("ranked_message_ids") if isinstance(ranking, dict) else None
            if isinstance(ids, list):
                who = ranking.get("user_id") or f"annotator {number}"
                found[(str(who), *map(str, ids))] = bool(ranking.get("not_rankable"))
    return found


def _votes(rankings: dict[tuple[str, ...], bool], a: _Node, b: _Node) -> list[ImportedVote]:
    votes = []
    for (who, *ids), flawed in rankings.items():
        if a.id in ids and b.id in ids:
            outcome = "both_bad" if flawed else _better(ids.index(a.id), ids.index(b.id))
            votes.append(vote(outcome, annotator=who))
    return votes or [vote(_better(a.rank or 0, b.rank or 0), annotator=UNNAMED)]


def _better(a: int, b: int) -> str:
    return "a" if a < b else "b" if b < a else "tie"


def _tree(record: PreferenceRecord, at: int) -> dict[str, Any]:
    """The message at that place of the prompt, with all that follows below it."""
    message = record.prompt[at]
    here = _message(record, at, at - 1, message["role"], message["content"])
    if at + 1 < len(record.prompt):
        return {**here, "replies": [_tree(record, at + 1)]}
    answers = [
        {
            **_message(record, at + 1 + rank, at, "assistant", text),
            "rank": rank,
            "model_name": model,
        }
        for rank, (text, model) in enumerate(
            [(record.chosen, record.chosen_model), (record.rejected, record.rejected_model)]
        )
    ]
    ids = [answer["message_id"] for answer in answers]
    return {**here, "replies": answers, "events": {"ranking": _rankings(record, ids)}}


def _rankings(record: PreferenceRecord, ids: list[str]) -> list[dict[str, Any]]:
    rankings = []
    for one in record.votes:
        if one["outcome"] in ("a", "b", "both_bad"):
            first = one["outcome"] in (record.chosen_side, "both_bad")
            rankings.append(
                {
                    "type": "ranking",
                    "ranking": [0, 1] if first else [1, 0],
                    "ranked_message_ids": ids if first else ids[::-1],
                    "not_rankable": one["outcome"] == "both_bad",
                    "user_id": one["annotator"],
                }
            )
    return rankings


def _message(
    record: PreferenceRecord, at: int, parent: int, role: str, text: str
) -> dict[str, Any]:
    return {
        "message_id": f"{record.pair}-{at}",
        "parent_id": None if parent < 0 else f"{record.pair}-{parent}",
        "text": text,
        "role": {"user": "prompter"}.get(role, role),
        "replies": [],
    }


_CANNOT = (
    "Ties among votes, strength, reasons, tags and evidence; system messages; prompts with "
    "pictures or clips. When writing, each pair is a tree of its own."
)
OASST_TREES = Format(
    name="oasst_trees",
    title="OpenAssistant trees",
    modalities=("text",),
    containers=("jsonl", "json"),
    columns=("message_tree_id", "prompt"),
    fits=lambda row: isinstance(row.values["prompt"], dict),
    read=read_tree,
    write=write,
    ties="Left out: a rank is above another.",
    cannot=_CANNOT,
)
OASST_MESSAGES = Format(
    name="oasst_messages",
    title="OpenAssistant messages",
    modalities=("text",),
    containers=("parquet", "jsonl", "json"),
    columns=("message_id", "parent_id", "message_tree_id", "text", "role", "rank"),
    gather=gather_messages,
    ties="Read where two ranks are the same.",
    cannot="Read alone; messages of one tree must stand one after another.",
)
