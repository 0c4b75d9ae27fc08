"""Withdrawing votes: later versions leave them out and say so; what is frozen stays."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.agreement import among_people, judge_reports
from annotation.models import Judgment, Withdrawal
from annotation.recipe import Recipe
from annotation.services.versions import preview, publish_version
from annotation.services.withdrawals import lift, reach, withdraw
from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from steelyard.registry.models import DatasetVersion
from steelyard.runs.models import Run
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def rater(project: Any) -> Any:
    return factories.make_annotator(project, "rater")


@pytest.fixture
def scorer(project: Any) -> Any:
    return factories.make_annotator(project, "scorer")


def freeze(project: Any, **recipe: Any) -> DatasetVersion:
    chosen = Recipe(**{"test_fraction": 0.0, **recipe})
    return publish_version(project=project, dataset_name="All", recipe=chosen, by=None)


def post(client: Any, url: str, **body: Any) -> Any:
    return client.post(url, body, content_type="application/json")


def test_it_works(project: Any, rater: Any, scorer: Any) -> None:
    pair = factories.make_pair(project)
    factories.make_judgment(pair, "a", annotator=rater)
    factories.make_judgment(pair, "b", annotator=scorer)
    factories.make_judgment(factories.make_pair(project), "b", annotator=scorer)
    before = freeze(project, ties="random")
    made = withdraw(project=project, annotator=scorer, reason="failed the known ones", by=None)
    after = freeze(project)
    (row,) = read_parquet(after.files)
    assert (row.chosen_side, [vote["annotator"] for vote in row.votes]) == ("a", ["rater"])
    assert after.recipe["withdrawals"] == [made.key]
    assert "withdrawals" not in before.recipe
    found = reach(made)
    assert [(one.version, one.votes, one.rows) for one in found.versions] == [(before, 2, 2)]
    lift(withdrawal=made, by=None)
    assert preview(project=project, recipe=Recipe(ties="random")).counts == before.counts | {
        "train": preview(project=project, recipe=Recipe(ties="random")).counts["train"],
        "test": preview(project=project, recipe=Recipe(ties="random")).counts["test"],
    }


def test_a_vote_behind_both_halves_of_a_tie_is_one_vote(project: Any, rater: Any) -> None:
    factories.make_judgment(factories.make_pair(project), "tie", annotator=rater)
    factories.make_judgment(factories.make_pair(project), "a", annotator=rater)
    version = freeze(project, ties="half")
    found = reach(withdraw(project=project, annotator=rater, reason="asleep", by=None))
    assert [(one.version, one.votes, one.rows) for one in found.versions] == [(version, 2, 3)]


def test_an_old_recipe_is_made_again_when_it_is_said_to_count_them(
    project: Any, rater: Any
) -> None:
    factories.make_judgment(factories.make_pair(project), "a", annotator=rater)
    factories.make_judgment(factories.make_pair(project), "b")
    before = freeze(project)
    withdraw(project=project, annotator=rater, reason="asleep", by=None)
    with pytest.raises(UserError, match="This equals"):
        freeze(project, count_withdrawn=True)
    assert freeze(project).digest != before.digest


def test_only_some_days_are_withdrawn(project: Any, rater: Any) -> None:
    old = factories.make_judgment(factories.make_pair(project), "a", annotator=rater)
    Judgment.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=9))
    factories.make_judgment(factories.make_pair(project), "b", annotator=rater)
    since = timezone.now() - timedelta(days=1)
    withdraw(project=project, annotator=rater, since=since, reason="ill", by=None)
    (row,) = read_parquet(freeze(project).files)
    assert row.votes[0]["judgment"] == str(old.uuid)


def test_what_makes_no_sense_is_refused(project: Any, rater: Any) -> None:
    now = timezone.now()
    for wrong in (
        {"annotator": rater, "reason": " "},
        {"reason": "nobody"},
        {"annotator": rater, "reason": "turned", "since": now, "until": now - timedelta(days=1)},
        {"annotator": rater, "reason": "no vote yet"},
    ):
        with pytest.raises(UserError):
            withdraw(project=project, by=None, **wrong)  # type: ignore[arg-type]
    assert not Withdrawal.objects.exists()


def test_pages_tell_what_the_votes_are_in(
    as_user: Any, owner: Any, project: Any, rater: Any
) -> None:
    factories.make_judgment(factories.make_pair(project), "a", annotator=rater)
    version = freeze(project)
    client, url = as_user(owner), reverse("annotation:withdrawal-list", args=[project.slug])
    wrong = client.post(url, {"annotator": rater.pk, "reason": ""})
    assert "reason" in wrong.context["form"].errors
    answer = client.post(url, {"annotator": rater.pk, "reason": "asleep"}, follow=True)
    page = answer.content.decode()
    assert "asleep" in page
    assert "It takes in <a" in page, "and not “about”, which is said of estimates"
    assert version.get_absolute_url() in page
    freezing = client.get(reverse("annotation:version-new", args=[project.slug]))
    assert "their votes do not count" in freezing.content.decode() or (
        "its votes do not count" in freezing.content.decode()
    )
    made = Withdrawal.objects.get()
    lifted = client.post(
        reverse("annotation:withdrawal-lift", args=[project.slug, made.pk]), follow=True
    )
    assert "The votes count again" in lifted.content.decode()


def test_whose_votes_are_looked_at_are_a_press_from_being_withdrawn(
    as_user: Any, owner: Any, project: Any, rater: Any
) -> None:
    scored = Run.objects.create(project=project, kind="score", title="Scores", state="succeeded")
    factories.make_judgment(factories.make_pair(project), "a", annotator=rater, run=scored)
    client = as_user(owner)
    listed = reverse("annotation:judgment-list", args=[project.slug])
    for name, pk in (("annotator", rater.pk), ("run", scored.pk)):
        page = client.get(listed, {name: pk}).content.decode()
        (link,) = re.findall(rf'href="([^"]*\?{name}={pk}#withdraw)"', page)
        form = client.get(link).context["form"]
        assert f'<option value="{pk}" selected>' in str(form[name])
    client.post(link, {"run": scored.pk, "reason": "broken"})
    assert Withdrawal.objects.get().run == scored


def test_it_goes_by_the_api(as_user: Any, owner: Any, project: Any, rater: Any) -> None:
    factories.make_judgment(factories.make_pair(project), "a", annotator=rater)
    version = freeze(project)
    client, url = as_user(owner), f"/api/v1/projects/{project.slug}/withdrawals"
    assert post(client, url, annotator="nobody", reason="x").json()["field"] == "annotator"
    assert post(client, url, run=9999, reason="x").json()["field"] == "run"
    made = post(client, url, annotator="rater", reason="asleep")
    assert made.status_code == 201, made.json()
    again = post(client, url, annotator="rater", reason="asleep")
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
    other = post(client, url, annotator="rater", reason="ill")
    assert (other.status_code, "“asleep” Nothing" in other.json()["detail"]) == (409, True)
    one = f"{url}/{made.json()['id']}"
    assert [v["version"] for v in client.get(one).json()["versions"]] == [version.pk]
    assert client.get(url).json()["results"][0]["reason"] == "asleep"
    assert client.post(f"{one}/lift").json()["lifted_at"]
    assert client.post(f"{one}/lift").status_code == 409


def test_only_the_projects_staff_withdraws(
    as_user: Any, member: Any, stranger: Any, project: Any, rater: Any
) -> None:
    factories.make_judgment(factories.make_pair(project), "a", annotator=rater)
    made = withdraw(project=project, annotator=rater, reason="asleep", by=None)
    api = f"/api/v1/projects/{project.slug}/withdrawals"
    for user in (member, stranger):
        client = as_user(user)
        for url in (
            reverse("annotation:withdrawal-list", args=[project.slug]),
            reverse("annotation:withdrawal-detail", args=[project.slug, made.pk]),
            api,
            f"{api}/{made.pk}",
        ):
            assert client.get(url).status_code == 404, url
        assert post(client, api, annotator="rater", reason="x").status_code == 404
        assert client.post(f"{api}/{made.pk}/lift").status_code == 404
    made.refresh_from_db()
    assert made.lifted_at is None


def test_agreement_of_judges_counts_no_withdrawn_vote(
    project: Any, rater: Any, scorer: Any
) -> None:
    robot = factories.make_annotator(project, "robot", kind="judge")
    for _ in range(3):
        pair = factories.make_pair(project)
        factories.make_judgment(pair, "a", annotator=rater)
        factories.make_judgment(pair, "b", annotator=scorer)
        factories.make_judgment(pair, "a", annotator=robot)

    def figures() -> list[tuple[int, int]]:
        (report,) = judge_reports(project)
        both = [report.with_people, among_people(project)]
        return [(report.votes, 0), *((one.equal, one.n) for one in both)]

    assert figures() == [(3, 0), (3, 6), (0, 3)]
    made = withdraw(project=project, annotator=scorer, reason="asleep", by=None)
    assert figures() == [(3, 0), (3, 3), (0, 0)]
    withdraw(project=project, annotator=robot, reason="a bad prompt", by=None)
    assert figures() == [(0, 0), (0, 0), (0, 0)]
    lift(withdrawal=made, by=None)
    assert figures() == [(0, 0), (0, 0), (0, 3)]
