"""What a ranking says of each two of its outputs, as judgments: whoever counts, freezes or rates
these need not know of rankings.

An order is transitive, so its judgments are. They carry the ranking's rationale and tags, and its
UUID under ``details``.
"""

from __future__ import annotations

from itertools import combinations
from uuid import UUID, uuid5

from django.db.models import F

from annotation.keys import pair_key
from annotation.models import Annotator, Assignment, Judgment, Outcome, Output, Pair, Ranking
from annotation.services.checking import top_of
from annotation.tiers import compared

Said = tuple[str, int]
"""Outcome and strength on a pair's own sides."""


def expand(*, ranking: Ranking, outputs: list[Output]) -> list[Judgment]:
    """Write the ranking's judgments, each in place of what the annotator said of that pair before;
    of a skip only where it takes an earlier order back.

    Pairs that are not there are made. Each has room made for the judgment, so that no pair comes
    into the queue by it, nor leaves it: one that wants two people's direct verdicts still does.
    The caller holds the set's lock, in a transaction.

    Args:
        outputs: all of the set's.

    Returns:
        the judgments. Training pairs get none: they are shown to be learned from.
    """
    outputs = sorted(outputs, key=lambda output: output.key)
    said = _said(ranking, outputs)
    pairs = _locked_pairs(ranking, outputs)
    before = {
        judgment.pair_id: judgment
        for judgment in Judgment.objects.current().filter(
            annotator=ranking.annotator, pair__in=[pair.pk for pair in pairs]
        )
    }
    if ranking.skipped:
        pairs = [pair for pair in pairs if _is_taken_back(before.get(pair.pk), ranking)]
    _count(ranking.annotator, pairs, before, said)
    Judgment.objects.filter(pk__in=[before[p.pk].pk for p in pairs if p.pk in before]).update(
        is_current=False
    )
    Assignment.objects.filter(annotator=ranking.annotator, pair__in=pairs).delete()
    return Judgment.objects.bulk_create(
        _judgment(ranking, pair, said[pair.key], before.get(pair.pk)) for pair in pairs
    )


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


def _locked_pairs(ranking: Ranking, outputs: list[Output]) -> list[Pair]:
    """All pairs of the outputs but those for training, made where they are missing."""
    prompt = ranking.output_set.prompt
    wanted = {pair_key(prompt.key, a.key, b.key): (a, b) for a, b in combinations(outputs, 2)}
    rows = Pair.objects.filter(project=ranking.project_id, key__in=list(wanted))
    missing = set(wanted) - set(rows.values_list("key", flat=True))
    if missing and not ranking.skipped:
        # in one order, so that two sets with the same outputs do not wait for each other in a ring
        new = [_pair(ranking, key, *wanted[key]) for key in sorted(missing)]
        Pair.objects.bulk_create(new, ignore_conflicts=True)
    return list(rows.filter(is_training=False).order_by("pk").select_for_update(no_key=True))


def _pair(ranking: Ranking, key: str, a: Output, b: Output) -> Pair:
    return Pair(
        project_id=ranking.project_id,
        prompt_id=a.prompt_id,
        output_a=a,
        output_b=b,
        key=key,
        origin=Pair.Origin.RANKING,
        wanted=0,
    )


def _count(
    annotator: Annotator,
    pairs: list[Pair],
    before: dict[int, Judgment],
    said: dict[str, Said],
) -> None:
    """Bring ``judged`` in line, and ``wanted`` with it: only people's verdicts take places."""
    if annotator.kind != Annotator.Kind.PERSON:
        return
    changes: dict[int, list[int]] = {1: [], -1: []}
    for pair in pairs:
        earlier = before.get(pair.pk)
        was = earlier is not None and earlier.outcome != Outcome.SKIP
        now = said[pair.key][0] != Outcome.SKIP
        if was != now:
            changes[1 if now else -1].append(pair.pk)
    for change, pks in changes.items():
        if pks:
            Pair.objects.filter(pk__in=pks).update(
                judged=F("judged") + change, wanted=F("wanted") + change
            )


def _is_taken_back(judgment: Judgment | None, skip: Ranking) -> bool:
    """Whether it comes of the order that the skip supersedes; another set's order stands."""
    superseded = skip.supersedes
    if judgment is None or superseded is None:
        return False
    return judgment.details.get("ranking") == str(superseded.uuid)


def _judgment(ranking: Ranking, pair: Pair, said: Said, before: Judgment | None) -> Judgment:
    outcome, strength = said
    place = {output: n for n, output in enumerate(ranking.shown)}
    return Judgment(
        uuid=judgment_uuid(ranking.uuid, pair.key),
        project_id=ranking.project_id,
        pair=pair,
        annotator=ranking.annotator,
        outcome=outcome,
        strength=strength,
        rationale=ranking.rationale,
        tags=ranking.tags,
        skip_reason=ranking.skip_reason,
        swapped=place[pair.output_b_id] < place[pair.output_a_id],
        exposure=_exposure(ranking.exposure, pair),
        details={"ranking": str(ranking.uuid)},
        supersedes=before,
    )


def _exposure(seen: dict[str, object], pair: Pair) -> dict[str, object]:
    """What was seen of the two; the time for the whole set is the ranking's."""
    outputs = seen.get("outputs")
    outputs = outputs if isinstance(outputs, dict) else {}
    sides = {"a": pair.output_a_id, "b": pair.output_b_id}
    kept = {name: seen[name] for name in ("device", "width", "height") if name in seen}
    return kept | {side: outputs[str(pk)] for side, pk in sides.items() if str(pk) in outputs}
