"""Bringing in files of sets to rank, with the rankings that they come with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from annotation.formats.records import ImportedRanking
from annotation.models import Annotator, Judgment, Output, OutputSet, Prompt, Ranking
from annotation.services.completion import is_told, tell_completed
from annotation.services.imported_media import Files, check_answers, find_files
from annotation.services.imported_rows import SetRow
from annotation.services.imported_votes import annotators_of
from annotation.services.importing import Imported, outputs_of, prompts_of
from annotation.services.known_orders import FIELDS, check_order
from annotation.services.ranked_pairs import Ranked, expand
from annotation.services.ranking import Order, ranking_of
from annotation.services.sets import check_task
from annotation.tiers import tiers_of
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

_NAMESPACE = UUID("2b9d1c1e-8a3f-4d6e-b0f4-5c7a6e1d9f20")
_BATCH = 2000
_EXPANDED = 500
"""Rankings whose judgments, up to 36 of each, are made together."""


@transaction.atomic
def import_rankings(
    *,
    project: Project,
    records: Iterable[ImportedRanking],
    by: User | None,
    archive: Files | None = None,
) -> Imported:
    """Sets with the rankings they come with, in one transaction.

    A new set that comes with people's rankings wants no more of them; one without wants the
    project's overlap. Known sets and rankings are left as they are, so that the same file twice
    changes nothing.

    Args:
        archive: where the files are that records name by other than their SHA-256.

    Raises:
        UserError: the project compares pairs, a set has two known orders or is for training and
            for ranking at once, a record is on a held-out prompt or names a file
            that is not there, its answers are of another modality than the project, one annotator
            ranks a set in two ways, or a ranking is in the name of somebody who signs in here;
            nothing is stored then.
    """
    check_task(project)
    given = list(records)
    files = find_files(project=project, records=given, archive=archive)
    for record in given:
        check_answers(project, record, files)
    rows = [SetRow.of(record, files) for record in given]
    said = _said(rows)
    # one import at a time in a project; a key's share of the row stays free, so labelling goes on
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    before = _counts(project)
    prompts = prompts_of(project, rows)
    outputs = outputs_of(project, rows, prompts, by)
    here = OutputSet.objects.filter(project=project, key__in={row.key for row in rows})
    known_sets = set(here.values_list("key", flat=True))
    sets = _sets(project, rows, prompts, outputs)
    _settle_known(project, rows, sets, outputs, new=set(sets) - known_sets)
    annotators = annotators_of(project, rows)
    known = set(
        Ranking.objects.current()
        .filter(output_set__project=project)
        .values_list("output_set__key", "annotator__name")
    )
    for annotator in annotators.values():
        annotator.project = project
    ranked = [
        _ranked(row, sets[key], annotators[name], outputs)
        for (key, name), row in said.items()
        if (key, name) not in known
    ]
    for start in range(0, len(ranked), _EXPANDED):
        _store(project, ranked[start : start + _EXPANDED])
    after = _counts(project)
    new = {name: after[name] - before[name] for name in after}
    return Imported(records=len(rows), rankings=len(ranked), **new)


def _counts(project: Project) -> dict[str, int]:
    rows = {
        "prompts": Prompt.objects,
        "pairs": project.pairs,
        "judgments": Judgment.objects,
        "sets": OutputSet.objects,
    }
    return {name: manager.filter(project=project).count() for name, manager in rows.items()}


def _said(rows: list[SetRow]) -> dict[tuple[str, str], SetRow]:
    """Each annotator's one ranking of each set."""
    said: dict[tuple[str, str], SetRow] = {}
    for row in rows:
        if not row.record.ranks:
            continue
        earlier = said.setdefault((row.key, row.record.annotator), row)
        if _tiers(earlier) != _tiers(row):
            raise UserError(
                f"{row.record.place}: {row.record.annotator} ranks the same set in another way "
                f"than at {earlier.record.place}; keep one of the two.",
                code="two_rankings",
                field="file",
            )
    return said


def _tiers(row: SetRow) -> list[set[str]]:
    """By the outputs' keys."""
    places = tiers_of(dict(enumerate(row.record.ranks)))
    return [{row.sides[place].key for place in tier} for tier in places]


