"""Asking people in batches, and stopping in time: what a plan does as votes come in.

All of it goes on under a lock on the evaluation's row, in one transaction: with several workers a
batch is chosen once, and whatever dies in the middle has done nothing. The lock on the evaluation
comes first, then those on pairs in the order of their ids, as everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Greatest
from django.utils import timezone

from annotation.models import Assignment, Judgment, Output, Pair
from annotation.recent import Recent
from annotation.services.material import add_pair
from evaluation.contestants import contestants
from evaluation.drawn import place_of
from evaluation.engine.active import Chosen, next_pairs, posterior
from evaluation.met import asked
from evaluation.models import Comparison, Evaluation
from evaluation.plan import Plan
from evaluation.stopping import BUDGET, DECIDED, NO_PAIRS, StoppingState, as_stored, state_of
from steelyard.lib.hashing import stable_int
from steelyard.registry.models import ModelVersion

PRIORITY = 10
EACH = 8
"""Pairs that are kept waiting for every person at work, and as many more for whoever comes: each
page has four of them."""
_ROUNDS = 20
"""Batches in a row that may turn out to be nothing but identical outputs."""


def advance(pk: int) -> None:
    """Bring an evaluation a little further: write down what is sure, stop where that is all or the
    budget is used up, else see that people have enough to do. Safe to call at any time."""
    before = _sight(pk)
    if _seen.get(pk) == before:
        return
    if _advanced(pk):
        _seen.put(pk, before)


_seen: Recent[tuple[object, ...]] = Recent(seconds=120)
"""What an evaluation looked like when it was last brought further: where that has not changed there
is nothing to do."""


def _sight(pk: int) -> tuple[object, ...]:
    evaluation = Evaluation.objects.filter(pk=pk).first()
    if evaluation is None:
        return ()
    cast = Judgment.objects.filter(pair__comparisons__evaluation=pk).aggregate(last=Max("pk"))
    waits = asked(evaluation).filter(_OPEN).count()
    return (*cast.values(), waits, _people_at_work(evaluation), evaluation.stopped_at)


def _advanced(pk: int) -> bool:
    """Whether all was done that could be."""
    with transaction.atomic():
        rows = Evaluation.objects.select_for_update(of=("self",))
        evaluation = rows.select_related("project", "baseline").filter(pk=pk).first()
        if evaluation is None or not _is_asking(evaluation):
            return False
        if evaluation.stopped_at is not None:
            close(evaluation)  # leases may have run out since
            return False
        plan = Plan.of(evaluation.plan)
        state = state_of(evaluation, paths=False)
        if plan.stops_itself and _keep_decisions(evaluation, state):
            stop(evaluation, DECIDED)
            return False
        opened = open_more(evaluation, state)
        waits = asked(evaluation).filter(_OPEN).exists()
        if not opened and not waits:
            used = plan.budget is not None and spent(evaluation) >= plan.budget
            stop(evaluation, BUDGET if used else NO_PAIRS)
        return not opened


def _is_asking(evaluation: Evaluation) -> bool:
    comparing = evaluation.state == Evaluation.State.COMPARING
    return comparing and evaluation.ask_people and bool(evaluation.plan)


def _keep_decisions(evaluation: Evaluation, state: StoppingState) -> bool:
    """Write down what is sure since the last look, and ask no more about it; whether all is."""
    now = timezone.now()
    if new := state.newly_decided:
        for one in new:
            stored = as_stored(one, votes=state.evidence, at=now)
            evaluation.decisions[str(one.candidate.pk)] = stored
        evaluation.save(update_fields=["decisions"])
        close(evaluation, of=[one.candidate for one in new])
    return len(evaluation.decisions) == len(state.candidates)


# --- Stopping ----------------------------------------------------------------------------------

_OPEN = Q(pair__judged__lt=F("pair__wanted"), pair__closed=False)


def stop(evaluation: Evaluation, reason: str) -> None:
    """Ask no more. The caller holds the evaluation's lock."""
    evaluation.stopped_at, evaluation.stop_reason = timezone.now(), reason
    evaluation.save(update_fields=["stopped_at", "stop_reason"])
    close(evaluation)


