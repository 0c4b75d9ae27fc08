"""Tables that leave the house as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.models import Count

from annotation.models import Flag, Judgment
from annotation.services.groups import work_of
from annotation.services.overview import Person
from steelyard.lib.spreadsheet import csv_lines
from steelyard.projects.models import Project

JUDGMENT_COLUMNS = (
    "uuid",
    "time",
    "annotator",
    "kind",
    "outcome",
    "strength",
    "model_a",
    "model_b",
    "category",
    "prompt",
    "rationale",
    "tags",
    "b_shown_first",
    "seconds",
    "pair",
    "prelabel_shown",
    "prelabel",
)
PROGRESS_COLUMNS = ("category", "state", "wanted", "judged", "group", "flags")
PEOPLE_COLUMNS = (
    "name",
    "verdicts",
    "skips",
    "amended",
    "median_seconds",
    "known_answers",
    "known_right",
    "trained_at",
    "paused",
    "cap",
    "quota",
    "last_verdict",
)
AT_A_TIME = 5000
"""Pairs, or sets to rank, that are read at once for a table of any length."""


def judgments_csv(judgments: Iterable[Judgment]) -> Iterator[str]:
    """Lines of CSV; outcome and strength are of the pair's own sides a and b."""
    return csv_lines(JUDGMENT_COLUMNS, (_row(judgment) for judgment in judgments))


def _row(judgment: Judgment) -> list[object]:
    pair = judgment.pair
    seconds = None if judgment.duration_ms is None else judgment.duration_ms / 1000
    return [
        judgment.uuid,
        judgment.created_at.isoformat(),
        judgment.annotator.name,
        judgment.annotator.kind,
        judgment.outcome,
        judgment.strength,
        pair.output_a.model.name,
        pair.output_b.model.name,
        pair.prompt.category,
        pair.prompt.text,
        judgment.rationale,
        "; ".join(judgment.tags),
        judgment.swapped,
        seconds,
        pair.pk,
        judgment.prelabel.get("shown"),
        judgment.prelabel.get("outcome", ""),
    ]


def progress_csv(project: Project) -> Iterator[str]:
    """Lines of CSV, one a pair, or one a set where the project asks for rankings; flags are those
    that wait for the owner's word."""
    of = "output_set" if project.scheme["task"] == "ranking" else "pair"
    name = {"output_set": "set"}.get(of, of)
    return csv_lines((name, *PROGRESS_COLUMNS), _progress(project, of))


def _progress(project: Project, of: str) -> Iterator[list[object]]:
    """Read in parts by their keys: no transaction stands open while somebody downloads slowly."""
    columns = ("pk", "prompt__category", "closed", "is_training", "wanted", "judged", "group__name")
    rows = work_of(project).order_by("pk").values_list(*columns)
    last = 0
    while part := list(rows.filter(pk__gt=last)[:AT_A_TIME]):
        flags = _open_flags(of, [row[0] for row in part])
        for pk, category, closed, is_training, wanted, judged, group in part:
            state = _state(closed, is_training, judged >= wanted)
            yield [pk, category, state, wanted, judged, group or "", flags.get(pk, 0)]
        last = part[-1][0]


def _open_flags(of: str, pks: list[int]) -> dict[int, int]:
    flags = Flag.objects.filter(**{f"{of}__in": pks}, state=Flag.State.OPEN).order_by()
    return dict(flags.values_list(of).annotate(n=Count("pk")))


def _state(closed: bool, is_training: bool, complete: bool) -> str:
    if is_training:
        return "training"
    if closed:
        return "closed"
    return "complete" if complete else "open"


def people_csv(people: Iterable[Person]) -> Iterator[str]:
    """Lines of CSV, one a person."""
    return csv_lines(PEOPLE_COLUMNS, (_person(person) for person in people))


def _person(person: Person) -> list[object]:
    who = person.annotator
    return [
        who.name,
        person.verdicts,
        person.skips,
        person.amended,
        person.seconds,
        person.known,
        person.known_right,
        who.trained_at.isoformat() if who.trained_at else None,
        who.paused,
        who.cap,
        who.quota,
        person.last.isoformat() if person.last else None,
    ]