def _sets(
    project: Project,
    rows: list[SetRow],
    prompts: dict[str, Prompt],
    outputs: dict[tuple[int, str], Output],
) -> dict[str, OutputSet]:
    """The rows' sets by key, locked; those that are new made, with their outputs."""
    people: dict[str, set[str]] = {}
    for row in rows:
        kind = Annotator.Kind.PERSON
        people.setdefault(row.key, set()).update(
            name for name, of in row.record.voters if of == kind
        )
    first = {row.key: row for row in reversed(rows)}
    here = OutputSet.objects.filter(project=project, key__in=list(first))
    known = set(here.values_list("key", flat=True))
    new = [
        OutputSet(
            project=project,
            prompt=prompts[row.prompt],
            key=key,
            wanted=len(people[key]) or project.overlap,
        )
        for key, row in sorted(first.items())
        if key not in known
    ]
    # one at a time in a project imports, but a set may come in over the API meanwhile
    OutputSet.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
    found = {one.key: one for one in here.order_by("pk").select_for_update(no_key=True)}
    through = OutputSet.outputs.through
    members = [
        through(
            outputset_id=found[one.key].pk,
            output_id=outputs[prompts[first[one.key].prompt].pk, side.key].pk,
        )
        for one in new
        for side in first[one.key].sides
    ]
    through.objects.bulk_create(members, ignore_conflicts=True, batch_size=_BATCH)
    for key, one in found.items():
        one.prompt = prompts[first[key].prompt]
    return found


def _settle_known(
    project: Project,
    rows: list[SetRow],
    sets: dict[str, OutputSet],
    outputs: dict[tuple[int, str], Output],
    *,
    new: Collection[str],
) -> None:
    """Give the sets for training their known orders, or find that they have them. The caller has
    locked the sets, of which those with the keys ``new`` were made just now."""
    seen: dict[str, list[list[int]]] = {}
    told = []
    for row in rows:
        one = sets[row.key]
        of_set = [outputs[one.prompt_id, side.key].pk for side in row.sides]
        tiers = tiers_of(dict(zip(of_set, row.record.known, strict=False)))
        if seen.setdefault(row.key, tiers) != tiers:
            raise _wrong(row, "another line has the same set with another right order, or none.")
        if tiers == one.known_tiers:
            continue
        if one.known_tiers:
            what = "with another right order" if tiers else "for the training round"
            raise _wrong(row, f"this set is in the project already {what}.", "in_use")
        if row.key not in new:
            raise _wrong(
                row, "this set is in the project already as one to rank; no set is both.", "in_use"
            )
        check_order(tiers, of_set, ties=project.scheme["tie"], field="file")
        one.is_training, one.known_tiers = True, tiers
        one.known_reason = row.record.known_reason
        one.known_shown = of_set if one.known_reason else []
        told.append(one)
    OutputSet.objects.bulk_update(told, FIELDS, batch_size=_BATCH)


def _wrong(row: SetRow, message: str, code: str = "bad_line") -> UserError:
    return UserError(f"{row.record.place}: {message}", code=code, field="file")


def _ranked(
    row: SetRow,
    output_set: OutputSet,
    annotator: Annotator,
    outputs: dict[tuple[int, str], Output],
) -> Ranked:
    """One ranking, not stored yet."""
    of_set = [outputs[output_set.prompt_id, side.key] for side in row.sides]
    ranks = dict(zip((output.pk for output in of_set), row.record.ranks, strict=True))
    name = f"{annotator.project.slug}/{output_set.key}/{annotator.name}"
    order = Order(
        uuid=uuid5(_NAMESPACE, name),
        tiers=tiers_of(ranks),
        rationale=row.record.rationale,
        tags=row.record.tags,
    )
    shown = [output.pk for output in of_set]
    return Ranked(ranking_of(annotator, output_set, order, shown=shown), of_set)


def _store(project: Project, ranked: Sequence[Ranked]) -> None:
    """Rankings with their judgments, and of their sets how many people have ranked them. The
    caller has locked the sets."""
    Ranking.objects.bulk_create([one.ranking for one in ranked])
    judgments = expand(ranked=ranked)
    people = Counter(
        one.ranking.output_set_id
        for one in ranked
        if one.ranking.annotator.kind == Annotator.Kind.PERSON
    )
    for n in set(people.values()):
        judged = F("judged") + n
        OutputSet.objects.filter(pk__in=[pk for pk in people if people[pk] == n]).update(
            judged=judged, wanted=Greatest(F("wanted"), judged)
        )
    if is_told(project):
        full = set(OutputSet.objects.complete().filter(pk__in=people).values_list("pk", flat=True))
        of = {str(one.ranking.uuid) for one in ranked if one.ranking.output_set_id in full}
        last = [judgment for judgment in judgments if judgment.details["ranking"] in of]
        tell_completed(project=project, judgments=last)