def close(evaluation: Evaluation, of: Collection[ModelVersion] | None = None) -> None:
    """Take open comparisons out of the queue, all or those of some candidates. Whoever has one on
    the screen may finish it; what another evaluation asks for stays, and so do pairs from elsewhere
    that no evaluation has put first."""
    own = Q(pair__origin=Pair.Origin.EVALUATION) | Q(pair__priority__gte=PRIORITY)
    rows = asked(evaluation).filter(_OPEN).filter(own)
    if of is not None:
        rows = rows.filter(Q(candidate__in=of) | Q(opponent__in=of))
    others = Comparison.objects.filter(
        Q(evaluation__plan={}) | Q(asked_at__isnull=False),
        pair=OuterRef("pair"),
        evaluation__ask_people=True,
        evaluation__stopped_at=None,
    ).exclude(evaluation=evaluation)
    pairs = _locked(rows.exclude(Exists(others)))
    # a statement of its own, which sees what was leased before the locks were had
    with connection.cursor() as cursor:
        cursor.execute(_NO_MORE, {"pairs": pairs, "now": timezone.now()})


_NO_MORE = """
update annotation_pair pair set wanted = pair.judged + (
    select count(*) from annotation_assignment lease
    where lease.pair_id = pair.id and lease.expires_at > %(now)s)
where pair.id = any(%(pairs)s) and pair.wanted > pair.judged + (
    select count(*) from annotation_assignment lease
    where lease.pair_id = pair.id and lease.expires_at > %(now)s)
"""


def _locked(rows: QuerySet[Comparison]) -> list[int]:
    """The ids of their pairs, whose rows are locked."""
    pairs = Pair.objects.filter(pk__in=rows.order_by().values("pair")).order_by("pk")
    return list(pairs.select_for_update(no_key=True).values_list("pk", flat=True))


def reopen(evaluation: Evaluation) -> None:
    """Put comparisons back into the queue that a stop took out of it. The caller holds the
    evaluation's lock."""
    rows = asked(evaluation).exclude(pk__in=evaluation.comparisons.identical().values("pk"))
    if not evaluation.plan:
        _ask(evaluation, _locked(rows))
        return
    done = _done(evaluation)
    rows = rows.exclude(Q(candidate__in=done) | Q(opponent__in=done))
    left = _affordable(evaluation)
    again = []
    for pair in Pair.objects.filter(pk__in=_locked(rows)).order_by("pk"):
        cost = evaluation.project.overlap - max(pair.judged, pair.wanted)
        if cost > 0 and (left is None or left >= cost):
            left = None if left is None else left - cost
            again.append(pair.pk)
    _ask(evaluation, again)


def _ask(evaluation: Evaluation, pairs: Iterable[int], wanted: int | None = None) -> None:
    """Put pairs first in the labelling queue."""
    Pair.objects.filter(pk__in=list(pairs)).update(
        wanted=Greatest(F("wanted"), wanted or evaluation.project.overlap),
        priority=Greatest(F("priority"), PRIORITY),
    )


# --- The next batch ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slot:
    """A comparison that is to be asked about."""

    prompt: int
    candidate: int
    opponent: int
    """Numbers of the models; 0 is the baseline."""
    probability: float | None = None
    by_chance: bool | None = None


@dataclass(frozen=True)
class _Material:
    """What there is to choose from."""

    models: list[ModelVersion]
    prompts: dict[int, str]
    """Keys, by id."""
    outputs: dict[tuple[int, int], int]
    """By prompt and the model's number."""
    direct: dict[tuple[int, int], Comparison]
    """Of a prompt and a candidate against the baseline."""
    asked: dict[tuple[int, int], set[int]]
    """Prompts on which two models, by number, were asked about."""


def open_more(evaluation: Evaluation, state: StoppingState | None = None) -> int:
    """Open the next comparisons where fewer than half of what should wait for people does.

    The caller holds the evaluation's lock, or is alone with it.

    Returns:
        how many comparisons were drawn.
    """
    state = state or state_of(evaluation, paths=False)
    target = EACH * (1 + _people_at_work(evaluation))
    if _fresh(evaluation) > target // 2:
        return 0
    material = _material(evaluation, state)
    drawn = 0
    for turn in range(_ROUNDS):
        number = target - _fresh(evaluation)
        left = _affordable(evaluation)
        if number < 1 or (left is not None and left < 1):
            break
        if state.plan.is_active:
            slots = _draw(evaluation, state, material, number, seed=(evaluation.seed, turn))
        else:
            slots = _in_order(evaluation, material, number)
        if not slots:
            break
        drawn += _open(evaluation, material, slots, left)
    return drawn


