"""What a format is: how its rows become records, and frozen records its rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from annotation.formats.records import ImportedRecord, ImportedVote
from annotation.formats.rows import Row, RowError
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import canonical_json
from steelyard.lib.records import PreferenceRecord

_NUMBERED = re.compile(r"annotator \d+")
UNNAMED = "imported labels"
"""The annotator of a file that says which answer was chosen, but not by whom."""
TEXT_CONTAINERS = ("jsonl", "parquet", "json")
"""For formats with nested columns, which CSV cannot hold."""
FLAT_CONTAINERS = ("csv", "jsonl", "parquet", "json")


@dataclass(frozen=True)
class Option:
    """A choice that a writer leaves to whoever exports."""

    name: str
    title: str
    choices: tuple[tuple[str, str], ...]
    """(value, what it means); the first is the default."""

    @property
    def default(self) -> str:
        return self.choices[0][0]


@dataclass(frozen=True)
class MediaFile:
    """A picture or clip as a value of a written row; the container puts it into the file (Parquet)
    or beside it, and writes the name in its place."""

    path: Path
    mime: str
    name: str
    """``<sha256>.png``; where media lie beside the rows, under ``media/``."""
    duration: float | None = None
    """Seconds of a clip, where they are known."""
    frame_rate: float | None = None
    """Frames a second of a clip, where they are known."""


@dataclass
class Writing:
    """What a writer is given besides the record, and where it counts what it leaves out."""

    options: dict[str, str] = field(default_factory=dict)
    find_media: Callable[[str], MediaFile] | None = None
    left: Counter[str] = field(default_factory=Counter)
    """How many records were left out, by reason."""
    lost: Counter[str] = field(default_factory=Counter)
    """How many records were written without something, by what it is."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What a writer keeps from row to row, for the files that go with what it writes."""
    _defaults: dict[str, str] = field(default_factory=dict)

    def option(self, name: str) -> str:
        """The choice made, or the format's default."""
        return self.options.get(name) or self._defaults[name]

    def media(self, sha256: str) -> MediaFile:
        """The file of that hash.

        Raises:
            UserError: it is not at hand.
        """
        if self.find_media is None:
            raise UserError(
                f"The file {sha256[:12]}… is not at hand; export to a container with media.",
                code="no_media",
            )
        return self.find_media(sha256)

    def leave_out(self, reason: str) -> None:
        """Count a record that is not written."""
        self.left[reason] += 1

    def next_number(self) -> int:
        """0, 1, 2 and so on: the number of a row, for formats that count them."""
        self.notes["number"] = self.notes.get("number", -1) + 1
        return int(self.notes["number"])

    def without(self, what: str) -> None:
        """Count a record that is written without something."""
        self.lost[what] += 1


@dataclass
class Reading:
    """What a reading is given besides the rows, and where it counts what it leaves out."""

    annotator: str = ""
    """Who chose, where the file does not say; empty for :data:`UNNAMED`."""
    kind: str = ""
    """person or judge, for that annotator."""
    on_error: Callable[[RowError], None] | None = None
    """Takes a row's error, and the reading goes on; without it the first error ends it."""
    left: Counter[str] = field(default_factory=Counter)
    """How many rows were left out without being wrong, by reason."""
    seen: set[bytes] = field(default_factory=set)
    """Hashes of the outside ids met so far."""
    voters: Counter[bytes] = field(default_factory=Counter)
    """How many anonymous votes each pair met so far has, by a hash of its content."""

    def leave_out(self, reason: str) -> None:
        self.left[reason] += 1

    def wrong(self, error: RowError) -> None:
        if self.on_error is None:
            raise error
        self.on_error(error)

    def taken(self, record: ImportedRecord, number: int = 0) -> ImportedRecord | None:
        """The record of that row, with its annotator named; None where its id was met before."""
        if record.key and not self._is_new(record.key):
            self.wrong(
                RowError(
                    f"the id “{record.key[:100]}” was met before; an id stands for one row.",
                    place=record.place,
                    number=number,
                    column="id",
                )
            )
            return None
        if (self.annotator or self.kind) and record.votes:
            return replace(record, votes=[self._named(vote) for vote in record.votes])
        return record

    def numbered(self, record: ImportedRecord) -> ImportedRecord:
        """The record with its anonymous votes numbered on from those that earlier rows have of the
        same pair: nobody votes twice, so they are of several annotators."""
        if not record.votes:
            return record
        answers = zip(
            (record.model_a, record.model_b),
            (record.text_a, record.text_b),
            (record.media_a, record.media_b),
            strict=True,
        )
        said = [record.messages, record.media, sorted(answers, key=repr)]
        key = blake2b(canonical_json(said), digest_size=12).digest()
        before = self.voters[key]
        self.voters[key] += len(record.votes)
        votes = [
            replace(vote, annotator=_numbered(vote.annotator, number))
            for number, vote in enumerate(record.votes, before + 1)
        ]
        return replace(record, votes=votes) if before else record

    def _is_new(self, key: str) -> bool:
        digest = blake2b(key.encode(), digest_size=12).digest()
        before = len(self.seen)
        self.seen.add(digest)
        return len(self.seen) > before

    def _named(self, vote: ImportedVote) -> ImportedVote:
        if vote.annotator != UNNAMED:
            return vote
        return replace(
            vote, annotator=self.annotator or vote.annotator, kind=self.kind or vote.kind
        )


def _numbered(name: str, number: int) -> str:
    return f"annotator {number}" if _NUMBERED.fullmatch(name) else f"{name} {number}"


