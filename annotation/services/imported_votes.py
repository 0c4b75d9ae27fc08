"""The votes that imported records come with: each annotator's one verdict on each pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID, uuid5

from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Greatest

from annotation.formats.records import ImportedVote
from annotation.models import Annotator, Judgment, Outcome, Pair
from annotation.services.completion import is_told, tell_completed
from annotation.services.imported_rows import Answered, Row
from annotation.services.inserting import insert_new, made
from annotation.sides import turned_aspects
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

_NAMESPACE = UUID("6f1a5a3e-5d2b-4c0f-9c1e-0d8a4f6f7a11")
_FLIP = {"a": "b", "b": "a"}


def counts(vote: ImportedVote) -> bool:
    """Whether it takes one of a pair's places: a judge's verdict and a skip do not."""
    return vote.kind == Annotator.Kind.PERSON and vote.outcome != Outcome.SKIP


def store_votes(project: Project, rows: list[Row], pairs: dict[str, Pair], new: set[str]) -> int:
    """Store the votes that are new, count the people's, and return how many are new.

    Args:
        new: keys of pairs that nobody has judged and that count their votes already.
    """
    said = _votes(rows)
    annotators = annotators_of(project, rows)
    here = [pair.pk for key, pair in pairs.items() if key not in new]
    known = set(
        Judgment.objects.filter(pair__in=here, is_current=True).values_list(
            "pair__key", "annotator__name"
        )
    )
    votes = [
        _judgment(project, row, vote, pairs[key], annotators[name])
        for (key, name), (row, vote) in said.items()
        if (key, name) not in known
    ]
    if left := insert_new(votes, _OF_VOTES, by=("uuid",)):
        raise UserError(
            f"A vote of {left[0].annotator.name} is here already under the name that it would "
            "have; was the project's address changed since? Nothing of these rows was stored.",
            code="vote_taken",
            field="file",
        )
    _recount({vote.pair_id for vote in votes} & set(here))
    if is_told(project):
        wanting = {
            pair.pk for key, pair in pairs.items() if key in new or pair.judged < pair.wanted
        }
        tell_completed(project=project, judgments=[j for j in votes if j.pair_id in wanting])
    return len(votes)


_OF_VOTES = (
    "uuid",
    "pair_id",
    "annotator_id",
    "outcome",
    "strength",
    "aspects",
    "rationale",
    "tags",
    "swapped",
    "details",
)


def _recount(pairs: set[int]) -> None:
    """Bring ``judged`` in line with the people's votes, and ``wanted`` where they are more."""
    if not pairs:
        return
    votes = (
        Judgment.objects.decisive()
        .by_people()
        .filter(pair=OuterRef("pk"))
        .order_by()
        .values("pair")
        .annotate(n=Count("pk"))
        .values("n")
    )
    people = Coalesce(Subquery(votes, output_field=IntegerField()), 0)
    Pair.objects.filter(pk__in=pairs).update(judged=people, wanted=Greatest(F("wanted"), people))


def _votes(rows: list[Row]) -> dict[tuple[str, str], tuple[Row, ImportedVote]]:
    """Each annotator's one vote on each pair."""
    said: dict[tuple[str, str], tuple[Row, ImportedVote]] = {}
    for row in rows:
        for vote in row.record.votes:
            earlier = said.setdefault((row.pair, vote.annotator), (row, vote))
            if canonical(*earlier) != canonical(row, vote):
                raise UserError(
                    f"{row.record.place}: {vote.annotator} says something else of "
                    f"the same pair than at {earlier[0].record.place}; keep one of the two.",
                    code="two_votes",
                    field="file",
                )
    return said


def canonical(row: Row, vote: ImportedVote) -> tuple[str, int]:
    """The vote's outcome and strength on the pair's own sides."""
    if row.flipped:
        return _FLIP.get(vote.outcome, vote.outcome), -vote.strength
    return vote.outcome, vote.strength


