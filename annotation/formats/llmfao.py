"""Reader of the crowd comparisons by Dmitry Ustalov and llmonitor.com (CC BY 4.0).

A folder with ``pairs-crowd.jsonl``, ``crowd-comparisons.csv``, ``models.jsonl`` (their names) and,
for the AI judges, ``gpt3-crowd-comparisons.csv`` and ``gpt4-crowd-comparisons.csv``.
``left`` is model_x.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from annotation.formats.records import ImportedRecord, ImportedVote
from steelyard.lib.errors import UserError

_OUTCOME = {"left": ("a", -1), "right": ("b", 1), "tie": ("tie", 0)}
_JUDGES = {"gpt3-crowd-comparisons.csv": "GPT-3", "gpt4-crowd-comparisons.csv": "GPT-4"}


def read(folder: Path) -> Iterator[ImportedRecord]:
    """One record a pair, with the crowd's votes and the judges'.

    Raises:
        UserError: a file is missing, or a vote is none of left, right, tie.
    """
    names = {m["id"]: m["name"] for m in _json_lines(folder / "models.jsonl")}
    votes = _votes(folder)
    for number, row in enumerate(_json_lines(folder / "pairs-crowd.jsonl"), 1):
        yield ImportedRecord(
            place=f"pairs-crowd.jsonl, line {number}",
            messages=[{"role": "user", "content": row["text"]}],
            text_a=row["result_x"],
            text_b=row["result_y"],
            model_a=names[row["model_x"]],
            model_b=names[row["model_y"]],
            category=row["type"],
            votes=votes[str(row["id"])],
        )


def _votes(folder: Path) -> dict[str, list[ImportedVote]]:
    votes: dict[str, list[ImportedVote]] = defaultdict(list)
    for row in _csv(folder / "crowd-comparisons.csv"):
        votes[row["id"]].append(_vote(row, f"worker {row['worker']}", "person"))
    for file, judge in _JUDGES.items():
        if (folder / file).exists():
            for row in _csv(folder / file):
                votes[row["id"]].append(_vote(row, judge, "judge"))
    return votes


def _vote(row: dict[str, str], annotator: str, kind: str) -> ImportedVote:
    if row["winner"] not in _OUTCOME:
        raise UserError(
            f"Pair {row['id']}: winner is {row['winner']!r}; it must be left, right or tie."
        )
    outcome, strength = _OUTCOME[row["winner"]]
    return ImportedVote(annotator=annotator, kind=kind, outcome=outcome, strength=strength)


def _open(path: Path) -> Path:
    if not path.exists():
        raise UserError(
            f"{path.parent.name} has no {path.name}; is it the folder of the crowd data?"
        )
    return path


def _json_lines(path: Path) -> Iterator[dict]:
    with _open(path).open() as stream:
        for line in stream:
            yield json.loads(line)


def _csv(path: Path) -> Iterator[dict[str, str]]:
    with _open(path).open(newline="") as stream:
        yield from csv.DictReader(stream)
