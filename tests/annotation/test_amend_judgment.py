from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation.models import Assignment, Judgment
from annotation.services.queue import next_pair
from annotation.services.verdicts import Verdict, amend_judgment, amend_shown, record_judgment
from steelyard.lib.errors import UserError
from tests import factories
from tests.racing import at_once


@pytest.fixture
def rater(project: Any) -> Any:
    return factories.make_annotator(project, "rater")


@pytest.fixture
def judged(project: Any, rater: Any) -> Judgment:
    factories.make_pair(project)
    return say(rater, "a", strength=-2, rationale="It is shorter.")


def say(annotator: Any, outcome: str, **said: Any) -> Judgment:
    lease = next_pair(annotator=annotator)
    verdict = Verdict(uuid=uuid4(), outcome=outcome, **said)
    return record_judgment(annotator=annotator, pair=lease.pair, verdict=verdict)[0]


def amend(annotator: Any, judgment: Judgment, outcome: str, **said: Any) -> Judgment:
    verdict = Verdict(uuid=uuid4(), outcome=outcome, **said)
    return amend_judgment(annotator=annotator, judgment=judgment, verdict=verdict)[0]


def count(judgment: Judgment) -> int:
    judgment.pair.refresh_from_db()
    return judgment.pair.judged


def test_it_works(judged: Judgment, rater: Any) -> None:
    amended = amend(rater, judged, "b", rationale="It is right.")
    judged.refresh_from_db()
    assert amended.supersedes == judged
    assert (judged.is_current, amended.is_current) == (False, True)
    assert (judged.outcome, judged.rationale) == ("a", "It is shorter.")
    assert (amended.outcome, amended.strength) == ("b", 1)
    assert amended.swapped is judged.swapped
    assert count(judged) == 1
    assert next_pair(annotator=rater) is None


def test_it_can_be_amended_again_but_only_the_last_one(judged: Judgment, rater: Any) -> None:
    second = amend(rater, judged, "b")
    with pytest.raises(UserError) as error:
        amend(rater, judged, "tie")
    assert (error.value.code, error.value.status) == ("not_current", 409)
    assert amend(rater, second, "tie").supersedes == second
    assert Judgment.objects.current().count() == 1


def test_the_same_amendment_sent_again_is_the_same_judgment(judged: Judgment, rater: Any) -> None:
    verdict = Verdict(uuid=uuid4(), outcome="b")
    first, created = amend_judgment(annotator=rater, judgment=judged, verdict=verdict)
    again, anew = amend_judgment(annotator=rater, judgment=judged, verdict=verdict)
    assert (first, created, anew) == (again, True, False)
    assert Judgment.objects.count() == 2


def test_the_uuid_of_the_verdict_itself_is_refused(judged: Judgment, rater: Any) -> None:
    verdict = Verdict(uuid=judged.uuid, outcome="a")
    with pytest.raises(UserError) as error:
        amend_judgment(annotator=rater, judgment=judged, verdict=verdict)
    assert error.value.code == "uuid_taken"


def test_a_verdict_amended_to_a_skip_gives_its_place_back(
    project: Any, judged: Judgment, rater: Any
) -> None:
    skip = amend(rater, judged, "skip", skip_reason="cannot judge this")
    assert count(judged) == 0
    assert next_pair(annotator=rater) is None
    other = factories.make_annotator(project)
    assert next_pair(annotator=other).pair == judged.pair
    assert skip.skip_reason == "cannot judge this"


def test_a_skip_amended_to_a_verdict_takes_a_free_place(project: Any, rater: Any) -> None:
    factories.make_pair(project)
    skip = say(rater, "skip")
    amend(rater, skip, "b")
    assert count(skip) == 1
    assert next_pair(annotator=factories.make_annotator(project)) is None


def test_a_skip_stays_one_where_others_took_or_hold_the_place(project: Any, rater: Any) -> None:
    factories.make_pair(project)
    skip = say(rater, "skip")
    other = factories.make_annotator(project)
    next_pair(annotator=other)
    with pytest.raises(UserError) as held:
        amend(rater, skip, "b")
    say(other, "a")
    with pytest.raises(UserError) as taken:
        amend(rater, skip, "b")
    assert (held.value.code, taken.value.code) == ("pair_held", "pair_taken")
    skip.refresh_from_db()
    assert skip.is_current
    assert count(skip) == 1


