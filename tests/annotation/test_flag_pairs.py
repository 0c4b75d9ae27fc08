from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Assignment, Flag, Judgment, OutputSet, RankingLease
from annotation.services.flags import raise_flag, resolve
from annotation.services.queue import next_pair
from annotation.services.verdicts import Verdict, record_judgment
from steelyard.lib.errors import UserError
from steelyard.projects.models import Membership, Role
from tests import factories
from tests.api_client import Api


@pytest.fixture
def rater(project: Any) -> Any:
    return factories.make_annotator(project, "rater")


@pytest.fixture
def held(project: Any, rater: Any) -> Any:
    """A pair that the rater holds."""
    factories.make_pair(project)
    return next_pair(annotator=rater).pair


def flag_of(rater: Any, pair: Any, reason: str = "harmful", **said: Any) -> Flag:
    return raise_flag(annotator=rater, of=pair, reason=reason, **{"uuid": uuid4(), **said})[0]


def test_it_works(rater: Any, held: Any, owner: Any) -> None:
    flag = flag_of(rater, held, note=" Names a person. ")
    assert (flag.state, flag.note) == ("open", "Names a person.")
    resolved = resolve(flag=flag, by=owner, remove=True)
    held.refresh_from_db()
    assert (resolved.state, resolved.resolved_by, held.closed) == ("removed", owner, True)
    assert not Assignment.objects.exists()
    assert next_pair(annotator=rater) is None


def test_sent_again_or_for_the_same_reason_it_is_the_same_flag(rater: Any, held: Any) -> None:
    uuid = uuid4()
    first, created = raise_flag(annotator=rater, of=held, reason="harmful", uuid=uuid)
    again, anew = raise_flag(annotator=rater, of=held, reason="harmful", uuid=uuid)
    assert (first, created, anew) == (again, True, False)
    assert flag_of(rater, held) == first
    assert flag_of(rater, held, "other") != first


def test_the_uuid_of_anothers_flag_is_refused(project: Any, rater: Any, held: Any) -> None:
    flag = flag_of(rater, held)
    other = factories.make_annotator(project)
    with pytest.raises(UserError) as error:
        flag_of(other, held, uuid=flag.uuid)
    assert error.value.code == "uuid_taken"


def test_only_a_pair_that_one_was_given_can_be_flagged(project: Any, rater: Any) -> None:
    pair = factories.make_pair(project)
    with pytest.raises(UserError) as error:
        flag_of(rater, pair)
    assert error.value.code == "no_lease"
    lease = next_pair(annotator=rater)
    verdict = Verdict(uuid=uuid4(), outcome="skip")
    record_judgment(annotator=rater, pair=lease.pair, verdict=verdict)
    assert flag_of(rater, pair).pair == pair


@pytest.mark.parametrize(
    ("said", "field"), [({"reason": "boring"}, "reason"), ({"note": "x" * 2001}, "note")]
)
def test_a_flag_that_says_nothing_known_is_refused(
    rater: Any, held: Any, said: dict[str, Any], field: str
) -> None:
    with pytest.raises(UserError) as error:
        flag_of(rater, held, **said)
    assert error.value.field == field


def test_a_pair_kept_stays_with_who_holds_it(rater: Any, held: Any, owner: Any) -> None:
    resolve(flag=flag_of(rater, held), by=owner, remove=False)
    assert next_pair(annotator=rater).pair == held


def test_all_flags_of_a_pair_are_decided_at_once(
    project: Any, rater: Any, held: Any, owner: Any
) -> None:
    first, second = flag_of(rater, held), flag_of(rater, held, "other")
    resolve(flag=first, by=owner, remove=False)
    second.refresh_from_db()
    assert second.state == "kept"
    third = flag_of(rater, held, "personal data")
    resolve(flag=third, by=owner, remove=True)
    assert set(Flag.objects.values_list("state", flat=True)) == {"removed"}


def test_a_pair_taken_out_by_mistake_comes_back(rater: Any, held: Any, owner: Any) -> None:
    flag = flag_of(rater, held)
    resolve(flag=flag, by=owner, remove=True)
    resolve(flag=flag, by=owner, remove=False)
    held.refresh_from_db()
    assert not held.closed
    assert next_pair(annotator=rater).pair == held


def test_judgments_of_a_pair_taken_out_are_kept(
    project: Any, rater: Any, held: Any, owner: Any
) -> None:
    verdict = Verdict(uuid=uuid4(), outcome="a")
    record_judgment(annotator=rater, pair=held, verdict=verdict)
    resolve(flag=flag_of(rater, held), by=owner, remove=True)
    assert Judgment.objects.current().count() == 1


