"""Rankings: sets handed out exactly as often as wanted, orders stored once, and what they come to
as judgments."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import combinations, product
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation.models import Annotator, Judgment, OutputSet, Pair, Ranking, RankingLease
from annotation.services.queue import next_pair
from annotation.services.ranking import Order, amend_ranking, record_ranking
from annotation.services.ranking_queue import next_set, progress_in_sets, renew_sets, why_no_set
from annotation.services.verdicts import Verdict, amend_judgment
from annotation.tiers import are_at_odds, compared, problem_of, ranks_of, shuffled, tiers_of
from steelyard.lib.errors import UserError
from tests import factories
from tests.racing import at_once


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking"})


def numbers(output_set: OutputSet) -> list[int]:
    return list(output_set.outputs.order_by("pk").values_list("pk", flat=True))


def one_each(output_set: OutputSet) -> list[list[int]]:
    return [[pk] for pk in numbers(output_set)]


def expire() -> None:
    RankingLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def rank(annotator: Annotator, output_set: OutputSet, tiers: list[list[int]]) -> Ranking:
    """Through a lease, as everybody ranks."""
    assert next_set(annotator=annotator) is not None
    order = Order(uuid=uuid4(), tiers=tiers)
    return record_ranking(annotator=annotator, output_set=output_set, order=order)[0]


def verdicts(annotator: Annotator) -> dict[frozenset[int], tuple[int | None, int]]:
    """Of each two outputs, the better one (None for a tie) and by how much."""
    found = {}
    mine = Judgment.objects.decisive().filter(annotator=annotator).select_related("pair")
    for judgment in mine:
        pair = judgment.pair
        better = {"a": pair.output_a_id, "b": pair.output_b_id}.get(judgment.outcome)
        found[frozenset((pair.output_a_id, pair.output_b_id))] = (better, abs(judgment.strength))
    return found


def by_hand(tiers: list[list[int]], top: int = 3) -> dict[frozenset[int], tuple[int | None, int]]:
    """The same, each two outputs looked up in the tiers."""
    found = {}
    places = {pk: n for n, tier in enumerate(tiers) for pk in tier}
    for one, other in combinations(places, 2):
        gap = places[other] - places[one]
        better = None if gap == 0 else one if gap > 0 else other
        found[frozenset((one, other))] = (better, min(abs(gap), top))
    return found


# ---- the queue ----


def test_it_works(project: Any) -> None:
    output_set = factories.make_set(project, 4)
    annotator = factories.make_annotator(project)
    lease = next_set(annotator=annotator)
    assert lease is not None
    assert sorted(lease.shown) == numbers(output_set)
    assert next_set(annotator=annotator) == lease
    best, *others = lease.shown
    order = Order(uuid=uuid4(), tiers=[[best], others])
    ranking, created = record_ranking(annotator=annotator, output_set=output_set, order=order)
    assert created
    assert ranking.shown == lease.shown
    assert verdicts(annotator) == by_hand([[best], others])
    assert next_set(annotator=annotator) is None
    assert why_no_set(annotator) == "done"
    assert progress_in_sets(annotator) == {"done": 1, "left": 0, "total": 1, "quota": None}


def test_the_order_of_the_screen_is_the_annotators_own_and_stays() -> None:
    orders = {tuple(shuffled(annotator, 7, [1, 2, 3])) for annotator in range(100)}
    assert len(orders) == 6
    assert shuffled(5, 7, [1, 2, 3]) == shuffled(5, 7, [3, 1, 2])


def test_sets_of_higher_priority_come_first_and_held_ones_are_passed_over(project: Any) -> None:
    low, high = (factories.make_set(project, 2, priority=p) for p in (0, 3))
    annotator = factories.make_annotator(project)
    first = next_set(annotator=annotator)
    assert first is not None
    assert first.output_set == high
    second = next_set(annotator=annotator, holding=[high.pk])
    assert second is not None
    assert second.output_set == low
    assert next_set(annotator=annotator, holding=[high.pk, low.pk]) is None


def test_nobody_ranks_an_output_of_their_own(project: Any) -> None:
    output_set = factories.make_set(project, 3)
    annotator = factories.make_annotator(project)
    output_set.outputs.filter(pk=numbers(output_set)[0]).update(author=annotator)
    assert next_set(annotator=annotator) is None
    assert progress_in_sets(annotator)["left"] == 0
    assert next_set(annotator=factories.make_annotator(project)) is not None


def test_pauses_and_caps_hold(project: Any) -> None:
    for _ in range(3):
        factories.make_set(project, 2)
    annotator = factories.make_annotator(project, cap=1)
    lease = next_set(annotator=annotator)
    assert lease is not None
    assert next_set(annotator=annotator, holding=[lease.output_set_id]) is None
    rank(annotator, lease.output_set, one_each(lease.output_set))
    assert next_set(annotator=annotator) is None
    assert why_no_set(annotator) == "cap"
    annotator.cap, project.day_cap = None, 1
    annotator.project = project
    assert next_set(annotator=annotator) is None
    assert why_no_set(annotator) == "day_cap"
    project.day_cap, project.paused = None, True
    assert next_set(annotator=annotator) is None
    assert why_no_set(annotator) == "paused"


def test_a_late_ranking_comes_before_work_that_nobody_has_begun(project: Any) -> None:
    first, second = (factories.make_annotator(project) for _ in range(2))
    for draft in ({}, {"at": 1}):
        output_set = factories.make_set(project, 2)
        assert next_set(annotator=first)
        expire()
        assert next_set(annotator=second)
        RankingLease.objects.live().update(draft=draft)
        order = Order(uuid=uuid4(), tiers=one_each(output_set))
        if draft:
            with pytest.raises(UserError) as held:
                record_ranking(annotator=first, output_set=output_set, order=order)
            assert held.value.code == "set_held"
        else:
            record_ranking(annotator=first, output_set=output_set, order=order)
            assert not RankingLease.objects.exists()


def test_a_lease_that_ran_out_is_taken_up_again_if_its_place_is_free(project: Any) -> None:
    output_set = factories.make_set(project, 2)
    first, second = (factories.make_annotator(project) for _ in range(2))
    assert next_set(annotator=first)
    assert why_no_set(second) == "with_others"
    expire()
    draft = {"at": 1, "fields": []}
    sets = [output_set.pk]
    held = renew_sets(annotator=first, sets=sets, draft=draft, draft_of=output_set.pk)
    assert held == sets
    assert RankingLease.objects.get().draft == draft
    expire()
    assert next_set(annotator=second) is not None
    assert renew_sets(annotator=first, sets=sets) == []
    RankingLease.objects.live().update(draft=draft)
    order = Order(uuid=uuid4(), tiers=one_each(output_set))
    with pytest.raises(UserError, match="somebody else is at work"):
        record_ranking(annotator=first, output_set=output_set, order=order)


@pytest.mark.django_db(transaction=True)
def test_racing_through_the_queue_every_set_gets_exactly_its_overlap() -> None:
    project = factories.make_project(overlap=2, label_scheme={"task": "ranking"})
    prompt = factories.make_prompt(project)
    outputs = [factories.make_output(prompt) for _ in range(5)]
    # sets that share outputs, so that their rankings share pairs
    for three in combinations(outputs, 3):
        factories.make_set(project, outputs=list(three))
    annotators = [factories.make_annotator(project) for _ in range(6)]

    def work(annotator: Annotator) -> int:
        done = 0
        for _ in range(100):
            lease = next_set(annotator=annotator)
            if lease is None:
                if why_no_set(annotator) == "done":
                    break
                continue
            rank_it = Order(uuid=uuid4(), tiers=[[pk] for pk in lease.shown])
            record_ranking(annotator=annotator, output_set=lease.output_set, order=rank_it)
            done += 1
        return done

    # whoever has looked in vain too often stops, so the last places may wait for a second round
    done = at_once(*[lambda a=a: work(a) for a in annotators])
    done += [work(annotator) for annotator in annotators]
    assert sum(done) == 20
    assert set(OutputSet.objects.values_list("judged", "wanted")) == {(2, 2)}
    rows = Ranking.objects.values_list("output_set", "annotator")
    assert len(rows) == len(set(rows)) == 20
    for pair in Pair.objects.all():
        n = Judgment.objects.decisive().filter(pair=pair).count()
        assert (pair.judged, pair.wanted) == (n, n)


# ---- recording ----


def test_the_same_uuid_again_is_the_same_ranking(project: Any) -> None:
    output_set = factories.make_set(project, 3)
    annotator = factories.make_annotator(project)
    next_set(annotator=annotator)
    order = Order(uuid=uuid4(), tiers=one_each(output_set))
    said = {"annotator": annotator, "output_set": output_set, "order": order}
    first, created = record_ranking(**said)
    again, anew = record_ranking(**said)
    assert (created, anew) == (True, False)
    assert first == again
    assert Judgment.objects.count() == 3
    other = Order(uuid=uuid4(), tiers=order.tiers)
    with pytest.raises(UserError, match="already"):
        record_ranking(annotator=annotator, output_set=output_set, order=other)


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_sent_five_times_at_once_is_stored_once() -> None:
    project = factories.make_project(label_scheme={"task": "ranking"})
    output_set = factories.make_set(project, 4)
    annotator = factories.make_annotator(project)
    next_set(annotator=annotator)
    order = Order(uuid=uuid4(), tiers=one_each(output_set))

    def send() -> tuple[Ranking, bool]:
        return record_ranking(annotator=annotator, output_set=output_set, order=order)

    answers = at_once(*[send] * 5)
    assert Counter(created for _, created in answers) == {True: 1, False: 4}
    assert Judgment.objects.count() == 6


def test_a_skip_leaves_the_set_to_others_and_says_nothing_of_its_pairs(project: Any) -> None:
    output_set = factories.make_set(project, 3)
    first, second = (factories.make_annotator(project) for _ in range(2))
    next_set(annotator=first)
    order = Order(uuid=uuid4(), skipped=True, skip_reason="broken")
    record_ranking(annotator=first, output_set=output_set, order=order)
    assert not Pair.objects.exists()
    assert next_set(annotator=first) is None
    assert next_set(annotator=second) is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda pks: [pks[:1], pks[1:2]], "left out"),
        (lambda pks: [pks, pks[:1]], "twice"),
        (lambda pks: [pks, [10**9]], "not in this set"),
        (lambda pks: [pks, []], "tier is empty"),
        (lambda pks: [], "left out"),
    ],
)
def test_tiers_that_are_no_order_of_the_set_are_refused(
    project: Any, change: Any, words: str
) -> None:
    output_set = factories.make_set(project, 3)
    annotator = factories.make_annotator(project)
    next_set(annotator=annotator)
    order = Order(uuid=uuid4(), tiers=change(numbers(output_set)))
    with pytest.raises(UserError, match=words):
        record_ranking(annotator=annotator, output_set=output_set, order=order)
    assert not Ranking.objects.exists()
    assert not Pair.objects.exists()


@pytest.mark.django_db
def test_ties_need_a_scheme_that_has_them() -> None:
    project = factories.make_project(label_scheme={"task": "ranking", "tie": False})
    output_set = factories.make_set(project, 2)
    annotator = factories.make_annotator(project)
    next_set(annotator=annotator)
    order = Order(uuid=uuid4(), tiers=[numbers(output_set)])
    with pytest.raises(UserError, match="no ties"):
        record_ranking(annotator=annotator, output_set=output_set, order=order)


# ---- amending ----


def test_an_amended_ranking_supersedes_its_judgments(project: Any) -> None:
    output_set = factories.make_set(project, 3)
    annotator = factories.make_annotator(project)
    one, two, three = numbers(output_set)
    first = rank(annotator, output_set, [[one], [two], [three]])
    order = Order(uuid=uuid4(), tiers=[[three], [one, two]])
    said = {"annotator": annotator, "ranking": first, "order": order}
    second, created = amend_ranking(**said)
    assert created
    assert amend_ranking(**said) == (second, False)
    assert second.supersedes == first
    assert verdicts(annotator) == by_hand([[three], [one, two]])
    assert Judgment.objects.filter(is_current=False).count() == 3
    assert set(Pair.objects.values_list("judged", "wanted")) == {(1, 1)}
    with pytest.raises(UserError, match="not your current"):
        amend_ranking(
            annotator=annotator, ranking=first, order=Order(uuid=uuid4(), tiers=[[one, two, three]])
        )


def test_a_ranking_taken_back_gives_its_places_back_and_can_be_given_again(project: Any) -> None:
    output_set = factories.make_set(project, 3)
    annotator, other = (factories.make_annotator(project) for _ in range(2))
    ranking = rank(annotator, output_set, one_each(output_set))
    skip = Order(uuid=uuid4(), skipped=True)
    skipped, _ = amend_ranking(annotator=annotator, ranking=ranking, order=skip)
    assert verdicts(annotator) == {}
    assert set(Pair.objects.values_list("judged", "wanted")) == {(0, 0)}
    assert OutputSet.objects.get().judged == 0
    tiers = one_each(output_set)[::-1]
    again, _ = amend_ranking(
        annotator=annotator, ranking=skipped, order=Order(uuid=uuid4(), tiers=tiers)
    )
    assert verdicts(annotator) == by_hand(tiers)
    amend_ranking(annotator=annotator, ranking=again, order=Order(uuid=uuid4(), skipped=True))
    rank(other, output_set, tiers)
    with pytest.raises(UserError, match="Others have ranked"):
        amend_ranking(
            annotator=annotator,
            ranking=Ranking.objects.current().get(annotator=annotator),
            order=Order(uuid=uuid4(), tiers=tiers),
        )


def test_a_verdict_that_comes_of_a_ranking_is_changed_by_the_ranking_alone(project: Any) -> None:
    output_set = factories.make_set(project, 2)
    annotator = factories.make_annotator(project)
    rank(annotator, output_set, one_each(output_set))
    judgment = Judgment.objects.get()
    with pytest.raises(UserError, match="change the ranking"):
        amend_judgment(
            annotator=annotator, judgment=judgment, verdict=Verdict(uuid=uuid4(), outcome="tie")
        )


# ---- what an order says of its pairs ----


def test_every_order_of_up_to_four_outputs_says_what_its_tiers_say() -> None:
    for n in (2, 3, 4):
        for ranks in product(range(n), repeat=n):
            tiers = tiers_of(dict(enumerate(ranks)))
            assert ranks_of(tiers).keys() == set(range(n))
            for top in (1, 2, 3):
                found = {
                    frozenset((better, other)): (better if steps else None, steps)
                    for better, other, steps in compared(tiers, top=top)
                }
                assert found == by_hand(tiers, top)


def test_what_an_order_says_is_transitive() -> None:
    for ranks in product(range(4), repeat=4):
        tiers = tiers_of(dict(enumerate(ranks)))
        above = {(one, other) for one, other, steps in compared(tiers) if steps}
        tied = {frozenset((one, other)) for one, other, steps in compared(tiers) if not steps}
        for one, two, three in product(range(4), repeat=3):
            if len({one, two, three}) < 3:
                continue
            if (one, two) in above and (two, three) in above:
                assert (one, three) in above
            if frozenset((one, two)) in tied and (two, three) in above:
                assert (one, three) in above
            if {frozenset((one, two)), frozenset((two, three))} <= tied:
                assert frozenset((one, three)) in tied


@pytest.mark.django_db
def test_strengths_keep_to_the_projects_scale() -> None:
    project = factories.make_project(label_scheme={"task": "ranking", "steps": 5})
    output_set = factories.make_set(project, 4)
    annotator = factories.make_annotator(project)
    tiers = one_each(output_set)
    rank(annotator, output_set, tiers)
    assert verdicts(annotator) == by_hand(tiers, top=2)


def test_pairs_that_are_here_already_stay_in_the_queue_for_as_many_people(project: Any) -> None:
    pair = factories.make_pair(project, wanted=2)
    third = factories.make_output(pair.prompt)
    outputs = [pair.output_a, pair.output_b, third]
    output_set = factories.make_set(project, outputs=outputs)
    annotator, other = (factories.make_annotator(project) for _ in range(2))
    rank(annotator, output_set, [[pair.output_a_id, third.pk], [pair.output_b_id]])
    pair.refresh_from_db()
    assert (pair.judged, pair.wanted) == (1, 3)
    assert pair.origin == "import"
    lease = next_pair(annotator=other)
    assert lease is not None
    assert lease.pair == pair
    assert next_pair(annotator=other, holding=[pair.pk]) is None
    assert next_pair(annotator=annotator) is None


def test_a_later_order_of_another_set_is_the_word_on_the_pair_they_share(project: Any) -> None:
    prompt = factories.make_prompt(project)
    outputs = [factories.make_output(prompt) for _ in range(4)]
    one, two, three, four = (output.pk for output in outputs)
    first, second = (
        factories.make_set(project, outputs=some) for some in (outputs[:3], outputs[1:])
    )
    annotator = factories.make_annotator(project)
    ranking = rank(annotator, first, [[one], [two], [three]])
    rank(annotator, second, [[three], [two], [four]])
    assert verdicts(annotator)[frozenset((two, three))] == (three, 1)
    amend_ranking(annotator=annotator, ranking=ranking, order=Order(uuid=uuid4(), skipped=True))
    assert verdicts(annotator) == by_hand([[three], [two], [four]])
    for pair in Pair.objects.all():
        n = Judgment.objects.decisive().filter(pair=pair).count()
        assert (pair.judged, pair.wanted) == (n, n)


def test_what_is_wrong_with_tiers_is_said() -> None:
    assert problem_of([[1], [2]], [1, 2]) == ""
    assert "leave it out" in problem_of([[1], []], [1])


# ---- people who are at odds ----


def test_orders_are_at_odds_where_half_of_what_they_compare_has_no_majority() -> None:
    assert not are_at_odds([])
    assert not are_at_odds([[[1], [2], [3]]])
    assert not are_at_odds([[[1], [2], [3]], [[1], [3], [2]]])  # one comparison of three
    assert are_at_odds([[[1], [2], [3]], [[2], [3], [1]]])  # two of three
    assert are_at_odds([[[1], [2]], [[1, 2]]])
    assert not are_at_odds([[[1], [2]], [[2], [1]], [[2], [1]]])
    assert are_at_odds([[[1], [2]], [[2], [1]], [[1, 2]]])


def test_a_set_on_which_people_are_at_odds_wants_one_ranking_more(project: Any) -> None:
    project.overlap_max = 3
    project.save()
    output_set = factories.make_set(project, 3, wanted=2)
    one, two, three, four = (factories.make_annotator(project) for _ in range(4))
    order = one_each(output_set)
    rank(one, output_set, order)
    rank(two, output_set, order[::-1])
    output_set.refresh_from_db()
    assert (output_set.judged, output_set.wanted) == (2, 3)
    rank(three, output_set, order)
    output_set.refresh_from_db()
    assert (output_set.judged, output_set.wanted) == (3, 3)
    assert next_set(annotator=four) is None


def test_a_set_on_which_people_agree_stays_as_it_is_until_one_changes_their_mind(
    project: Any,
) -> None:
    project.overlap_max = 3
    project.save()
    output_set = factories.make_set(project, 3, wanted=2)
    one, two, three = (factories.make_annotator(project) for _ in range(3))
    order = one_each(output_set)
    rank(one, output_set, order)
    ranking = rank(two, output_set, order)
    assert next_set(annotator=three) is None
    amend_ranking(annotator=two, ranking=ranking, order=Order(uuid=uuid4(), tiers=order[::-1]))
    assert next_set(annotator=three) is not None
