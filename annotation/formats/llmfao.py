"""Reader of the crowd comparisons by Dmitry Ustalov and llmonitor.com (CC BY 4.0: name them
wherever the data are shown).

A folder with ``pairs-crowd.jsonl``, ``crowd-comparisons.csv``, ``models.jsonl`` (their names) and,
for the AI judges, ``gpt3-crowd-comparisons.csv`` and ``gpt4-crowd-comparisons.csv``; and perhaps
``pairs-crowd-training.jsonl``, pairs with known answers, and ``crowd-instruction.md``, what the
crowd was told. ``left`` is model_x, for everybody who judged.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotation.formats.records import ImportedRecord, ImportedVote, Known
from steelyard.lib.errors import UserError

ATTRIBUTION = "Crowd comparisons by Dmitry Ustalov and llmonitor.com, CC BY 4.0"
PAIRS, CROWD, MODELS = "pairs-crowd.jsonl", "crowd-comparisons.csv", "models.jsonl"
TRAINING, INSTRUCTION = "pairs-crowd-training.jsonl", "crowd-instruction.md"
_JUDGES = {"gpt3-crowd-comparisons.csv": "gpt-3.5", "gpt4-crowd-comparisons.csv": "gpt-4"}
_OUTCOME = {"left": ("a", -1), "right": ("b", 1), "tie": ("tie", 0)}


def read(folder: Path) -> Iterator[ImportedRecord]:
    """One record a pair, with the crowd's votes and the judges'.

    Raises:
        UserError: a file or a column is missing, a line is no JSON, a vote is none of left,
            right, tie or is about an unknown pair, or a pair names an unknown model.
    """
    votes = _votes(folder)
    for record, row in _records(folder, PAIRS, "type"):
        yield replace(record, category=row["type"], votes=votes.pop(str(row["id"]), []))
    if votes:
        raise _wrong(CROWD, f"there are votes on pair {min(votes)}, which is not in {PAIRS}.")


def read_all(folder: Path) -> Iterator[ImportedRecord]:
    """The pairs of :func:`read`, then those of :func:`read_training`."""
    yield from read(folder)
    yield from read_training(folder)


def read_training(folder: Path) -> Iterator[ImportedRecord]:
    """Pairs with known answers, for the training round; none where the folder has no such file.

    Raises:
        UserError: as :func:`read`.
    """
    if not (folder / TRAINING).exists():
        return
    for record, row in _records(folder, TRAINING, "golden", "reason"):
        if row["golden"] not in _OUTCOME:
            raise _wrong(
                record.place, f"golden is {row['golden']!r}; it must be left, right or tie."
            )
        known = Known(_OUTCOME[row["golden"]][0], row["reason"])
        yield replace(record, known=known, training=True)


def guidelines(folder: Path) -> str:
    """What the crowd was told, in Markdown; empty where the folder does not say."""
    path = folder / INSTRUCTION
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _records(
    folder: Path, file: str, *more: str
) -> Iterator[tuple[ImportedRecord, dict[str, Any]]]:
    """The pairs of a file without votes, each with its row."""
    names = {row["id"]: row["name"] for _, row in _json_lines(folder / MODELS, "id", "name")}
    needed = ("id", "text", "model_x", "result_x", "model_y", "result_y", *more)
    for place, row in _json_lines(folder / file, *needed):
        for side in ("model_x", "model_y"):
            if row[side] not in names:
                raise _wrong(place, f"{side} {row[side]!r} is not in {MODELS}.")
        record = ImportedRecord(
            place=place,
            messages=[{"role": "user", "content": row["text"]}],
            text_a=row["result_x"],
            text_b=row["result_y"],
            model_a=names[row["model_x"]],
            model_b=names[row["model_y"]],
        )
        yield record, row


def _votes(folder: Path) -> dict[str, list[ImportedVote]]:
    votes: dict[str, list[ImportedVote]] = defaultdict(list)
    for place, row in _csv(folder / CROWD, "id", "worker", "winner"):
        votes[row["id"]].append(_vote(place, row, f"worker {row['worker']}", "person"))
    for file, judge in _JUDGES.items():
        if (folder / file).exists():
            for place, row in _csv(folder / file, "id", "winner"):
                votes[row["id"]].append(_vote(place, row, judge, "judge"))
    return votes


def _vote(place: str, row: dict[str, str], annotator: str, kind: str) -> ImportedVote:
    if row["winner"] not in _OUTCOME:
        raise _wrong(place, f"winner is {row['winner']!r}; it must be left, right or tie.")
    outcome, strength = _OUTCOME[row["winner"]]
    return ImportedVote(
        annotator=annotator, kind=kind, outcome=outcome, strength=strength, first="a"
    )


def _wrong(place: str, message: str) -> UserError:
    return UserError(f"{place}: {message}", code="bad_line")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(
            f"There is no {path.name} in {path.parent}; is it the folder of the crowd comparisons? "
            f"It must hold {PAIRS}, {CROWD} and {MODELS}.",
            code="no_such_file",
        )
    return path


def _json_lines(path: Path, *keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with _existing(path).open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            place = f"{path.name}, line {number}"
            try:
                row = json.loads(line)
            except ValueError:
                raise _wrong(place, "this is not JSON; each line must be one object.") from None
            missing = [key for key in keys if not isinstance(row, dict) or row.get(key) is None]
            if missing:
                raise _wrong(place, f"there is no “{missing[0]}”; needed are {', '.join(keys)}.")
            yield place, row


def _csv(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    with _existing(path).open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in columns if name not in (reader.fieldnames or [])]
        if missing:
            raise _wrong(path.name, f"there is no column “{missing[0]}”.")
        for row in reader:
            yield f"{path.name}, line {reader.line_num}", row
