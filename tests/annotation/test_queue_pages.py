"""What an owner sees of the labelling, and what they settle there."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import Annotator, Assignment, Flag, Pair
from annotation.services import overview
from annotation.services.queue import annotator_for, next_pair, renew
from annotation.services.verdicts import Verdict, record_judgment
from steelyard.accounts.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db
PAGES = ["coverage", "coverage-now", "group-list", "flag-list"]
DOWNLOADS = ["progress-download", "people-download"]


def url(name: str, project: Any, *arguments: Any) -> str:
    return reverse(f"annotation:{name}", args=[project.slug, *arguments])


@pytest.fixture
def rater(project: Any) -> Annotator:
    """Somebody who labels."""
    user = factories.make_user("rater", project=project)
    return annotator_for(user=user, project=project)


def make_pair(project: Any, *, prompt: Any = None, **values: Any) -> Pair:
    """A pair with any of its fields set."""
    pair = factories.make_pair(project, prompt=prompt)
    Pair.objects.filter(pk=pair.pk).update(**values)
    pair.refresh_from_db()
    return pair


def flag(pair: Pair, annotator: Annotator, reason: str = "harmful", **values: Any) -> Flag:
    return Flag.objects.create(
        uuid=uuid4(), project=pair.project, pair=pair, annotator=annotator, reason=reason, **values
    )


@pytest.mark.parametrize("name", PAGES + DOWNLOADS)
def test_staff_see_the_pages_and_others_find_nothing(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any, name: str
) -> None:
    researcher = factories.make_user("researcher", project=project, role="researcher")
    status = {
        user.username: as_user(user).get(url(name, project)).status_code
        for user in (owner, researcher, member, stranger)
    }
    assert status == {"owner": 200, "researcher": 200, "member": 404, "stranger": 404}


def test_only_admins_act(
    project: Any, rater: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    group = project.groups.create(name="experts")
    raised = flag(factories.make_pair(project), rater)
    acts = [
        url("coverage-pause", project),
        url("person-change", project, rater.pk),
        url("person-pause", project, rater.pk),
        url("person-release", project, rater.pk),
        url("group-list", project),
        url("group-give", project),
        url("group-detail", project, group.pk),
        url("group-delete", project, group.pk),
        url("flag-resolve", project, raised.pk),
    ]
    researcher = factories.make_user("researcher", project=project, role="researcher")
    for user in (researcher, member, stranger):
        client = as_user(user)
        assert [client.post(act).status_code for act in acts] == [404] * len(acts)
    page = as_user(researcher).get(url("coverage", project)).content.decode()
    assert "Pause labelling" not in page


def test_an_admin_of_another_project_has_no_say(project: Any, rater: Any, as_user: Any) -> None:
    other = factories.make_project()
    admin = factories.make_user(project=other, role="admin")
    client = as_user(admin)
    assert client.post(url("person-pause", other, rater.pk)).status_code == 404
    group = project.groups.create(name="experts")
    assert client.post(url("group-delete", other, group.pk)).status_code == 404
    assert client.post(url("group-give", other), {"to": group.pk}).status_code == 400


def test_coverage_counts_pairs_by_what_they_have_and_want(project: Any) -> None:
    project.overlap = 2
    project.save()
    easy = factories.make_prompt(project, category="easy")
    for _ in range(2):
        make_pair(project, prompt=easy, wanted=2)
    half = make_pair(project, wanted=2)
    factories.make_judgment(half)
    raised = make_pair(project, wanted=3)
    factories.make_judgment(raised)
    out = make_pair(project, wanted=2)
    done = make_pair(project, wanted=1)
    factories.make_judgment(done)
    make_pair(project, is_training=True)
    Pair.objects.filter(pk=out.pk).update(closed=True)
    found = overview.coverage(project).value
    total = found.total
    assert (total.pairs, total.complete, total.open, total.closed) == (6, 1, 4, 1)
    assert (total.begun, total.not_begun, total.raised, total.verdicts) == (2, 2, 1, 3)
    assert total.share == pytest.approx(1 / 5)
    assert found.by_verdicts == {(1, 1): 1, (0, 2): 2, (1, 2): 1, (1, 3): 1}
    assert (found.by_category["easy"].pairs, found.by_category[""].pairs) == (2, 4)


def test_people_are_told_with_what_they_did_and_how_often_they_were_right(
    project: Any, rater: Any
) -> None:
    known = {"known_outcome": "a", "wanted": 9}
    for outcome in ("a", "b", "skip"):
        pair = make_pair(project, **known)
        factories.make_judgment(pair, outcome, annotator=rater, duration_ms=4000)
    plain = factories.make_pair(project)
    first = factories.make_judgment(plain, "b", annotator=rater, is_current=False)
    factories.make_judgment(plain, "a", annotator=rater, supersedes=first, duration_ms=10_000)
    judge = factories.make_annotator(project, "robot", kind="judge")
    factories.make_judgment(plain, "a", annotator=judge)
    (one,) = overview.people(project).value
    assert (one.annotator, one.verdicts, one.skips, one.amended) == (rater, 3, 1, 1)
    assert (one.seconds, one.known, one.known_right) == (4.0, 2, 1)
    assert one.known_share == 0.5


def test_throughput_is_of_days_and_of_todays_hours(project: Any, rater: Any) -> None:
    today = timezone.now()
    for age in (0, 0, 1, 20):
        vote = factories.make_judgment(factories.make_pair(project), annotator=rater)
        type(vote).objects.filter(pk=vote.pk).update(created_at=today - timedelta(days=age))
    found = overview.throughput(project).value
    line = dict(found.days["rater"])
    assert (line[0], line[-1], line[-2], len(line)) == (2, 1, 0, 14)
    assert (found.today, found.fortnight) == (2, 3)
    assert dict(found.hours["rater"])[today.hour] == 2


def test_of_many_people_the_busiest_have_a_line_of_their_own(project: Any) -> None:
    for n in range(8):
        someone = factories.make_annotator(project, f"annotator-{n}")
        for _ in range(n + 1):
            factories.make_judgment(factories.make_pair(project), annotator=someone)
    days = overview.throughput(project).value.days
    assert next(iter(days)) == "annotator-7"
    assert dict(days["3 others"])[0] == 1 + 2 + 3


def test_who_is_on_it_are_those_who_hold_pairs(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    make_pair(project, wanted=2)
    factories.make_judgment(factories.make_pair(project), annotator=rater)
    assert next_pair(annotator=rater) is not None
    (one,) = overview.at_work(project)
    assert (one.annotator, one.leases, one.last_hour) == (rater, 1, 1)
    page = as_user(owner).get(url("coverage-now", project)).content.decode()
    assert "rater" in page
    assert "<html" not in page
    Assignment.objects.update(expires_at=timezone.now())
    assert overview.at_work(project) == []


def test_a_last_verdict_is_told_however_long_ago_it_was(project: Any, rater: Any) -> None:
    factories.make_pair(project)
    vote = factories.make_judgment(factories.make_pair(project), annotator=rater)
    long_ago = timezone.now() - timedelta(days=3)
    type(vote).objects.filter(pk=vote.pk).update(created_at=long_ago)
    next_pair(annotator=rater)
    (one,) = overview.at_work(project)
    assert (one.last_hour, one.last_verdict) == (0, long_ago)


def test_taking_back_frees_the_pairs_for_others(
    project: Any, owner: Any, member: Any, rater: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    next_pair(annotator=rater)
    other = annotator_for(user=member, project=project)
    assert next_pair(annotator=other) is None
    as_user(owner).post(url("person-release", project, rater.pk))
    lease = next_pair(annotator=other)
    assert lease is not None
    assert lease.pair == pair
    assert AuditEvent.objects.get(action="leases-taken-back").data == {"leases": 1}


def test_a_verdict_on_a_pair_taken_back_still_counts(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    next_pair(annotator=rater)
    as_user(owner).post(url("person-release", project, rater.pk))
    assert overview.at_work(project) == []
    verdict = Verdict(uuid=uuid4(), outcome="a")
    assert record_judgment(annotator=rater, pair=pair, verdict=verdict)[1]


def test_what_was_written_of_a_pair_taken_back_is_there_again(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    factories.make_pair(project)
    next_pair(annotator=rater)
    draft = {"at": 1, "fields": []}
    Assignment.objects.update(draft=draft)
    as_user(owner).post(url("person-release", project, rater.pk))
    lease = next_pair(annotator=rater)
    assert lease is not None
    assert lease.draft == draft


def test_the_page_of_somebody_paused_does_not_get_back_what_was_taken_back(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    next_pair(annotator=rater)
    as_user(owner).post(url("person-release", project, rater.pk))
    rater.paused = True
    assert renew(annotator=rater, pairs=[pair.pk]) == []


def test_a_pause_stops_the_queue_until_it_goes_on(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    factories.make_pair(project)
    client = as_user(owner)
    page = client.post(url("coverage-pause", project), {"paused": "yes"}, follow=True)
    assert "Labelling is paused" in page.content.decode()
    project.refresh_from_db()
    rater.project = project
    assert next_pair(annotator=rater) is None
    client.post(url("coverage-pause", project), {"paused": "no"})
    project.refresh_from_db()
    assert next_pair(annotator=rater) is not None


def test_one_person_is_paused_and_gets_a_cap_and_a_quota(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    client = as_user(owner)
    client.post(url("person-pause", project, rater.pk), {"paused": "yes"})
    client.post(url("person-change", project, rater.pk), {"cap": "10", "quota": ""})
    rater.refresh_from_db()
    assert (rater.paused, rater.cap, rater.quota) == (True, 10, None)
    page = client.post(url("person-change", project, rater.pk), {"cap": "0"}, follow=True)
    assert "rater, Cap: Ensure this value is greater than or equal to 1." in page.content.decode()
    rater.refresh_from_db()
    assert rater.cap == 10


def test_the_table_of_people_is_sorted_by_the_url(project: Any, owner: Any, as_user: Any) -> None:
    for name, n in (("annotator-1", 1), ("annotator-2", 3)):
        someone = factories.make_annotator(project, name)
        for _ in range(n):
            factories.make_judgment(factories.make_pair(project), annotator=someone)
    client = as_user(owner)
    for said, first in (
        ("-verdicts", "annotator-2"),
        ("verdicts", "annotator-1"),
        ("no", "annotator-1"),
    ):
        page = client.get(url("coverage", project), {"sort": said, "categories": "-pairs"})
        assert page.context["figures"]["persons"][0].annotator.name == first
    page = client.get(url("coverage", project), {"sort": "-verdicts", "categories": "-pairs"})
    html = page.content.decode()
    assert 'aria-sort="descending"' in html
    assert "?categories=-pairs&amp;sort=verdicts#people" in html


def test_progress_leaves_as_csv_a_row_a_pair(
    project: Any, owner: Any, rater: Any, as_user: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("annotation.tables.AT_A_TIME", 2)
    group = project.groups.create(name="experts")
    pairs = [factories.make_pair(project) for _ in range(4)]
    pairs.append(make_pair(project, is_training=True))
    factories.make_judgment(pairs[0])
    Pair.objects.filter(pk=pairs[1].pk).update(closed=True, group=group)
    flag(pairs[2], rater)
    answer = as_user(owner).get(url("progress-download", project))
    rows = list(csv.DictReader(line.decode() for line in answer.streaming_content))
    assert [int(row["pair"]) for row in rows] == sorted(pair.pk for pair in pairs)
    told = {
        int(row["pair"]): (row["state"], row["judged"], row["group"], row["flags"]) for row in rows
    }
    assert told == {
        pairs[0].pk: ("complete", "1", "", "0"),
        pairs[1].pk: ("closed", "0", "experts", "0"),
        pairs[2].pk: ("open", "0", "", "1"),
        pairs[3].pk: ("open", "0", "", "0"),
        pairs[4].pk: ("training", "0", "", "0"),
    }


def test_people_leave_as_csv(project: Any, owner: Any, rater: Any, as_user: Any) -> None:
    factories.make_judgment(factories.make_pair(project), annotator=rater, duration_ms=2500)
    answer = as_user(owner).get(url("people-download", project))
    (row,) = csv.DictReader(line.decode() for line in answer.streaming_content)
    assert (row["name"], row["verdicts"], row["median_seconds"]) == ("rater", "1", "2.5")


def test_a_slow_count_is_kept_and_says_so(
    project: Any, owner: Any, as_user: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(overview, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(overview, "KEPT_TIMES", 1e6)
    factories.make_pair(project)
    assert not overview.coverage(project).kept
    factories.make_pair(project)
    again = overview.coverage(project)
    assert (again.kept, again.value.total.pairs) == (True, 1)
    assert "Counted" in as_user(owner).get(url("coverage", project)).content.decode()
    overview.forget(project)
    assert overview.coverage(project).value.total.pairs == 2


def test_what_is_settled_for_people_is_never_an_old_count(
    project: Any, owner: Any, rater: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(overview, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(overview, "KEPT_TIMES", 1e6)
    factories.make_judgment(factories.make_pair(project), annotator=rater)
    overview.people(project)
    Annotator.objects.filter(pk=rater.pk).update(paused=True)
    again = overview.people(project)
    assert (again.kept, again.value[0].annotator.paused, again.value[0].verdicts) == (True, True, 1)


def test_a_flagged_pair_is_taken_out_and_put_back(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project, texts=("<b>rude</b>", "kind"))
    raised = flag(pair, rater, note="It insults the asker.")
    client = as_user(owner)
    page = client.get(url("flag-list", project)).content.decode()
    assert "It insults the asker." in page
    assert "&lt;b&gt;rude&lt;/b&gt;" in page
    client.post(url("flag-resolve", project, raised.pk), {"verdict": "remove"})
    pair.refresh_from_db()
    assert pair.closed
    assert AuditEvent.objects.get(action="pair-taken-out").actor == owner
    assert "Nothing is flagged" in client.get(url("flag-list", project)).content.decode()
    decided = client.get(url("flag-list", project), {"state": "decided"}).content.decode()
    assert "Put it back" in decided
    client.post(url("flag-resolve", project, raised.pk), {"verdict": "keep", "from": "decided"})
    pair.refresh_from_db()
    assert not pair.closed


def test_a_pair_with_several_flags_is_one_to_decide_on(
    project: Any, owner: Any, rater: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    flag(pair, rater)
    flag(pair, rater, "other")
    page = as_user(owner).get(url("flag-list", project))
    assert len(page.context["page"]) == 1
    assert "1 flagged pair waits" in page.content.decode()


@pytest.mark.parametrize("state", ["closed", "flagged"])
def test_the_list_of_pairs_shows_those_taken_out_and_those_flagged(
    project: Any, owner: Any, rater: Any, as_user: Any, state: str
) -> None:
    factories.make_pair(project)
    closed = make_pair(project, closed=True)
    flagged = factories.make_pair(project)
    flag(flagged, rater)
    flag(flagged, rater, "other")
    page = as_user(owner).get(url("pair-list", project), {"state": state})
    assert list(page.context["page"]) == [{"closed": closed, "flagged": flagged}[state]]


def test_where_there_is_much_to_count_the_page_comes_first_and_the_figures_after(
    project: Any, owner: Any, as_user: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(overview, "QUICK_PAIRS", 1)
    for _ in range(2):
        factories.make_judgment(factories.make_pair(project))
    client = as_user(owner)
    page = client.get(url("coverage", project), {"sort": "name"}).content.decode()
    assert "are being counted" in page
    assert "2 verdicts today" not in page
    part = client.get(url("coverage", project), headers={"HX-Request": "true"}).content.decode()
    assert "2 verdicts today" in part
    assert "<html" not in part
    whole = client.get(url("coverage", project), {"whole": "yes"}).content.decode()
    assert "2 verdicts today" in whole