@dataclass(frozen=True)
class Format:
    """An outside format; see ``platform/docs/formats.md``."""

    name: str
    """``trl_preference``."""
    title: str
    """``TRL preference``."""
    modalities: tuple[str, ...]
    """Of the answers: text, image, video."""
    containers: tuple[str, ...]
    """What it may lie in, the first is the default when writing."""
    columns: tuple[str, ...]
    """A row that has all of these may be of this format."""
    ties: str
    """Its tie policy in a sentence, for pages and docs."""
    cannot: str
    """What it cannot carry, in a sentence."""
    read: Callable[[Row], Iterable[ImportedRecord]] | None = None
    write: Callable[[PreferenceRecord, Writing], Iterable[dict[str, Any]]] | None = None
    options: tuple[Option, ...] = ()
    fits: Callable[[Row], bool] | None = None
    """Whether a row that has the columns is of this format, where others have the same ones."""
    gather: Callable[[Iterable[Row], Reading], Iterator[ImportedRecord]] | None = None
    """Reads in place of ``read`` where one record comes from several rows."""
    schema: Callable[[Writing], pa.Schema] | None = None
    """Of the rows that it writes; where there is none it is learnt from the first rows."""
    aside: Callable[[str, Writing], dict[str, bytes]] | None = None
    """Small files that go with a written file of that name, such as ``dataset_info.json``."""
    rank: int = 0
    """Among formats with as many columns in a row, the higher is guessed first."""
    anonymous: bool = False
    """Whether it does not say who voted, and may have several rows with votes on one pair."""
    both_bad: bool = False
    """Whether it can say of a pair that both answers are bad."""
    empty_answers: str = "refused"
    """What becomes of a pair with an answer that says nothing: refused; left_out and counted, where
    models of the format may have said nothing; or kept."""

    @property
    def reads(self) -> bool:
        return self.read is not None or self.gather is not None

    @property
    def writes(self) -> bool:
        return self.write is not None

    def matches(self, row: Row) -> bool:
        """Whether the row looks like one of this format."""
        if not self.reads or not row.has(*self.columns):
            return False
        return self.fits is None or self.fits(row)

    def records(
        self, rows: Iterable[Row], reading: Reading | None = None
    ) -> Iterator[ImportedRecord]:
        """Read rows one after another; memory stays bounded, but for the ids met.

        Args:
            reading: takes errors and counts; without one the first error is raised.

        Raises:
            RowError: a row is wrong and the reading takes no errors.
            UserError: the container is broken; no reading goes on after that.
        """
        reading = reading or Reading()
        if self.gather is not None:
            for record in self.gather(rows, reading):
                yield from self._taken(record, reading)
            return
        for row in rows:
            try:
                found = list(self.read_row(row))
            except RowError as error:
                reading.wrong(error)
                continue
            for record in found:
                yield from self._taken(record, reading, row.number)

    def _taken(
        self, record: ImportedRecord, reading: Reading, number: int = 0
    ) -> Iterator[ImportedRecord]:
        """The record as it is to be stored; none where it is left out or refused."""
        if self._says_nothing(record):
            if self.empty_answers == "left_out":
                reading.leave_out("an answer is empty")
                return
            reading.wrong(
                RowError(
                    "an answer is empty; a pair needs two answers that say something.",
                    place=record.place,
                    number=number,
                )
            )
            return
        if taken := reading.taken(record, number):
            yield reading.numbered(taken) if self.anonymous else taken

    def _says_nothing(self, record: ImportedRecord) -> bool:
        if self.empty_answers == "kept":
            return False
        answers = ((record.text_a, record.media_a), (record.text_b, record.media_b))
        return any(not text.strip() and not media for text, media in answers)

    def read_row(self, row: Row) -> Iterable[ImportedRecord]:
        """The records of one row, of which the columns are there.

        Raises:
            RowError: a column is missing, or something in it is wrong.
        """
        if self.read is None:
            raise UserError(f"{self.title} cannot be read.", code="no_reader", field="format")
        missing = [column for column in self.columns if column not in row.values]
        if missing:
            raise row.wrong(
                f"there is no column “{missing[0]}”; {self.title} needs {', '.join(self.columns)}.",
                missing[0],
            )
        return self.read(row)

    def writing(
        self,
        options: dict[str, str] | None = None,
        find_media: Callable[[str], MediaFile] | None = None,
    ) -> Writing:
        """What :meth:`rows` needs, with the options checked.

        Raises:
            UserError: there is no such option, or no such choice.
        """
        known = {option.name: option for option in self.options}
        for name, value in (options or {}).items():
            choices = [choice for choice, _ in known[name].choices] if name in known else []
            if value not in choices:
                right = f"it must be one of {', '.join(choices)}" if choices else "there is none"
                raise UserError(
                    f"{name} is “{value}”; {right}.", code="bad_option", field=f"option_{name}"
                )
        defaults = {option.name: option.default for option in self.options}
        return Writing(options=dict(options or {}), find_media=find_media, _defaults=defaults)

    def rows(
        self, records: Iterable[PreferenceRecord], writing: Writing
    ) -> Iterator[dict[str, Any]]:
        """The rows of frozen records; what is left out is counted in ``writing.left``.

        Raises:
            UserError: this format cannot be written, or a file is not at hand.
        """
        if self.write is None:
            raise UserError(f"{self.title} cannot be written.", code="no_writer", field="format")
        for record in records:
            if record.modality not in self.modalities:
                writing.leave_out(f"answers are {record.modality}, which it cannot hold")
                continue
            if record.outcome == "both_bad" and not self.both_bad:
                writing.leave_out("both answers are bad, so that none is the chosen one")
                continue
            if record.weight < 1:
                # without the weight the two halves of a tie are two answers that contradict
                writing.leave_out("half of a tie, and the format has no weights")
                continue
            yield from self.write(record, writing)