def test_over_the_api_members_flag_and_staff_decides(
    project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    pair = factories.make_pair(project)
    annotator, staff, outside = (Api(user, project) for user in (member, owner, stranger))
    annotator.get("next")
    said = {"uuid": str(uuid4()), "reason": "harmful", "note": "Look."}
    first, again = (annotator.post(f"pairs/{pair.pk}/flags", said) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert outside.post(f"pairs/{pair.pk}/flags", said).status_code == 404
    [row] = staff.get("flags", state="open").json()["results"]
    assert (row["annotator"], row["pair"], row["note"]) == ("member", pair.pk, "Look.")
    for api in (annotator, outside):
        assert api.get("flags").status_code == 404
        assert api.post(f"flags/{row['id']}/resolve", {"remove": True}).status_code == 404
    answer = staff.post(f"flags/{row['id']}/resolve", {"remove": True})
    assert (answer.status_code, answer.json()["state"]) == (200, "removed")
    assert answer.json()["resolved_by"] == "owner"
    assert staff.get("flags", state="open").json()["results"] == []
    assert annotator.get("next").status_code == 204


def test_a_pair_of_another_project_cannot_be_flagged(member: Any, project: Any) -> None:
    elsewhere = factories.make_pair(factories.make_project())
    said = {"uuid": str(uuid4()), "reason": "harmful"}
    assert Api(member, project).post(f"pairs/{elsewhere.pk}/flags", said).status_code == 404
    assert Api(member, project).post(f"pairs/{10**30}/flags", said).status_code == 404


@pytest.fixture
def ranking(db: None, owner: Any, member: Any) -> Any:
    project = factories.make_project(label_scheme={"task": "ranking"})
    for user, role in ((owner, Role.ADMIN), (member, Role.ANNOTATOR)):
        Membership.objects.create(project=project, user=user, role=role)
    factories.make_set(project)
    return project


def test_a_set_is_flagged_taken_out_and_put_back(
    ranking: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    api = Api(member, ranking)
    given = api.get("sets/next").json()["set"]
    said = {"uuid": str(uuid4()), "reason": "harmful", "note": "Look."}
    made = api.post(f"sets/{given}/flags", said)
    assert (made.status_code, made.json()["set"], made.json()["pair"]) == (201, given, None)
    assert api.post(f"sets/{given}/flags", said).status_code == 200
    assert Api(stranger, ranking).post(f"sets/{given}/flags", said).status_code == 404
    other = factories.make_set(ranking)
    assert api.post(f"sets/{other.pk}/flags", {**said, "uuid": str(uuid4())}).status_code == 409

    counted = as_user(owner).get(f"/api/v1/projects/{ranking.slug}/labelling").json()
    assert (counted["flagged"], counted["flagged_sets"]) == (0, 1)
    queue = as_user(owner).get(reverse("annotation:coverage", args=[ranking.slug]))
    assert "Decide on 1 flagged item" in queue.content.decode()

    flag = Flag.objects.get()
    page = reverse("annotation:flag-list", args=[ranking.slug])
    assert as_user(stranger).get(page).status_code == 404
    shown = as_user(owner).get(page).content.decode()
    assert f"Take set {given} out" in shown
    assert "1 flagged set waits for your word. A set taken out is given to nobody" in shown
    decide = reverse("annotation:flag-resolve", args=[ranking.slug, flag.pk])
    assert as_user(member).post(decide, {"verdict": "remove"}).status_code == 404
    as_user(owner).post(decide, {"verdict": "remove"})
    assert OutputSet.objects.get(pk=given).closed
    assert not RankingLease.objects.exists()
    assert api.get("sets/next").json()["set"] == other.pk
    decided = as_user(owner).get(f"{page}?state=decided").content.decode()
    assert f"Put set {given} back" in decided
    as_user(owner).post(decide, {"verdict": "keep", "from": "decided"})
    assert not OutputSet.objects.get(pk=given).closed


def test_the_ranking_page_takes_flags_too(ranking: Any, member: Any, as_user: Any) -> None:
    given = Api(member, ranking).get("sets/next").json()["set"]
    address = reverse("annotation:rank-flag", args=[ranking.slug])
    said = {"uuid": str(uuid4()), "reason": "other", "pair": given}
    assert as_user(member).post(address, {**said, "reason": "no such"}).status_code == 400
    assert as_user(member).post(address, {**said, "pair": given + 1}).status_code == 404
    assert as_user(member).post(address, said).status_code == 201
    assert str(Flag.objects.get()).startswith("other: ")
