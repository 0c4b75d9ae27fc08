"""Pairs that come line by line: what is right is stored, what is wrong is told by its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from annotation.formats.pairs_jsonl import read_row
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row as FormatRow
from annotation.models import Pair
from annotation.services.imported_media import find_files
from annotation.services.imported_rows import Row
from annotation.services.importing import import_records
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.web.ndjson import Line

_BATCH = 400


@dataclass(frozen=True)
class Result:
    """What became of one line."""

    line: int
    pair: int | None = None
    created: bool = False
    problem: UserError | None = None


def add_lines(*, project: Project, lines: Iterable[Line], by: User) -> Iterator[Result]:
    """Store pairs (with the votes and right answers that they come with) in batches.

    Each batch is a transaction of its own. A pair is known by its content, so that lines sent
    again, after a connection was lost, change nothing.

    Yields:
        one result a line, in their order.
    """
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        yield from _store(project, batch, by)


def _store(project: Project, batch: list[Line], by: User) -> Iterator[Result]:
    results: dict[int, Result] = {}
    records: dict[int, ImportedRecord] = {}
    for line in batch:
        try:
            records[line.number] = _record(line)
        except UserError as error:
            results[line.number] = Result(line.number, problem=error)
    try:
        results |= _together(project, records, by)
    except UserError:
        # one of them is wrong beside the others, or beside what is here: which, each says alone
        for number, record in records.items():
            try:
                results |= _together(project, {number: record}, by)
            except UserError as error:
                results[number] = Result(number, problem=error)
    for line in batch:
        yield results[line.number]


def _record(line: Line) -> ImportedRecord:
    if line.problem or line.value is None:
        raise line.problem or UserError("This line is empty.")
    (record,) = read_row(FormatRow(line.number, line.value, f"Line {line.number}"))
    return record


def _together(project: Project, records: dict[int, ImportedRecord], by: User) -> dict[int, Result]:
    if not records:
        return {}
    given = list(records.values())
    files = find_files(project=project, records=given, archive=None)
    keys = {number: Row.of(record, files).pair for number, record in records.items()}
    pairs = Pair.objects.filter(project=project, key__in=set(keys.values()))
    before = set(pairs.values_list("key", flat=True))
    import_records(project=project, records=given, by=by)
    found = dict(pairs.values_list("key", "pk"))
    results = {}
    for number, key in keys.items():
        results[number] = Result(number, pair=found[key], created=key not in before)
        before.add(key)  # a second line on the same pair finds it there
    return results