def _judgment(
    project: Project, row: Row, vote: ImportedVote, pair: Pair, annotator: Annotator
) -> Judgment:
    outcome, strength = canonical(row, vote)
    return made(
        Judgment,
        id=None,
        uuid=uuid5(_NAMESPACE, f"{project.slug}/{pair.key}/{vote.annotator}"),
        project_id=project.pk,
        pair_id=pair.pk,
        annotator_id=annotator.pk,
        outcome=outcome,
        strength=strength,
        aspects=turned_aspects(vote.aspects, row.flipped),
        rationale=vote.rationale,
        tags=vote.tags,
        swapped=(vote.first == "b") != row.flipped if vote.first else None,
        details=_details(row, vote),
    )


def _details(row: Row, vote: ImportedVote) -> dict[str, float]:
    if vote.p_a is None:
        return {}
    return {"p_a": round(1.0 - vote.p_a, 9) if row.flipped else vote.p_a}


def annotators_of(project: Project, rows: Sequence[Answered]) -> dict[str, Annotator]:
    """The annotators of the votes by name, those that are new made.

    A name that is here from an earlier file stays usable, whoever has joined since.

    Raises:
        UserError: a name is that of somebody who signs in here, or of the other kind.
    """
    kinds = dict(voter for row in rows for voter in row.record.voters)
    found = _annotators_by_name(project, kinds)
    signing_in = _usernames(project, set(kinds) - set(found))
    for row in rows:
        for name, _kind in row.record.voters:
            if name in signing_in:
                raise _somebodys_own(row.record.place, name)
    new = [
        Annotator(project=project, name=name, kind=kinds[name])
        for name in sorted(set(kinds) - set(found))
    ]
    Annotator.objects.bulk_create(new, ignore_conflicts=True)
    found = _annotators_by_name(project, kinds)
    for row in rows:
        for name, kind in row.record.voters:
            _check_annotator(row.record.place, kind, found[name])
    return found


def _annotators_by_name(project: Project, names: Iterable[str]) -> dict[str, Annotator]:
    return {a.name: a for a in Annotator.objects.filter(project=project, name__in=list(names))}


def _usernames(project: Project, names: set[str]) -> set[str]:
    """Those of the names under which somebody signs in who may label here."""
    may_label = Q(memberships__project=project) | Q(is_superuser=True)
    people = User.objects.filter(may_label, username__in=names)
    return set(people.values_list("username", flat=True))


def annotator_trouble(
    place: str, vote: ImportedVote, *, taken: bool, kind: str
) -> UserError | None:
    """What is wrong with the name that a vote is in.

    Args:
        taken: whether it is that of somebody who judges here.
        kind: what goes by that name so far.
    """
    if taken:
        return _somebodys_own(place, vote.annotator)
    return None if vote.kind == kind else _other_kind(place, vote.annotator, kind, vote.kind)


def _check_annotator(place: str, kind: str, annotator: Annotator) -> None:
    if annotator.user_id or annotator.model_id or annotator.is_jury:
        raise _somebodys_own(place, annotator.name)
    if annotator.kind != kind:
        raise _other_kind(place, annotator.name, annotator.kind, kind)


def _other_kind(place: str, name: str, there: str, said: str) -> UserError:
    return UserError(
        f"{place}: “{name}” is the name of {_A_KIND[there]} in this project, and the vote says "
        f"{said}; give it another name.",
        code="annotator_kind",
        field="file",
    )


_A_KIND: dict[str, str] = {Annotator.Kind.PERSON: "a person", Annotator.Kind.JUDGE: "an AI judge"}


def _somebodys_own(place: str, name: str) -> UserError:
    return UserError(
        f"{place}: the name “{name}” belongs to somebody who judges in this project here; votes "
        "in that name cannot be brought in from a file. Give the annotator another name, such as "
        f"“{name}, from a file”.",
        code="annotator_taken",
        field="file",
    )
