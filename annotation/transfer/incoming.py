"""Taking in a file of any format: row by row, in batches, in bounded memory.

What is wrong is written down with its row; what was stored is remembered after each batch, so that
a process that is started again goes on behind it. Everything is known by its content, so that the
one batch that may be stored a second time changes nothing.

::

    FOLDER/ errors.jsonl   {"row", "place", "column", "what", "right", "code"} a line
            state.json     how far it is
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from annotation import formats
from annotation.formats import containers, mapped
from annotation.formats.base import Format, Reading
from annotation.formats.packed import Packed, is_packed, open_packed
from annotation.formats.records import ImportedRecord
from annotation.formats.rows import Row, RowError
from annotation.services.imported_checks import Checks
from annotation.services.importing import import_records, plan_for
from annotation.transfer.words import WORDS
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import write_atomically
from steelyard.lib.said import Said
from steelyard.projects.models import Project

MODES = ("all", "good")
"""All or nothing; or the rows that are right."""
BATCH_RECORDS = 4000
BATCH_BYTES = 16 * 2**20
MAX_ERRORS = 10_000
"""After so many the file is given up: it is of another format, or not worth its name."""
_FIRST_PLAN = 2000


@dataclass(frozen=True)
class Asked:
    """What to read how; plain JSON but for the path."""

    path: Path
    name: str
    """What its owner calls the file: it tells CSV from JSON Lines."""
    format: str
    mapping: dict[str, Any] = field(default_factory=dict)
    mode: str = "all"
    annotator: str = ""
    """Who chose, where the file does not say."""
    kind: str = ""
    """person or judge, for that annotator."""
    understood: dict[str, Any] = field(default_factory=dict)
    """Of plain columns, which is what, to be told with what came in."""

    def the_format(self) -> Format:
        if self.mapping:
            return mapped.format_for(mapped.mapping_of(self.mapping))
        return formats.get(self.format)


@dataclass
class Taken:
    """What came in and what did not."""

    rows: int = 0
    """Rows read."""
    records: int = 0
    """Records made of them: prompts with two answers."""
    stored: int = 0
    """Records that are in; those that were there already too."""
    prompts: int = 0
    pairs: int = 0
    judgments: int = 0
    wrong: int = 0
    """Rows that are wrong."""
    left: dict[str, int] = field(default_factory=dict)
    """Rows and votes left out without being wrong, by reason."""
    stored_to_row: int = 0
    """Up to where the file is in."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Stopped(Exception):
    """The reading was asked to stop."""


Tell = Callable[[int, int, str, str], None]
"""Takes what is done, all there is (0: not known), of what (rows; MiB of the file where nobody
knows how many rows there are), and which pass it is: checking or storing."""