def test_a_lease_that_ran_out_holds_no_place(project: Any, rater: Any) -> None:
    factories.make_pair(project)
    skip = say(rater, "skip")
    next_pair(annotator=factories.make_annotator(project))
    Assignment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    amend(rater, skip, "b")
    assert count(skip) == 1


def test_nobody_amends_what_is_not_their_own_or_what_a_run_made(
    project: Any, judged: Judgment
) -> None:
    robot = factories.make_annotator(project, "robot")
    with pytest.raises(UserError) as error:
        amend(robot, judged, "b")
    assert error.value.code == "not_current"
    assert count(judged) == 1
    judged.refresh_from_db()
    assert judged.is_current


@pytest.mark.parametrize("swapped", [False, True])
def test_on_the_screen_the_sides_stand_as_they_did(
    judged: Judgment, rater: Any, swapped: bool
) -> None:
    Judgment.objects.update(swapped=swapped)
    judged.refresh_from_db()
    first = judged.pair.output_b if swapped else judged.pair.output_a
    mark = {"side": "a", "kind": "span", "start": 0, "end": 6, "quote": first.text[:6]}
    verdict = Verdict(uuid=uuid4(), outcome="a", strength=-2, evidence=[mark])
    amended, _ = amend_shown(annotator=rater, judgment=judged, verdict=verdict)
    assert amended.outcome == ("b" if swapped else "a")
    assert amended.evidence == [{**mark, "side": amended.outcome}]


def test_a_disagreement_that_comes_by_amending_widens_the_pair(project: Any, rater: Any) -> None:
    project.overlap, project.overlap_max = 2, 3
    project.save()
    rater.project = project
    factories.make_pair(project)
    first = say(rater, "a")
    say(factories.make_annotator(project), "a")
    first.pair.refresh_from_db()
    assert first.pair.wanted == 2
    amend(rater, first, "b")
    first.pair.refresh_from_db()
    assert (first.pair.judged, first.pair.wanted) == (2, 3)


@pytest.mark.django_db(transaction=True)
def test_of_two_amendments_at_once_one_stands() -> None:
    project = factories.make_project()
    factories.make_pair(project)
    rater = factories.make_annotator(project)
    judged = say(rater, "a")
    results = at_once(*[lambda o=o: amend(rater, judged, o) for o in ("b", "tie", "skip", "a")])
    refused = [error.code for error in results if isinstance(error, UserError)]
    assert refused == ["not_current"] * 3
    [stands] = Judgment.objects.current()
    assert stands.supersedes == judged
    assert count(judged) == (stands.outcome != "skip")


@pytest.mark.django_db(transaction=True)
def test_skips_amended_at_once_do_not_take_more_places_than_there_are() -> None:
    project = factories.make_project(overlap=2)
    factories.make_pair(project)
    raters = [factories.make_annotator(project) for _ in range(5)]
    skips = [(rater, say(rater, "skip")) for rater in raters]
    results = at_once(*[lambda r=r, j=j: amend(r, j, "a") for r, j in skips])
    refused = [error.code for error in results if isinstance(error, UserError)]
    assert refused == ["pair_taken"] * 3
    assert count(skips[0][1]) == 2
    assert Judgment.objects.decisive().count() == 2


@pytest.mark.django_db(transaction=True)
def test_answers_by_all_at_once_widen_a_pair_by_one_at_a_time() -> None:
    project = factories.make_project(overlap=2, overlap_max=4)
    pair = factories.make_pair(project)
    raters = [factories.make_annotator(project) for _ in range(2)]
    leases = [(rater, next_pair(annotator=rater)) for rater in raters]
    at_once(
        *[
            lambda r=r, o=o: record_judgment(
                annotator=r, pair=pair, verdict=Verdict(uuid=uuid4(), outcome=o)
            )
            for (r, _), o in zip(leases, "ab", strict=True)
        ]
    )
    pair.refresh_from_db()
    assert (pair.judged, pair.wanted) == (2, 3)
