"""Whatever stands in a column, a reader reads it or refuses the row; nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotation.formats import FORMATS, containers, guess
from annotation.formats.base import Reading
from annotation.formats.rows import Row, RowError
from tests.annotation_formats import frozen

GOLDEN = Path(__file__).parent / "golden"
ODD: list[Any] = [
    None,
    True,
    7,
    -1,
    float("nan"),
    float("inf"),
    10**400,
    "",
    " ",
    "x",
    "\x00",
    "\ud800",
    "[",
    "[1]",
    "[null]",
    '[{"role": 1}]',
    b"\xff",
    [],
    [None],
    [[]],
    [["a"]],
    [7],
    ["x"],
    {},
    {"a": 1},
    [{}],
    [{"role": "user"}],
    [{"role": "user", "content": None}],
    [{"role": "assistant", "content": [None]}],
    [{"role": "user", "content": [{"type": "image", "image": 7}]}],
    [{"from": None, "value": 1}],
    {"bytes": None, "path": None},
    {"message_id": 1, "replies": [7]},
]


def changed(value: Any) -> Iterator[Any]:
    """The value with each part of it in turn taken for something odd."""
    yield from ODD
    if isinstance(value, dict):
        for key in value:
            yield {other: value[other] for other in value if other != key}
            for part in changed(value[key]):
                yield {**value, key: part}
    if isinstance(value, list) and value:
        for part in changed(value[-1]):
            yield [*value[:-1], part]


@pytest.mark.parametrize("name", sorted(d.name for d in GOLDEN.iterdir() if d.name in FORMATS))
def test_odd_values_are_read_or_refused(name: str) -> None:
    found = list(GOLDEN.joinpath(name).glob("read.*"))
    if not found:
        pytest.skip("it is read from several files")
    rows = list(containers.rows(found[0]))[:2]
    refused: list[str] = []
    for row in rows:
        for values in changed(row.values):
            if not isinstance(values, dict):
                continue
            odd = Row(1, values, "Line 1")
            guess(odd)
            try:
                for record in FORMATS[name].records([odd], Reading()):
                    json.dumps(record.messages).encode()
                    assert all(isinstance(vote.strength, int) for vote in record.votes)
                    assert isinstance(record.key + record.category, str)
            except RowError as error:
                refused.append(error.place)
    assert len(refused) > 20
    assert all(place.startswith("Line 1") for place in refused)


def test_two_bad_answers_are_written_where_a_format_can_say_so() -> None:
    bad = replace(frozen.WIN_B, outcome="both_bad", strength=0.0)
    unpaired = FORMATS["trl_unpaired"]
    labels = [row["label"] for row in unpaired.rows([bad], unpaired.writing())]
    assert labels == [False, False]
    for name in ("trl_preference", "hh_rlhf", "llamafactory_ranking", "helpsteer2_preference"):
        writing = FORMATS[name].writing()
        assert list(FORMATS[name].rows([bad], writing)) == []
        assert sum(writing.left.values()) == 1