class Incoming:
    """One file on its way in.

    Args:
        folder: where errors and state are kept; what an earlier process left there is gone on from.
        tell: takes the progress, after each batch; raises :class:`Stopped` to stop.
    """

    def __init__(
        self, project: Project, asked: Asked, folder: Path, by: User | None, tell: Tell
    ) -> None:
        self.project, self.asked, self.by, self.tell = project, asked, by, tell
        self.format = asked.the_format()
        self.taken = Taken()
        self.total = 0
        self._errors = folder / "errors.jsonl"
        self._state = folder / "state.json"
        self._skip = 0
        self._planned = _FIRST_PLAN

    def run(self) -> Taken:
        """Read, check and store.

        Raises:
            UserError: the file is not of the format or is broken; with mode ``all`` a row is wrong,
                and nothing is stored then.
            Stopped: ``tell`` said so; what is stored so far stands in ``taken``.
        """
        if self.project.modality not in self.format.modalities:
            raise UserError(
                Said(
                    WORDS,
                    "wrong_modality",
                    format=self.format.title,
                    of=" or ".join(self.format.modalities),
                    project=self.project.modality,
                ),
                code="wrong_modality",
                field="format",
            )
        formats.check(self.format, first_rows(self.asked.path, self.asked.name, 1)[0])
        state = self._read_state()
        if self.asked.mode == "all" and not state:
            self._errors.unlink(missing_ok=True)
            self._pass(store=False)
            if self.taken.wrong:
                raise self._refusal()
            # nothing is wrong, so that only the storing is left to do, whatever happens now
            self.total, self.taken = self.taken.rows, Taken()
            self._write_state()
        else:
            self._take_up(state)
        self._pass(store=True)
        if self.taken.stored:
            plan_for(self.taken.stored)
        return self.taken

    def _refusal(self) -> UserError:
        first = self.first_errors(1)[0]
        more = self.taken.wrong - 1
        reason = "; ".join(part for part in (first["what"], first["right"]) if part)
        code = "rows_more_wrong" if more else "row_wrong"
        return UserError(
            Said(WORDS, code, place=first["place"], reason=reason, more=f"{more:,}"),
            code=first["code"],
            field="file",
        )

    def first_errors(self, most: int) -> list[dict[str, Any]]:
        return read_errors(self._errors, most)

    def _take_up(self, state: dict[str, Any]) -> None:
        """Go on behind what an earlier process has stored."""
        self.taken = Taken(**state["taken"]) if state else Taken()
        self.total = state.get("total", 0)
        self._skip = self.taken.records
        size = state.get("errors", 0)
        if self._errors.exists():
            with self._errors.open("r+b") as stream:
                stream.truncate(size)

    def _pass(self, *, store: bool) -> None:
        with self._archive() as archive:
            checks = Checks(self.project, archive)
            left: Counter[str] = Counter()
            reading = Reading(
                annotator=self.asked.annotator,
                kind=self.asked.kind,
                on_error=self._wrong,
                left=left,
            )
            self._met = 0
            batch: list[tuple[int, ImportedRecord]] = []
            size = 0
            for record in self.format.records(self._rows(), reading):
                self._met += 1
                batch.append((self._at, record))
                size += _size_of(record)
                if len(batch) == BATCH_RECORDS or size > BATCH_BYTES:
                    self._batch(batch, checks, archive, left, store)
                    batch, size = [], 0
            self._batch(batch, checks, archive, left, store)

    def _rows(self) -> Iterator[Row]:
        self._at = 0
        self._place = containers.Place()
        found = containers.rows(
            self.asked.path, self.asked.name, on_error=self._wrong, place=self._place
        )
        for row in found:
            self._at = row.number
            yield row

    def _batch(
        self,
        batch: list[tuple[int, ImportedRecord]],
        checks: Checks,
        archive: Packed | None,
        left: Counter[str],
        store: bool,
    ) -> None:
        taken = self.taken
        records = [record for _, record in batch]
        faults = dict(checks.faults(records))
        if batch and self._met <= self._skip:
            self._tell(Said(WORDS, "going_on"))
            return
        for index, error in faults.items():
            number, record = batch[index]
            self._write_error(number, record.place, "", _reason(error, record.place), error.code)
        good = [record for index, record in enumerate(records) if index not in faults]
        if store and good:
            done = import_records(
                project=self.project,
                records=good,
                by=self.by,
                archive=archive,
                looked_at=[checks.rows[index] for index in sorted(checks.rows)],
                tell_database=False,
            )
            taken.prompts += done.prompts
            taken.pairs += done.pairs
            taken.judgments += done.judgments
            taken.stored += len(good)
            taken.stored_to_row = self._at
            self._plan()
        taken.rows, taken.records = max(taken.rows, self._at), self._met
        taken.left = dict(left + checks.left)
        if store:
            self._write_state()
        self._tell(Said(WORDS, "storing" if store else "checking"))

    def _tell(self, doing: str) -> None:
        total = self.total or self._place.rows
        if total or not self._place.size:
            self.tell(self._at, total, "rows", doing)
        else:
            done, size = (-(-count // 2**20) for count in (self._place.at(), self._place.size))
            self.tell(done, size, "MiB", doing)

    def _plan(self) -> None:
        """Tell the database whenever there are four times as many."""
        if self.taken.stored >= self._planned:
            plan_for(self.taken.stored)
            self._planned = 4 * self.taken.stored

    def _wrong(self, error: RowError) -> None:
        if self._met < self._skip:
            return
        self.taken.rows = max(self.taken.rows, error.number)
        self._write_error(error.number or self._at, error.place, error.column, error.reason)

    def _write_error(
        self, row: int, place: str, column: str, reason: str, code: str = "bad_line"
    ) -> None:
        what, _, right = reason.partition("; ")
        line = {
            "row": row,
            "place": place,
            "column": column,
            "what": what,
            "right": right,
            "code": code,
        }
        with self._errors.open("ab") as stream:
            stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self.taken.wrong += 1
        if self.taken.wrong >= MAX_ERRORS:
            raise UserError(
                Said(WORDS, "too_many_errors", most=f"{MAX_ERRORS:,}", format=self.format.title),
                code="too_many_errors",
                field="file",
            )

    @contextmanager
    def _archive(self) -> Iterator[Packed | None]:
        with self.asked.path.open("rb") as stream:
            head = stream.read(512)
        if not is_packed(self.asked.path, head):
            yield None
            return
        with open_packed(self.asked.path) as packed:
            yield packed

    def _read_state(self) -> dict[str, Any]:
        return json.loads(self._state.read_text()) if self._state.exists() else {}

    def _write_state(self) -> None:
        size = self._errors.stat().st_size if self._errors.exists() else 0
        state = {"taken": self.taken.as_dict(), "total": self.total, "errors": size}
        write_atomically(self._state, json.dumps(state).encode())


def first_rows(path: Path, name: str, most: int, broken: list[RowError] | None = None) -> list[Row]:
    """The first rows that are rows, of which there is one at least.

    Args:
        broken: takes what stands before or among them and is no row.

    Raises:
        UserError: there is none; it is no file of rows, or is broken before the last of these.
    """
    errors: list[RowError] = [] if broken is None else broken
    rows = list(islice(containers.rows(path, name, on_error=errors.append), most))
    if not rows:
        raise errors[0]
    return rows


def read_errors(path: Path, most: int) -> list[dict[str, Any]]:
    """The first errors of a file of them."""
    if not path.exists():
        return []
    found = []
    with path.open("rb") as stream:
        for line in stream:
            found.append(json.loads(line))
            if len(found) == most:
                break
    return found


def _reason(error: UserError, place: str) -> str:
    return error.message.removeprefix(f"{place}: ").removeprefix(f"{place}, ")


def _size_of(record: ImportedRecord) -> int:
    texts: Iterable[str] = (record.text_a, record.text_b, *(m["content"] for m in record.messages))
    found = sum(len(one["text"]) for one in (*record.passages_a, *record.passages_b))
    return sum(map(len, texts)) + found + sum(map(len, record.blobs.values()))
