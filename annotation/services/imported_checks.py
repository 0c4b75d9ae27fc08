"""What can be wrong with imported records besides their form, record by record, before anything is
stored: so that all that is wrong is told at once, or what is right can be taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from django.db.models import Q

from annotation.formats.records import ImportedRecord
from annotation.models import Annotator, Judgment, Prompt
from annotation.services.imported_media import Files, check_sides, find_files
from annotation.services.imported_rows import Row
from annotation.services.imported_votes import annotator_trouble, canonical
from annotation.services.inserting import among
from steelyard.accounts.models import User
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

Fault = tuple[int, UserError]
"""Which of the records, from 0, and what is wrong with it."""


@dataclass
class Checks:
    """Looks at one batch of a file after another; remembers who said what of which pair."""

    project: Project
    archive: Files | None = None
    left: Counter[str] = field(default_factory=Counter)
    """Votes that are not taken in without being wrong, by reason."""
    rows: dict[int, Row] = field(default_factory=dict)
    """The records of the last batch that are right, with their keys and files."""
    _said: dict[int, int] = field(default_factory=dict)
    """Outcome and strength by pair and annotator, both as hashes: some 100 bytes a vote."""
    _kinds: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    """What is wrong with an annotator's name, empty where nothing is."""

    def faults(self, records: Sequence[ImportedRecord]) -> list[Fault]:
        """What is wrong; files of the archive that records name are brought in while looking."""
        found: list[Fault] = []
        rows: list[tuple[int, Row]] = []
        files = self._files(records)
        for index, record in enumerate(records):
            try:
                named = files if isinstance(files, dict) else self._files_of(record)
                check_sides(self.project, record, named)
                rows.append((index, Row.of(record, named)))
            except UserError as error:
                found.append((index, error))
        held_out = self._held_out([row for _, row in rows])
        self._look_up_names(records)
        self.rows = {}
        for index, row in rows:
            fault = self._held_out_fault(row, held_out) or self._vote_fault(row)
            if fault:
                found.append((index, fault))
            else:
                self.rows[index] = row
        self._count_known(list(self.rows.values()))
        return sorted(found, key=lambda fault: fault[0])

    def _files(self, records: Sequence[ImportedRecord]) -> dict[str, Asset] | None:
        """All files at once; None where one is wrong, so that each record is to be looked at."""
        try:
            return find_files(project=self.project, records=records, archive=self.archive)
        except UserError:
            return None

    def _files_of(self, record: ImportedRecord) -> dict[str, Asset]:
        return find_files(project=self.project, records=[record], archive=self.archive)

    def _held_out(self, rows: list[Row]) -> set[str]:
        keys = among({row.prompt for row in rows})
        found = Prompt.objects.filter(project=self.project, key__in=keys, held_out=True)
        return set(found.values_list("key", flat=True))

    @staticmethod
    def _held_out_fault(row: Row, held_out: set[str]) -> UserError | None:
        if row.prompt not in held_out:
            return None
        return UserError(
            f"{row.record.place}: its prompt is a held-out prompt of this project; the outputs of "
            "one are not to be labelled for training.",
            code="prompt_held_out",
            field="file",
        )

    def _look_up_names(self, records: Sequence[ImportedRecord]) -> None:
        new = {name for record in records for name, _ in record.voters} - set(self._names)
        if not new:
            return
        there = {
            each.name: each for each in Annotator.objects.filter(project=self.project, name__in=new)
        }
        may_label = Q(memberships__project=self.project) | Q(is_superuser=True)
        people = User.objects.filter(may_label, username__in=new - set(there))
        signing_in = set(people.values_list("username", flat=True))
        for name in new:
            known = there.get(name)
            taken = name in signing_in or (known and (known.user_id or known.model_id))
            self._names[name] = "taken" if taken else ""
            if known and not taken:
                self._kinds[name] = known.kind

    def _vote_fault(self, row: Row) -> UserError | None:
        for vote in row.record.votes:
            kind = self._kinds.setdefault(vote.annotator, vote.kind)
            if trouble := annotator_trouble(
                row.record.place, vote, taken=bool(self._names[vote.annotator]), kind=kind
            ):
                return trouble
            said = hash(canonical(row, vote))
            if self._said.setdefault(_pair_of(row, vote.annotator), said) != said:
                return UserError(
                    f"{row.record.place}: {vote.annotator} says something else of the same pair "
                    "than in an earlier row; keep one of the two.",
                    code="two_votes",
                    field="file",
                )
        return None

    def _count_known(self, rows: list[Row]) -> None:
        """Votes that are here already with another outcome stay as they are; that is told."""
        said = {
            (row.pair, vote.annotator): canonical(row, vote)
            for row in rows
            for vote in row.record.votes
        }
        if not said:
            return
        here = Judgment.objects.filter(
            pair__project=self.project,
            pair__key__in=among({pair for pair, _ in said}),
            is_current=True,
        ).values_list("pair__key", "annotator__name", "outcome", "strength")
        for pair, name, outcome, strength in here:
            if said.get((pair, name), (outcome, strength)) != (outcome, strength):
                self.left["votes differ from those stored earlier, which stay as they are"] += 1


def _pair_of(row: Row, annotator: str) -> int:
    key = blake2b(f"{row.pair} {annotator}".encode(), digest_size=8).digest()
    return int.from_bytes(key, "big")
