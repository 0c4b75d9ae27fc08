"""What a ranking says of each two of its outputs, as judgments: whoever counts, freezes or rates
these need not know of rankings.

An order is transitive, so its judgments are. They carry the ranking's rationale and tags, that of
its evidence which points into one of the two, and its UUID under ``details``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from uuid import UUID, uuid5

from django.db.models import F

from annotation.evidence import evidence_on_sides
from annotation.keys import pair_key
from annotation.models import Annotator, Assignment, Judgment, Outcome, Output, Pair, Ranking
from annotation.services.checking import top_of
from annotation.tiers import compared

_BATCH = 2000

Said = tuple[str, int]
"""Outcome and strength on a pair's own sides."""


@dataclass(frozen=True)
class Ranked:
    """A ranking that is stored, with all outputs of its set."""

    ranking: Ranking
    outputs: list[Output]


@dataclass
class _Books:
    """What several rankings change together."""

    standing: dict[tuple[int, int], Judgment]
    """What an annotator says of a pair by now, by both their numbers."""
    rounds: list[list[Judgment]] = field(default_factory=list)
    """To be written one after the other: nobody says two things of a pair within one."""
    round_of: Counter[tuple[int, int]] = field(default_factory=Counter)
    superseded: list[int] = field(default_factory=list)
    changes: Counter[int] = field(default_factory=Counter)
    """Of a pair, by how many people's verdicts it has more."""

    def add(self, judgment: Judgment) -> None:
        who = (judgment.annotator_id, judgment.pair_id)
        if before := self.standing.get(who):
            judgment.supersedes = before
            before.is_current = False
            if before.pk:
                self.superseded.append(before.pk)
        if judgment.annotator.kind == Annotator.Kind.PERSON:
            was = before is not None and before.outcome != Outcome.SKIP
            self.changes[judgment.pair_id] += (judgment.outcome != Outcome.SKIP) - was
        self.standing[who] = judgment
        if self.round_of[who] == len(self.rounds):
            self.rounds.append([])
        self.rounds[self.round_of[who]].append(judgment)
        self.round_of[who] += 1


def expand(*, ranked: Sequence[Ranked]) -> list[Judgment]:
    """Write the judgments of rankings of one project, each in place of what the annotator said of
    that pair before; of a skip only where it takes an earlier order back.

    Pairs that are not there are made. Each has room made for the judgment, so that no pair comes
    into the queue by it, nor leaves it: one that wants two people's direct verdicts still does.
    The caller holds the sets' locks, in a transaction.

    Returns:
        the judgments. Training pairs get none: they are shown to be learned from.
    """
    said = [_said(one.ranking, _by_key(one.outputs)) for one in ranked]
    pairs = {pair.key: pair for pair in _locked_pairs(ranked)}
    books = _Books(_standing(ranked, pairs.values()))
    for one, verdicts in zip(ranked, said, strict=True):
        for key in sorted(set(verdicts) & set(pairs)):
            pair, ranking = pairs[key], one.ranking
            before = books.standing.get((ranking.annotator_id, pair.pk))
            if not ranking.skipped or _is_taken_back(before, ranking):
                books.add(_judgment(ranking, pair, verdicts[key]))
    return _write(books)


def _write(books: _Books) -> list[Judgment]:
    for change in set(books.changes.values()) - {0}:
        pks = [pk for pk, by in books.changes.items() if by == change]
        Pair.objects.filter(pk__in=pks).update(
            judged=F("judged") + change, wanted=F("wanted") + change
        )
    if books.superseded:
        Judgment.objects.filter(pk__in=books.superseded).update(is_current=False)
    written = [judgment for one in books.rounds for judgment in one]
    who = {(judgment.annotator_id, judgment.pair_id) for judgment in written}
    leases = Assignment.objects.filter(
        annotator__in={annotator for annotator, _ in who}, pair__in={pair for _, pair in who}
    )
    held = leases.values_list("pk", "annotator", "pair")
    if over := [pk for pk, annotator, pair in held if (annotator, pair) in who]:
        Assignment.objects.filter(pk__in=over).delete()
    for one in books.rounds:
        Judgment.objects.bulk_create(one, batch_size=_BATCH)
    return written


def judgment_uuid(ranking: UUID, pair: str) -> UUID:
    """Of the judgment that a ranking makes of a pair, known by its key: the same whenever it is
    made."""
    return uuid5(ranking, pair)


