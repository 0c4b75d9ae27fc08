"""Leases, with real connections that race."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation import sides
from annotation.models import Annotator, Assignment, Judgment, Pair
from annotation.services.queue import annotator_for, next_pair, progress_of
from annotation.services.verdicts import Verdict, record_judgment
from steelyard.lib.errors import UserError
from tests import factories
from tests.racing import at_once


def expire() -> None:
    Assignment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_it_works(project: Any) -> None:
    pair = factories.make_pair(project)
    annotator = factories.make_annotator(project)
    lease = next_pair(annotator=annotator)
    assert lease is not None
    assert lease.pair == pair
    assert next_pair(annotator=annotator) == lease
    verdict = Verdict(uuid=uuid4(), outcome="a")
    judgment, created = record_judgment(annotator=annotator, pair=pair, verdict=verdict)
    assert created
    assert (judgment.outcome, judgment.strength) == ("a", -1)
    assert next_pair(annotator=annotator) is None
    assert progress_of(annotator) == {"done": 1, "left": 0, "total": 1, "quota": None}


def test_a_pair_of_higher_priority_comes_first_then_the_oldest(project: Any) -> None:
    pairs = [factories.make_pair(project, priority=p) for p in (0, 5, 0)]
    annotator = factories.make_annotator(project)
    seen = []
    while lease := next_pair(annotator=annotator):
        seen.append(lease.pair)
        verdict = Verdict(uuid=uuid4(), outcome="tie")
        record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)
    assert seen == [pairs[1], pairs[0], pairs[2]]


def test_an_expired_lease_is_free_for_others_and_keeps_its_order_for_the_first(
    project: Any,
) -> None:
    factories.make_pair(project)
    first, second = (factories.make_annotator(project) for _ in range(2))
    lease = next_pair(annotator=first)
    assert lease is not None
    assert next_pair(annotator=second) is None
    expire()
    taken = next_pair(annotator=second)
    assert taken is not None
    assert taken.pair == lease.pair
    assert next_pair(annotator=first) is None
    expire()
    again = next_pair(annotator=first)
    assert again is not None
    assert again.swapped == lease.swapped


def test_sides_are_drawn_evenly(project: Any) -> None:
    drawn = [sides.drawn(annotator, pair) for annotator in range(20) for pair in range(100)]
    assert 900 < sum(drawn) < 1100


def test_a_skip_leaves_the_pair_to_others(project: Any) -> None:
    pair = factories.make_pair(project)
    first, second = (factories.make_annotator(project) for _ in range(2))
    next_pair(annotator=first)
    verdict = Verdict(uuid=uuid4(), outcome="skip")
    record_judgment(annotator=first, pair=pair, verdict=verdict)
    assert next_pair(annotator=first) is None
    lease = next_pair(annotator=second)
    assert lease is not None
    assert lease.pair == pair


def test_a_pair_that_an_import_has_completed_is_not_held_on_to(project: Any) -> None:
    pair = factories.make_pair(project)
    annotator = factories.make_annotator(project)
    next_pair(annotator=annotator)
    factories.make_judgment(pair, "b")
    other = factories.make_pair(project)
    lease = next_pair(annotator=annotator)
    assert lease is not None
    assert lease.pair == other


@pytest.mark.django_db(transaction=True)
def test_racing_annotators_never_hold_more_leases_than_a_pair_wants() -> None:
    project = factories.make_project(overlap=2)
    for _ in range(3):
        factories.make_pair(project)
    annotators = [factories.make_annotator(project) for _ in range(10)]
    leases = at_once(*[lambda a=a: next_pair(annotator=a) for a in annotators])
    # who came while all rows were locked was given nothing, and asks again
    without = [a for a, lease in zip(annotators, leases, strict=True) if lease is None]
    leases += [next_pair(annotator=annotator) for annotator in without]
    held = Counter(lease.pair_id for lease in leases if lease)
    assert sum(held.values()) == 6
    assert set(held.values()) == {2}


@pytest.mark.django_db(transaction=True)
def test_racing_through_the_queue_every_pair_gets_exactly_its_overlap() -> None:
    project = factories.make_project(overlap=2)
    for _ in range(12):
        factories.make_pair(project)
    annotators = [factories.make_annotator(project) for _ in range(6)]

    def label(annotator: Annotator) -> int:
        done = 0
        while lease := next_pair(annotator=annotator):
            verdict = Verdict(uuid=uuid4(), outcome="a")
            record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)
            done += 1
        return done

    # one who finds all held stops early, so the last rows may wait for a second round
    done = sum(at_once(*[lambda a=a: label(a) for a in annotators]))
    done += sum(label(annotator) for annotator in annotators)
    assert done == 24
    assert set(Pair.objects.values_list("judged", flat=True)) == {2}
    assert Judgment.objects.count() == 24
    assert not Assignment.objects.exists()


def late_and_others(n: int, **settings: Any) -> tuple[Pair, Annotator, list[Annotator]]:
    """A pair, somebody whose lease on it has run out, and n others who hold it now."""
    project = factories.make_project(**settings)
    pair = factories.make_pair(project)
    late, *others = (factories.make_annotator(project) for _ in range(n + 1))
    assert next_pair(annotator=late)
    expire()
    for other in others:
        assert next_pair(annotator=other)
    return pair, late, others


def hand_in(annotator: Annotator, pair: Pair) -> Judgment:
    verdict = Verdict(uuid=uuid4(), outcome="b")
    return record_judgment(annotator=annotator, pair=pair, verdict=verdict)[0]


def holders(pair: Pair) -> set[Annotator]:
    return {lease.annotator for lease in Assignment.objects.live().filter(pair=pair)}


def test_a_late_verdict_comes_before_work_that_nobody_has_begun(db: None) -> None:
    pair, late, [other] = late_and_others(1)
    hand_in(late, pair)
    assert holders(pair) == set()
    with pytest.raises(UserError):
        hand_in(other, pair)
    pair.refresh_from_db()
    assert pair.judged == Judgment.objects.count() == 1


def test_a_late_verdict_waits_behind_work_that_others_have_begun(db: None) -> None:
    pair, late, [other] = late_and_others(1)
    Assignment.objects.live().update(draft={"at": 1})
    with pytest.raises(UserError) as held:
        hand_in(late, pair)
    assert (held.value.code, held.value.status) == ("pair_held", 409)
    hand_in(other, pair)
    with pytest.raises(UserError) as taken:
        hand_in(late, pair)
    assert taken.value.code == "pair_taken"


def test_of_those_who_have_not_begun_the_newest_makes_room_for_a_late_verdict(db: None) -> None:
    pair, late, [begun, first, newest] = late_and_others(3, overlap=3)
    Assignment.objects.filter(annotator=begun).update(draft={"at": 1})
    hand_in(late, pair)
    assert holders(pair) == {begun, first}
    with pytest.raises(UserError):
        hand_in(newest, pair)
    for annotator in (begun, first):
        hand_in(annotator, pair)
    pair.refresh_from_db()
    assert pair.judged == Judgment.objects.count() == 3


def test_nobody_makes_room_where_a_late_verdict_has_the_pair_raised(db: None) -> None:
    pair, late, [first, second] = late_and_others(2, overlap=2, overlap_max=3)
    verdict = Verdict(uuid=uuid4(), outcome="a")
    record_judgment(annotator=first, pair=pair, verdict=verdict)
    hand_in(late, pair)
    assert holders(pair) == {second}


@pytest.mark.django_db(transaction=True)
def test_expired_leases_race_for_the_last_place() -> None:
    project = factories.make_project()
    pair = factories.make_pair(project)
    annotators = []
    for _ in range(5):
        annotators.append(factories.make_annotator(project))
        assert next_pair(annotator=annotators[-1])
        expire()

    results = at_once(*[lambda a=a: hand_in(a, pair) for a in annotators])
    codes = [result.code for result in results if isinstance(result, UserError)]
    assert codes == ["pair_taken"] * 4
    assert Judgment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_verdict_sent_many_times_at_once_is_one_judgment() -> None:
    project = factories.make_project()
    pair = factories.make_pair(project)
    annotator = factories.make_annotator(project)
    next_pair(annotator=annotator)
    verdict = Verdict(uuid=uuid4(), outcome="a")
    results = at_once(
        *[lambda: record_judgment(annotator=annotator, pair=pair, verdict=verdict)] * 6
    )
    assert sorted(created for _, created in results) == [False] * 5 + [True]
    assert len({judgment.pk for judgment, _ in results}) == 1
    pair.refresh_from_db()
    assert pair.judged == 1


@pytest.mark.django_db(transaction=True)
def test_two_verdicts_of_one_person_at_once_leave_the_first() -> None:
    project = factories.make_project(overlap=3)
    pair = factories.make_pair(project)
    annotator = factories.make_annotator(project)
    next_pair(annotator=annotator)

    def hand_in(outcome: str) -> Any:
        verdict = Verdict(uuid=uuid4(), outcome=outcome)
        return record_judgment(annotator=annotator, pair=pair, verdict=verdict)

    results = at_once(lambda: hand_in("a"), lambda: hand_in("b"))
    refused = [result for result in results if isinstance(result, UserError)]
    assert [error.code for error in refused] == ["already_judged"]
    assert Judgment.objects.count() == 1


def test_a_uuid_used_for_another_verdict_is_refused(project: Any) -> None:
    annotator = factories.make_annotator(project)
    uuid = uuid4()
    for outcome in ("a", "b"):
        factories.make_pair(project)
        lease = next_pair(annotator=annotator)
        assert lease is not None
        verdict = Verdict(uuid=uuid, outcome=outcome)
        if outcome == "a":
            record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)
        else:
            with pytest.raises(UserError, match="belongs to another judgment"):
                record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"outcome": "left"}, "outcome"),
        ({"outcome": "a", "strength": 2}, "strength"),
        ({"outcome": "b", "strength": 4}, "strength"),
        ({"outcome": "tie", "strength": 1}, "strength"),
        ({"outcome": "a", "aspects": {"colour": 1}}, "aspects"),
    ],
)
def test_a_verdict_that_contradicts_itself_is_refused(
    project: Any, said: dict[str, Any], field: str
) -> None:
    pair = factories.make_pair(project)
    annotator = factories.make_annotator(project)
    next_pair(annotator=annotator)
    with pytest.raises(UserError) as refused:
        record_judgment(annotator=annotator, pair=pair, verdict=Verdict(uuid=uuid4(), **said))
    assert refused.value.field == field


@pytest.mark.django_db(transaction=True)
def test_a_persons_first_two_requests_at_once_make_one_annotator() -> None:
    project = factories.make_project()
    user = factories.make_user(project=project)
    made = at_once(*[lambda: annotator_for(user=user, project=project)] * 4)
    assert len({annotator.pk for annotator in made}) == 1


def test_nobody_adds_to_votes_imported_under_their_name(project: Any) -> None:
    imported = factories.make_annotator(project, "rater")
    factories.make_annotator(project, "rater (2)", kind="judge")
    user = factories.make_user("rater", project=project)
    annotator = annotator_for(user=user, project=project)
    assert (annotator.name, annotator.user) == ("rater (3)", user)
    assert annotator_for(user=user, project=project).pk == annotator.pk
    imported.refresh_from_db()
    assert imported.user is None