def _people_at_work(evaluation: Evaluation) -> int:
    leases = Assignment.objects.live().filter(project=evaluation.project_id)
    return leases.order_by().values("annotator").distinct().count()


def _fresh(evaluation: Evaluation) -> int:
    """Open comparisons that nobody has judged or passed over yet, so that anybody may be given
    them."""
    seen = Judgment.objects.current().by_people().filter(pair=OuterRef("pair"))
    return asked(evaluation).filter(_OPEN).exclude(Exists(seen)).count()


def spent(evaluation: Evaluation) -> int:
    """Votes of people since they were asked."""
    given = asked(evaluation).aggregate(n=Sum("pair__judged"))["n"] or 0
    return max(0, given - _before(evaluation))


def _before(evaluation: Evaluation) -> int:
    """Votes on the comparisons from before they were asked about, which cost nothing."""
    rows = Judgment.objects.decisive().by_people().order_by()
    return rows.filter(
        pair__comparisons__evaluation=evaluation,
        created_at__lt=F("pair__comparisons__asked_at"),
    ).count()


def _affordable(evaluation: Evaluation) -> int | None:
    """Votes of the budget that nobody has been asked for; None where there is no budget."""
    budget = Plan.of(evaluation.plan).budget
    if budget is None:
        return None
    given = asked(evaluation).aggregate(n=Sum(Greatest("pair__judged", "pair__wanted")))["n"] or 0
    return max(0, budget - max(0, given - _before(evaluation)))


def _done(evaluation: Evaluation) -> list[int]:
    """Ids of candidates that need no more votes."""
    stops = Plan.of(evaluation.plan).stops_itself
    return [int(pk) for pk in evaluation.decisions] if stops else []


def _material(evaluation: Evaluation, state: StoppingState) -> _Material:
    models = contestants(evaluation)
    number = {model.pk: at for at, model in enumerate(models)}
    prompts, outputs, direct = {}, {}, {}
    met: dict[tuple[int, int], set[int]] = defaultdict(set)
    rows = evaluation.comparisons.filter(pair__closed=False, pair__is_training=False)
    for row in rows.select_related("pair__prompt").defer("pair__prompt__messages"):
        candidate, prompt = number[row.candidate_id], row.pair.prompt
        opponent = number[row.opponent_id] if row.opponent_id else 0
        if row.asked_at is not None:
            met[_two(candidate, opponent)].add(prompt.pk)
        if opponent:
            continue
        prompts[prompt.pk] = prompt.key
        direct[prompt.pk, candidate] = row
        sides = row.pair.output_a_id, row.pair.output_b_id
        own, other = sides if row.candidate_is_a else sides[::-1]
        outputs[prompt.pk, candidate], outputs[prompt.pk, 0] = own, other
    return _Material(models, prompts, outputs, direct, met)


def _in_order(evaluation: Evaluation, material: _Material, number: int) -> list[_Slot]:
    """All candidates that are not decided, prompt after prompt."""
    done = set(_done(evaluation))
    slots = []
    for prompt in sorted(
        material.prompts, key=lambda pk: place_of(evaluation, material.prompts[pk])
    ):
        for candidate, model in enumerate(material.models):
            if candidate == 0 or model.pk in done or (prompt, candidate) not in material.direct:
                continue
            if prompt not in material.asked[0, candidate]:
                slots.append(_Slot(prompt, candidate, 0))
        if len(slots) >= number:
            break
    return slots