def _said(ranking: Ranking, outputs: list[Output]) -> dict[str, Said]:
    """By the pair's key, what is said of it."""
    prompt = ranking.output_set.prompt
    by_number = {output.pk: output for output in outputs}
    if ranking.skipped:
        keys = [pair_key(prompt.key, a.key, b.key) for a, b in combinations(outputs, 2)]
        return dict.fromkeys(keys, (Outcome.SKIP.value, 0))
    said = {}
    top = top_of(ranking.annotator.project.scheme)
    for better, other, steps in compared(ranking.tiers, top=top):
        first, second = by_number[better].key, by_number[other].key
        a, b = sorted([first, second])
        outcome = Outcome.TIE if not steps else Outcome.A if a == first else Outcome.B
        strength = -steps if a == first else steps
        said[pair_key(prompt.key, a, b)] = (outcome.value, strength)
    return said


def _by_key(outputs: list[Output]) -> list[Output]:
    return sorted(outputs, key=lambda output: output.key)


def _locked_pairs(ranked: Sequence[Ranked]) -> list[Pair]:
    """All pairs of the outputs but those for training, made where they are missing."""
    wanted: dict[str, tuple[Ranking, Output, Output]] = {}
    for one in ranked:
        prompt = one.ranking.output_set.prompt
        for a, b in combinations(_by_key(one.outputs), 2):
            key = pair_key(prompt.key, a.key, b.key)
            if key not in wanted or wanted[key][0].skipped:
                wanted[key] = (one.ranking, a, b)
    project = ranked[0].ranking.project_id
    rows = Pair.objects.filter(project=project, key__in=list(wanted))
    missing = set(wanted) - set(rows.values_list("key", flat=True))
    # in one order, so that two sets with the same outputs do not wait for each other in a ring
    new = [_pair(key, *wanted[key]) for key in sorted(missing) if not wanted[key][0].skipped]
    Pair.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
    return list(rows.filter(is_training=False).order_by("pk").select_for_update(no_key=True))


def _standing(ranked: Sequence[Ranked], pairs: Iterable[Pair]) -> dict[tuple[int, int], Judgment]:
    """What the annotators say of the pairs so far."""
    said = Judgment.objects.current().filter(
        annotator__in={one.ranking.annotator_id for one in ranked},
        pair__in=[pair.pk for pair in pairs],
    )
    return {(judgment.annotator_id, judgment.pair_id): judgment for judgment in said}


def _pair(key: str, ranking: Ranking, a: Output, b: Output) -> Pair:
    return Pair(
        project_id=ranking.project_id,
        prompt_id=a.prompt_id,
        output_a=a,
        output_b=b,
        key=key,
        origin=Pair.Origin.RANKING,
        wanted=0,
    )


def _is_taken_back(judgment: Judgment | None, skip: Ranking) -> bool:
    """Whether it comes of the order that the skip supersedes; another set's order stands."""
    superseded = skip.supersedes
    if judgment is None or superseded is None:
        return False
    return judgment.details.get("ranking") == str(superseded.uuid)


def _judgment(ranking: Ranking, pair: Pair, said: Said) -> Judgment:
    outcome, strength = said
    place = {output: n for n, output in enumerate(ranking.shown)}
    # an order that came in a file was made on a screen that nobody knows of
    was_shown = ranking.annotator.user_id is not None
    return Judgment(
        uuid=judgment_uuid(ranking.uuid, pair.key),
        project_id=ranking.project_id,
        pair=pair,
        annotator=ranking.annotator,
        outcome=outcome,
        strength=strength,
        rationale=ranking.rationale,
        tags=ranking.tags,
        evidence=evidence_on_sides(
            ranking.evidence, {pair.output_a_id: "a", pair.output_b_id: "b"}
        ),
        skip_reason=ranking.skip_reason,
        swapped=place[pair.output_b_id] < place[pair.output_a_id] if was_shown else None,
        exposure=_exposure(ranking.exposure, pair),
        details={"ranking": str(ranking.uuid)},
    )


def _exposure(seen: dict[str, object], pair: Pair) -> dict[str, object]:
    """What was seen of the two; the time for the whole set is the ranking's."""
    outputs = seen.get("outputs")
    outputs = outputs if isinstance(outputs, dict) else {}
    sides = {"a": pair.output_a_id, "b": pair.output_b_id}
    kept = {name: seen[name] for name in ("device", "width", "height") if name in seen}
    return kept | {side: outputs[str(pk)] for side, pk in sides.items() if str(pk) in outputs}
