"""Each format of texts reads what others publish in it, to the record, and writes its own to the
byte; what it wrote it reads again as the same preferences.

Under ``golden/<format>/``: ``read.*`` is a file in the shape that the format's makers publish,
``records.json`` what it says, ``written*`` what the records of ``frozen.py`` become.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import pytest

from annotation.formats import FORMATS, check, containers, guess, write_files
from annotation.formats.base import Format, Reading
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row
from steelyard.lib.records import PreferenceRecord
from tests.annotation_formats import frozen

GOLDEN = Path(__file__).parent / "golden"
TEXT = [name for name, each in FORMATS.items() if (GOLDEN / name / "records.json").exists()]
WIN_B, TALK, SYSTEM, TIE, BARE = frozen.RECORDS
ALL = {"win_b": WIN_B, "talk": TALK, "system": SYSTEM, "tie": TIE, "bare": BARE}
WRITTEN = [
    # format, options, what it leaves out of the records of frozen.py
    ("steelyard_pairs", {}, ""),
    ("trl_preference", {}, "tie"),
    ("trl_preference", {"prompt": "implicit"}, "tie"),
    ("trl_preference", {"shape": "standard"}, "tie talk system"),
    ("trl_preference", {"shape": "standard", "prompt": "implicit"}, "tie talk system"),
    ("trl_unpaired", {}, "tie"),
    ("trl_unpaired", {"shape": "standard"}, "tie talk system"),
    ("trl_reward", {}, "tie"),
    ("trl_reward", {"prompt": "explicit", "shape": "standard"}, "tie talk system"),
    ("llamafactory_ranking", {}, "tie"),
    ("llamafactory_ranking", {"shape": "alpaca"}, "tie"),
    ("hh_rlhf", {}, "tie system"),
    ("ultrafeedback_binarized", {}, "tie"),
    ("ultrafeedback_binarized", {"ties": "equal"}, ""),
    ("helpsteer2_preference", {}, "tie system"),
    ("helpsteer3_preference", {}, ""),
    ("oasst_trees", {}, "tie system"),
    ("arena_33k", {}, ""),
    ("arena_55k", {}, "system"),
    ("arena_100k", {}, ""),
    ("arena_140k", {}, ""),
    ("alpaca_eval", {}, "talk system"),
    ("mt_bench", {}, ""),
    ("mapped", {}, ""),
]
Said = tuple[str, str, str, bool]


def ids(case: Any) -> str:
    return "-".join(case.values()) if isinstance(case, dict) else str(case or "nothing")


def golden_input(name: str) -> Path:
    (path,) = (GOLDEN / name).glob("read.*")
    return path


def compact(record: ImportedRecord) -> dict[str, Any]:
    """What a record says, without what it leaves at its default."""
    said = asdict(record)
    for each in fields(record):
        default = each.default if each.default is not MISSING else None
        if said[each.name] in (default, [], {}):
            del said[each.name]
    said["votes"] = [
        [v["annotator"], v["kind"], v["outcome"], v["strength"], v["rationale"]]
        for v in said.get("votes", [])
    ]
    return said


def preference(messages: list[dict[str, str]], a: str, b: str, balance: float) -> Said:
    """What was asked, the better text, the other, and whether it is a tie."""
    better, worse = (a, b) if balance < 0 else (b, a) if balance > 0 else sorted([a, b])
    return (json.dumps(messages), better, worse, balance == 0)


def of_frozen(record: PreferenceRecord) -> Said:
    balance = 0 if record.outcome == "tie" else -1
    return preference(record.prompt, record.chosen, record.rejected, balance)


def of_imported(records: list[ImportedRecord]) -> set[Said]:
    """The preferences that the votes on each pair come to."""
    balance: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        key = (json.dumps(record.messages), record.text_a, record.text_b)
        balance[key] += sum(vote.strength for vote in record.votes)
    return {preference(json.loads(k[0]), k[1], k[2], total) for k, total in balance.items()}


@pytest.mark.parametrize("name", TEXT)
def test_what_others_publish_is_read_to_the_record(name: str) -> None:
    reading = Reading()
    records = FORMATS[name].records(containers.rows(golden_input(name)), reading)
    found = json.loads(json.dumps([compact(record) for record in records]))
    expected = json.loads((GOLDEN / name / "records.json").read_text())
    assert found == expected["records"]
    assert dict(reading.left) == expected.get("left", {})


@pytest.mark.parametrize("name", TEXT)
def test_a_format_is_guessed_from_the_first_row(name: str) -> None:
    row = containers.first_row(golden_input(name))
    assert guess(row)[0].name == name
    check(FORMATS[name], row)


@pytest.mark.parametrize(("name", "options", "out"), WRITTEN, ids=ids)
def test_what_is_written_is_the_same_to_the_byte(
    name: str, options: dict[str, str], out: str, tmp_path: Path
) -> None:
    format = FORMATS[name]
    rows, _ = frozen.written(format, **options)
    container = format.containers[0]
    if container == "parquet":
        container = "jsonl"
    file = "-".join(["written", *options.values()]) + f".{container}"
    write_files.write(rows, tmp_path / file, container)
    assert (tmp_path / file).read_bytes() == (GOLDEN / name / file).read_bytes()


@pytest.mark.parametrize(("name", "options", "out"), WRITTEN, ids=ids)
def test_a_round_trip_says_the_same_and_counts_what_it_leaves_out(
    name: str, options: dict[str, str], out: str, tmp_path: Path
) -> None:
    format = FORMATS[name]
    writing = format.writing(options)
    schema = format.schema(writing) if format.schema else None
    expected = {of_frozen(record) for key, record in ALL.items() if key not in out.split()}
    for container in format.containers:
        writing = format.writing(options)
        path = tmp_path / f"x.{container}"
        write_files.write(format.rows(frozen.RECORDS, writing), path, container, schema=schema)
        assert sum(writing.left.values()) == len(out.split()), writing.left
        assert of_imported(read_back(format, path)) == expected


def read_back(format: Format, path: Path) -> list[ImportedRecord]:
    row: Row = containers.first_row(path)
    check(format, row)
    return list(format.records(containers.rows(path)))


@pytest.mark.parametrize("format", [f for f in FORMATS.values() if f.writes], ids=lambda f: f.name)
def test_every_writer_is_held_by_golden_files(format: Format) -> None:
    assert list((GOLDEN / format.name).glob("written*"))
    assert format.ties
    assert format.cannot