def _draw(
    evaluation: Evaluation,
    state: StoppingState,
    material: _Material,
    number: int,
    seed: tuple[int, int],
) -> list[_Slot]:
    """The pairs of models that tell most and some by chance, each on its next prompt."""
    left = _prompts_left(evaluation, material)
    models = len(material.models)
    allowed = np.zeros((models, models), dtype=bool)
    for (one, other), prompts in left.items():
        allowed[one, other] = allowed[other, one] = bool(prompts)
    found = state.found
    scored = np.zeros((models, models))
    np.add.at(scored, (found.i, found.j), found.y)
    np.add.at(scored, (found.j, found.i), 1.0 - found.y)
    drawn_before = sum(map(len, material.asked.values()))
    # with the seed and the number of comparisons before it, a batch can be drawn again
    rng = np.random.default_rng([seed[0] % 2**63, drawn_before, seed[1]])
    chosen: Chosen = next_pairs(
        *posterior(scored), number, rng, allowed=allowed, random=state.plan.random_share
    )
    slots = []
    for at, two in enumerate(zip(chosen.i.tolist(), chosen.j.tolist(), strict=True)):
        if left[two]:
            other, candidate = two  # the baseline is 0, so the first where it is one of them
            slots.append(
                _Slot(
                    left[two].pop(),
                    candidate,
                    other,
                    float(chosen.probability[at]),
                    bool(chosen.by_chance[at]),
                )
            )
    return slots


def _prompts_left(evaluation: Evaluation, material: _Material) -> dict[tuple[int, int], list[int]]:
    """Of any two models that are to meet, the prompts on which they have not; the next is last.
    Each two have an order of their own, so that the same prompts are not asked about all over."""
    done = set(_done(evaluation))
    open_models = [at for at, m in enumerate(material.models) if at == 0 or m.pk not in done]
    left = {}
    for one in open_models:
        for other in open_models:
            if one >= other:
                continue
            names = material.models[one].name, material.models[other].name
            free = [
                pk
                for pk in material.prompts
                if (pk, one) in material.outputs
                and (pk, other) in material.outputs
                and pk not in material.asked[one, other]
            ]
            free.sort(key=lambda pk: -stable_int(evaluation.seed, *names, material.prompts[pk]))
            left[one, other] = free
    return left


def _open(evaluation: Evaluation, material: _Material, slots: list[_Slot], left: int | None) -> int:
    """Ask about them, as far as the budget goes; identical outputs are a tie and cost nothing."""
    now = timezone.now()
    drawn = [(slot, _comparison(evaluation, material, slot)) for slot in slots]
    comparisons = Comparison.objects.with_sides().in_bulk([row.pk for _, row in drawn])
    wanted: dict[int, list[int]] = defaultdict(list)
    asking = []
    for slot, row in drawn:
        row = comparisons[row.pk]
        material.asked[_two(slot.candidate, slot.opponent)].add(slot.prompt)
        row.asked_at, row.probability, row.by_chance = now, slot.probability, slot.by_chance
        if not row.is_identical:
            # votes that are there cost nothing; what is wanted already costs as much as what is
            # asked for now
            there = row.pair.judged
            have = max(there, row.pair.wanted)
            cost = max(have, evaluation.project.overlap) - there
            if left is not None:
                if cost and left < 1:
                    break
                cost = min(cost, max(left, have - there))
                left -= cost
            wanted[there + cost].append(row.pair_id)
        asking.append(row)
    Comparison.objects.bulk_update(asking, ["asked_at", "probability", "by_chance"])
    every = sorted(pk for pairs in wanted.values() for pk in pairs)
    list(Pair.objects.filter(pk__in=every).order_by("pk").select_for_update(no_key=True))
    for number, pairs in wanted.items():
        _ask(evaluation, pairs, number)
    return len(asking)


def _comparison(evaluation: Evaluation, material: _Material, slot: _Slot) -> Comparison:
    """The row of two models on a prompt, made where two candidates meet for the first time."""
    if not slot.opponent:
        return material.direct[slot.prompt, slot.candidate]
    ids = [material.outputs[slot.prompt, at] for at in (slot.candidate, slot.opponent)]
    outputs = Output.objects.select_related("prompt__project").in_bulk(ids)
    first, second = (outputs[pk] for pk in ids)
    pair, _ = add_pair(first=first, second=second, origin=Pair.Origin.EVALUATION, wanted=0)
    comparison, _ = Comparison.objects.get_or_create(
        evaluation=evaluation,
        pair=pair,
        defaults={
            "candidate": material.models[slot.candidate],
            "opponent": material.models[slot.opponent],
            "candidate_is_a": pair.output_a_id == first.pk,
        },
    )
    return comparison


def _two(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)
