"""Keeping leases, with drafts in them; giving them back; forgetting them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Annotator, Assignment, Pair
from annotation.services.queue import MAX_HELD, next_pair, release, renew
from annotation.tasks import free_abandoned_leases
from tests import factories
from tests.annotation.test_next_pair import at_once
from tests.engines import wait_until


@pytest.fixture
def rater(project: Any) -> Annotator:
    return factories.make_annotator(project, "rater")


def run_out(**which: Any) -> None:
    Assignment.objects.filter(**which).update(expires_at=timezone.now() - timedelta(seconds=1))


def lease(annotator: Annotator) -> Assignment:
    held = Assignment.objects.filter(annotator=annotator).values_list("pair", flat=True)
    given = next_pair(annotator=annotator, holding=list(held))
    assert given is not None
    return given


def test_it_works(rater: Annotator) -> None:
    factories.make_pair(rater.project)
    given = lease(rater)
    soon = timezone.now() + timedelta(seconds=5)
    Assignment.objects.update(expires_at=soon)
    assert renew(annotator=rater, pairs=[given.pair_id]) == [given.pair_id]
    given.refresh_from_db()
    assert given.expires_at > soon


def test_a_draft_is_there_again_when_the_pair_is_given_again(rater: Annotator) -> None:
    pair = factories.make_pair(rater.project)
    lease(rater)
    renew(annotator=rater, pairs=[pair.pk], draft={"rationale": "So far"}, draft_of=pair.pk)
    run_out()
    again = next_pair(annotator=rater)
    assert again is not None
    assert again.draft == {"rationale": "So far"}


def test_a_lease_that_ran_out_is_kept_if_its_place_is_free(rater: Annotator) -> None:
    pair = factories.make_pair(rater.project)
    lease(rater)
    run_out()
    assert renew(annotator=rater, pairs=[pair.pk]) == [pair.pk]
    assert next_pair(annotator=factories.make_annotator(rater.project)) is None


def test_a_lease_whose_place_another_has_is_lost_but_its_draft_is_not(rater: Annotator) -> None:
    pair = factories.make_pair(rater.project)
    lease(rater)
    run_out()
    lease(factories.make_annotator(rater.project))
    said = {"rationale": "Nearly done"}
    assert renew(annotator=rater, pairs=[pair.pk], draft=said, draft_of=pair.pk) == []
    assert Assignment.objects.get(annotator=rater).draft == said


def test_only_ones_own_leases_on_pairs_that_are_wanted_are_kept(rater: Annotator) -> None:
    theirs, closed, judged = (factories.make_pair(rater.project) for _ in range(3))
    other = factories.make_annotator(rater.project)
    lease(other)
    for _ in range(2):
        lease(rater)
    Pair.objects.filter(pk=closed.pk).update(closed=True)
    factories.make_judgment(judged)
    assert renew(annotator=rater, pairs=[theirs.pk, closed.pk, judged.pk, 10**9]) == []


def test_nobody_takes_up_more_than_they_may_hold(rater: Annotator) -> None:
    pairs = [factories.make_pair(rater.project).pk for _ in range(2 * MAX_HELD)]
    for number in range(2):
        for _ in range(MAX_HELD):
            lease(rater)
        if number == 0:
            run_out()
    held = renew(annotator=rater, pairs=pairs)
    assert held == pairs[MAX_HELD:]


def test_a_pair_given_back_is_free_at_once(rater: Annotator) -> None:
    pair = factories.make_pair(rater.project)
    lease(rater)
    release(annotator=factories.make_annotator(rater.project), pair=pair)
    assert Assignment.objects.exists()
    release(annotator=rater, pair=pair)
    assert lease(factories.make_annotator(rater.project)).pair == pair


def test_a_lease_is_forgotten_a_day_after_it_ran_out(rater: Annotator) -> None:
    factories.make_pair(rater.project, wanted=2)
    old, recent = lease(rater), lease(factories.make_annotator(rater.project))
    run_out()
    Assignment.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(hours=25))
    free_abandoned_leases()
    assert list(Assignment.objects.all()) == [recent]


@pytest.mark.django_db(transaction=True)
def test_renewing_and_leasing_at_once_leave_one_holder() -> None:
    project = factories.make_project()
    rater = factories.make_annotator(project)
    others = [factories.make_annotator(project) for _ in range(4)]
    for _ in range(5):
        pair = factories.make_pair(project)
        lease(rater)
        run_out()
        at_once(
            lambda pair=pair: renew(annotator=rater, pairs=[pair.pk]),
            *[lambda a=a: next_pair(annotator=a) for a in others],
        )
        assert Assignment.objects.live().filter(pair=pair).count() == 1
        Pair.objects.filter(pk=pair.pk).update(closed=True)


@pytest.mark.django_db(transaction=True)
def test_many_requests_of_one_person_at_once_pass_neither_cap_nor_limit() -> None:
    project = factories.make_project()
    for _ in range(10):
        factories.make_pair(project)
    for cap, most in ((None, MAX_HELD), (3, 3)):
        rater = factories.make_annotator(project, cap=cap)

        def ask(rater: Annotator = rater) -> Assignment | None:
            # a page that says it has all of them is given new ones only
            return next_pair(annotator=rater, holding=range(10**6))

        at_once(*[ask] * 8)
        assert Assignment.objects.live().filter(annotator=rater).count() == most
        Assignment.objects.all().delete()


@pytest.mark.django_db(transaction=True)
def test_a_draft_kept_in_the_moment_of_its_submit_waits_for_that() -> None:
    project = factories.make_project()
    rater = factories.make_annotator(project)
    pair = factories.make_pair(project)
    lease(rater)
    said = {"rationale": "So far"}

    def keep() -> list[int]:
        return renew(annotator=rater, pairs=[pair.pk], draft=said, draft_of=pair.pk)

    with ThreadPoolExecutor(1) as pool:
        # what taking a verdict in does: the pair's lock, and then the lease is gone
        with transaction.atomic():
            Pair.objects.select_for_update().get(pk=pair.pk)
            kept = pool.submit(keep)
            wait_until(somebody_waits)
            Assignment.objects.filter(pair=pair).delete()
        kept.result(60)
        pool.submit(lambda: connection.close()).result()


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        # within a transaction the list stays as it was at the first look
        cursor.execute("select pg_stat_clear_snapshot()")
        cursor.execute(
            "select count(*) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
        return bool(cursor.fetchone()[0])
