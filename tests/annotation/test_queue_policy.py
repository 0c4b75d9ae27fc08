"""Which pair comes next, and to whom a pair is never given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import leasing
from annotation.models import Annotator, Assignment, Group, Judgment, OutputSet, Pair, Ranking
from annotation.services import finding
from annotation.services.queue import MAX_HELD, next_pair, progress_of, release, why_nothing
from annotation.services.verdicts import Verdict, record_judgment
from steelyard.projects.models import QueuePolicy
from tests import factories


@pytest.fixture
def rater(project: Any) -> Annotator:
    return factories.make_annotator(project, "rater")


def pair_with(project: Any, *, wanted: int = 1, priority: int = 0, **fields: Any) -> Pair:
    """A pair whose other fields are as said."""
    pair = factories.make_pair(project, wanted=wanted, priority=priority)
    Pair.objects.filter(pk=pair.pk).update(**fields)
    pair.refresh_from_db()
    return pair


def labels(annotator: Annotator, outcome: str = "tie") -> Pair | None:
    """The pair that the annotator is given and judges."""
    lease = next_pair(annotator=annotator)
    if lease is None:
        return None
    record_judgment(
        annotator=annotator, pair=lease.pair, verdict=Verdict(uuid=uuid4(), outcome=outcome)
    )
    return lease.pair


def labels_all(annotator: Annotator) -> list[Pair]:
    seen = []
    while pair := labels(annotator):
        seen.append(pair)
    return seen


def set_policy(annotator: Annotator, policy: str) -> None:
    annotator.project.queue_policy = policy
    annotator.project.save()


def group_of(*members: Annotator, name: str = "experts") -> Group:
    group = Group.objects.create(project=members[0].project, name=name)
    group.members.set(members)
    return group


@pytest.mark.parametrize("policy", QueuePolicy.values)
def test_whatever_the_policy_every_pair_is_given_once_and_the_urgent_first(
    rater: Annotator, policy: str
) -> None:
    set_policy(rater, policy)
    pairs = [factories.make_pair(rater.project, priority=n % 3, wanted=2) for n in range(9)]
    seen = labels_all(rater)
    assert sorted(pair.pk for pair in seen) == [pair.pk for pair in pairs]
    assert [pair.priority for pair in seen] == [2] * 3 + [1] * 3 + [0] * 3


def test_in_order_gives_the_oldest_first(rater: Annotator) -> None:
    pairs = [factories.make_pair(rater.project) for _ in range(4)]
    assert labels_all(rater) == pairs


def test_shuffled_goes_by_the_hash_and_is_the_same_for_everybody(rater: Annotator) -> None:
    set_policy(rater, "shuffled")
    pairs = [factories.make_pair(rater.project, wanted=2) for _ in range(6)]
    other = factories.make_annotator(rater.project)
    assert labels_all(rater) == sorted(pairs, key=lambda pair: pair.key)
    assert labels_all(other) == sorted(pairs, key=lambda pair: pair.key)


def test_finish_first_and_spread_go_by_what_has_been_judged(rater: Annotator) -> None:
    fresh, begun = (factories.make_pair(rater.project, wanted=3) for _ in range(2))
    factories.make_judgment(begun)
    for policy, first in (("finish_first", begun), ("spread", fresh)):
        set_policy(rater, policy)
        lease = next_pair(annotator=rater)
        assert lease is not None
        assert lease.pair == first
        release(annotator=rater, pair=lease.pair)


def test_a_pair_of_a_group_is_for_its_members_and_comes_first_for_them(rater: Annotator) -> None:
    outsider = factories.make_annotator(rater.project)
    for_all = factories.make_pair(rater.project, priority=5)
    for_group = pair_with(rater.project, group=group_of(rater))
    assert progress_of(outsider)["left"] == 1
    lease = next_pair(annotator=outsider)
    assert lease is not None
    assert lease.pair == for_all
    release(annotator=outsider, pair=for_all)
    assert labels_all(rater) == [for_group, for_all]
    assert why_nothing(outsider) == "done"


def test_of_several_groups_the_most_urgent_pair_comes_first(rater: Annotator) -> None:
    groups = [group_of(rater, name=name) for name in ("one", "two", "three")]
    pairs = [
        pair_with(rater.project, group=group, priority=priority)
        for group, priority in zip(groups, (0, 7, 3), strict=True)
    ]
    assert labels_all(rater) == [pairs[1], pairs[2], pairs[0]]


def test_what_is_closed_or_for_training_is_never_given(rater: Annotator) -> None:
    rater.trained_at = timezone.now()
    rater.save()
    pair_with(rater.project, closed=True)
    pair_with(rater.project, is_training=True, known_outcome="a")
    wanted = factories.make_pair(rater.project)
    assert labels_all(rater) == [wanted]


def test_nobody_judges_what_they_wrote(rater: Annotator) -> None:
    for side in ("output_a", "output_b"):
        pair = factories.make_pair(rater.project)
        output = getattr(pair, side)
        output.author = rater
        output.save()
    other = factories.make_annotator(rater.project)
    assert next_pair(annotator=rater) is None
    assert why_nothing(rater) == "done"
    assert progress_of(rater)["left"] == 0
    assert len(labels_all(other)) == 2


def test_leases_ahead_are_of_other_pairs_and_there_are_so_many_of_them(rater: Annotator) -> None:
    pairs = [factories.make_pair(rater.project) for _ in range(MAX_HELD + 1)]
    held: list[int] = []
    for pair in pairs[:MAX_HELD]:
        lease = next_pair(annotator=rater, holding=held)
        assert lease is not None
        assert lease.pair == pair
        held.append(lease.pair_id)
    assert next_pair(annotator=rater, holding=held) is None
    assert why_nothing(rater) == "with_others"
    oldest = next_pair(annotator=rater)
    assert oldest is not None
    assert oldest.pair == pairs[0]


def test_naming_pairs_that_one_does_not_hold_passes_nothing_over(rater: Annotator) -> None:
    pair = factories.make_pair(rater.project)
    lease = next_pair(annotator=rater, holding=[pair.pk])
    assert lease is not None
    assert lease.pair == pair


def test_a_pair_that_the_page_still_has_is_not_given_again_when_its_lease_ran_out(
    rater: Annotator,
) -> None:
    pair = factories.make_pair(rater.project)
    next_pair(annotator=rater)
    Assignment.objects.update(expires_at=timezone.now())
    assert next_pair(annotator=rater, holding=[pair.pk]) is None
    assert next_pair(annotator=rater) is not None


def test_a_paused_project_and_a_paused_person_get_nothing(rater: Annotator) -> None:
    factories.make_pair(rater.project)
    assert next_pair(annotator=rater) is not None
    rater.paused = True
    assert next_pair(annotator=rater) is None
    assert why_nothing(rater) == "person_paused"
    rater.project.paused = True
    assert why_nothing(rater) == "paused"
    rater.paused = rater.project.paused = False
    assert next_pair(annotator=rater) is not None


def test_nobody_begins_before_the_training_is_passed(rater: Annotator) -> None:
    factories.make_pair(rater.project)
    pair_with(rater.project, is_training=True, known_outcome="a")
    assert next_pair(annotator=rater) is None
    assert why_nothing(rater) == "training"
    rater.trained_at = timezone.now()
    rater.save()
    assert next_pair(annotator=rater) is not None


@pytest.mark.parametrize("whose", ["project", "person"])
def test_leases_ahead_do_not_pass_the_cap(rater: Annotator, whose: str) -> None:
    for _ in range(4):
        factories.make_pair(rater.project)
    if whose == "project":
        rater.project.person_cap = 2
    else:
        rater.project.person_cap, rater.cap = 1, 2
    assert progress_of(rater)["left"] == 2
    first = next_pair(annotator=rater)
    assert first is not None
    assert next_pair(annotator=rater, holding=[first.pair_id]) is not None
    held = Assignment.objects.values_list("pair", flat=True)
    assert next_pair(annotator=rater, holding=held) is None
    assert len(labels_all(rater)) == 2
    assert why_nothing(rater) == "cap"
    assert progress_of(rater) == {"done": 2, "left": 0, "total": 2, "quota": None}


def test_a_days_cap_ends_with_the_day(rater: Annotator) -> None:
    for _ in range(3):
        factories.make_pair(rater.project)
    rater.project.day_cap = 2
    assert len(labels_all(rater)) == 2
    assert why_nothing(rater) == "day_cap"
    Judgment.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert next_pair(annotator=rater) is not None


def test_a_skip_uses_up_no_cap(rater: Annotator) -> None:
    for _ in range(2):
        factories.make_pair(rater.project)
    rater.project.person_cap = 1
    assert labels(rater, "skip")
    assert labels(rater)
    assert why_nothing(rater) == "cap"


def test_why_there_is_nothing(rater: Annotator) -> None:
    assert why_nothing(rater) == "done"
    pair = factories.make_pair(rater.project)
    next_pair(annotator=factories.make_annotator(rater.project))
    assert next_pair(annotator=rater) is None
    assert why_nothing(rater) == "with_others"
    factories.make_judgment(pair, annotator=rater)
    assert why_nothing(rater) == "done"


def test_behind_a_mark_nothing_is_missed(rater: Annotator, monkeypatch: Any) -> None:
    """Every search counts as slow, so that each leaves a mark."""
    monkeypatch.setattr(finding, "SLOW_SEARCH_SECONDS", -1)
    project = rater.project
    for policy in QueuePolicy.values:
        set_policy(rater, policy)
        pairs = {factories.make_pair(project, wanted=3, priority=n % 2).pk for n in range(8)}
        passed = labels(rater)
        assert passed is not None
        late = factories.make_pair(project, wanted=3, priority=9)
        reopened = pair_with(project, wanted=3, closed=True)
        labels(rater)
        Pair.objects.filter(pk=reopened.pk).update(closed=False, priority=1)
        seen = {passed.pk} | {pair.pk for pair in labels_all(rater)}
        missing = pairs | {late.pk, reopened.pk}
        missing -= seen | set(Judgment.objects.values_list("pair", flat=True))
        assert not missing


def test_a_large_projects_numbers_go_down_with_ones_own_work(
    rater: Annotator, monkeypatch: Any
) -> None:
    monkeypatch.setattr(finding, "COUNTED_EXACTLY", 3)
    member = group_of(rater)
    pairs = [factories.make_pair(rater.project, wanted=2) for _ in range(5)]
    pair_with(rater.project, group=member)
    pair_with(rater.project, group=group_of(factories.make_annotator(rater.project), name="x"))
    own = factories.make_pair(rater.project)
    own.output_a.author = rater
    own.output_a.save()
    factories.make_judgment(pairs[0], annotator=rater)
    assert progress_of(rater) == {"done": 1, "left": 5, "total": 6, "quota": None}
    labels(rater)
    labels(rater, "skip")
    assert progress_of(rater) == {"done": 2, "left": 3, "total": 5, "quota": None}


def test_a_quota_is_told(rater: Annotator) -> None:
    rater.quota = 30
    assert progress_of(rater)["quota"] == 30


def judge_all(annotator: Annotator, pairs: list[Pair], sets: list[OutputSet]) -> None:
    said: dict[str, Any] = {"project": annotator.project, "annotator": annotator}
    Judgment.objects.bulk_create(
        Judgment(pair=pair, outcome="tie", swapped=False, **said) for pair in pairs
    )
    Ranking.objects.bulk_create(
        Ranking(output_set=each, tiers=[[1, 2]], shown=[1, 2], **said) for each in sets
    )


def done_without_the_statistics_knowing(rater: Annotator, n: int) -> None:
    """So many pairs and sets that are still open and that the rater has judged since the database
    last looked what there is: all were judged by somebody else alone."""
    pairs = [factories.make_pair(rater.project, wanted=3) for _ in range(n)]
    sets = [factories.make_set(rater.project, 2, wanted=3) for _ in range(n)]
    judge_all(factories.make_annotator(rater.project), pairs, sets)
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_pair, annotation_judgment")
        cursor.execute("analyze annotation_outputset, annotation_ranking")
    judge_all(rater, pairs, sets)


def rows_read(node: dict[str, Any]) -> int:
    """By a part of a plan and all below it, with those that were read only to be left out."""
    names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    own = sum(node.get(name, 0) for name in names) * node["Actual Loops"]
    return round(own) + sum(rows_read(below) for below in node.get("Plans", []))


@pytest.mark.parametrize("kind", [leasing.PAIRS, leasing.SETS], ids=["pairs", "sets"])
def test_a_search_reads_a_few_rows_of_each_pair_that_somebody_has_done_and_not_all_for_each(
    rater: Annotator, kind: leasing.Kind
) -> None:
    done = 60
    done_without_the_statistics_knowing(rater, done)
    with CaptureQueriesContext(connection) as asked:
        found = leasing.search(
            of=kind,
            annotator=rater.pk,
            project=rater.project.pk,
            group=None,
            policy="in_order",
            now=timezone.now(),
            without=[],
            lock=False,
        )
    assert found is None
    with connection.cursor() as cursor:
        # a table of a few pages would be read whole
        cursor.execute("set local enable_seqscan = off")
        cursor.execute("explain (analyze, format json) " + asked[-1]["sql"])
        plan = cursor.fetchone()[0][0]["Plan"]
    assert done < rows_read(plan) < 10 * done
