"""Juries: their votes are their members', weighed, and follow them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse

from annotation.agreement import judge_reports
from annotation.juries import recount
from annotation.models import Annotator, Judgment
from annotation.recipe import Recipe
from annotation.runner import collect
from annotation.services.judging import create_judge, start_judging
from annotation.services.juries import create_jury
from annotation.services.withdrawals import lift, withdraw
from evaluation.judge_card import card_of
from steelyard.lib.errors import UserError
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def judges(project: Any) -> list[Annotator]:
    """Two that agree on nearly everything and one that says what it likes, on twenty pairs."""
    found = [factories.make_annotator(project, name, kind="judge") for name in ("x", "y", "z")]
    for number in range(20):
        pair = factories.make_pair(project)
        said = "ab"[number % 2]
        for judge in found[:2]:
            factories.make_judgment(pair, said, annotator=judge)
        factories.make_judgment(pair, "ab"[number // 10], annotator=found[2])
    return found


def outcomes(jury: Annotator) -> list[str]:
    rows = Judgment.objects.current().filter(annotator=jury).order_by("pair")
    return list(rows.values_list("outcome", flat=True))


def test_a_jury_listens_to_those_who_agree(project: Any, judges: list[Annotator]) -> None:
    jury = create_jury(project=project, name="bench", members=judges)
    assert outcomes(jury) == ["a", "b"] * 10
    x, y, z = jury.checks["jury"]["members"]
    assert x["right"] == y["right"] > 0.9 > 0.7 > z["right"]
    assert x["weight"] > z["weight"]
    vote = Judgment.objects.filter(annotator=jury).earliest("pair")
    assert vote.details["p_a"] > 0.9
    assert vote.details["jury"] == {str(one.pk): "a" for one in judges}
    assert sum(vote.details["posterior"].values()) == pytest.approx(1.0, abs=1e-3)
    assert vote.pair.judged == 0


def test_it_follows_its_members_and_keeps_what_it_said(
    project: Any, judges: list[Annotator]
) -> None:
    jury = create_jury(project=project, name="bench", members=judges)
    first = Judgment.objects.current().filter(annotator=jury).earliest("pair")
    for judge in judges[:2]:
        old = Judgment.objects.current().get(annotator=judge, pair=first.pair)
        Judgment.objects.filter(pk=old.pk).update(is_current=False)
        factories.make_judgment(first.pair, "b", annotator=judge, supersedes=old)
    recount(jury.pk)
    now = Judgment.objects.current().get(annotator=jury, pair=first.pair)
    assert (now.outcome, now.supersedes_id) == ("b", first.pk)
    assert recount(jury.pk) == 20
    assert Judgment.objects.filter(annotator=jury).count() == 21  # nothing new, so nothing written


def test_votes_taken_back_are_taken_from_it_too(
    project: Any, owner: Any, judges: list[Annotator]
) -> None:
    jury = create_jury(project=project, name="bench", members=judges[:2])
    taken = withdraw(project=project, annotator=judges[0], reason="broken", by=owner)
    assert outcomes(jury) == []
    lift(withdrawal=taken, by=owner)
    assert outcomes(jury) == ["a", "b"] * 10


def test_a_run_of_a_member_brings_it_up_to_date(project: Any, owner: Any, tmp_path: Any) -> None:
    model = factories.make_model(
        project, "m", family="endpoint", source="http://127.0.0.1:9/v1", options={}
    )
    asked = create_judge(project=project, name="asked", model=model, criteria="Be right.")
    given = factories.make_annotator(project, "given", kind="judge")
    pair = factories.make_pair(project)
    factories.make_judgment(pair, "b", annotator=given)
    jury = create_jury(project=project, name="bench", members=[asked, given])
    assert outcomes(jury) == []
    run = start_judging(judge=jury, pairs=[pair], by=owner)
    assert run.spec == {"judge": asked.pk, "pairs": [pair.pk]}
    run.dir.path.mkdir(parents=True, exist_ok=True)
    line = {"pair": pair.pk, "outcome": "b", "strength": 1, "orders": []}
    (run.dir.path / "verdicts.jsonl").write_text(json.dumps(line) + "\n")
    collect(run)
    assert outcomes(jury) == ["b"]
    assert Judgment.objects.get(annotator=jury).strength == 1


def test_nobody_but_judges_sits_in_it(project: Any, judges: list[Annotator]) -> None:
    jury = create_jury(project=project, name="bench", members=judges)
    elsewhere = factories.make_annotator(factories.make_project(), "far", kind="judge")
    for wrong in (factories.make_annotator(project), jury, elsewhere):
        with pytest.raises(UserError, match="cannot sit"):
            create_jury(project=project, name="other", members=[judges[0], wrong])
    with pytest.raises(UserError, match="2 to 20"):
        create_jury(project=project, name="other", members=judges[:1])
    with pytest.raises(UserError, match="already"):
        create_jury(project=project, name="bench", members=judges)


def test_its_votes_are_counted_once(project: Any, owner: Any, judges: list[Annotator]) -> None:
    from annotation.freezing.load import counted as frozen
    from evaluation.board_votes import Options, counted

    jury = create_jury(project=project, name="bench", members=judges)
    assert counted(project, Options(source="judges")).count() == 60
    assert counted(project, Options(source="judges", judge=jury)).count() == 20
    assert frozen(project, Recipe(annotators="judges")).count() == 60
    assert frozen(project, Recipe(annotators="judges", only=("bench",))).count() == 20
    (report,) = [one for one in judge_reports(project) if one.judge == jury]
    assert report.votes == 20


def test_its_card_shows_what_members_weigh(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any, judges: list[Annotator]
) -> None:
    page = reverse("annotation:jury-new", args=[project.slug])
    assert as_user(member).get(page).status_code == 404
    assert as_user(stranger).get(page).status_code == 404
    said = {"name": "bench", "members": [one.pk for one in judges]}
    shown = as_user(owner).post(page, said, follow=True).content.decode()
    assert "What their votes weigh on the 20 pairs" in shown
    jury = Annotator.objects.get(name="bench")
    card = card_of(jury)
    assert card.votes == 20
    again = as_user(owner).post(page, said).content.decode()
    assert "already" in again


def test_the_api_makes_and_lists_them(
    project: Any, owner: Any, stranger: Any, as_user: Any, judges: list[Annotator]
) -> None:
    at = f"/api/v1/projects/{project.slug}/juries"
    body = json.dumps({"name": "bench", "members": ["x", "y", "z"]})
    made = as_user(owner).post(at, body, content_type="application/json")
    assert made.status_code == 201
    assert [one["name"] for one in made.json()["members"]] == ["x", "y", "z"]
    assert as_user(owner).get(at).json() == [made.json()]
    assert as_user(stranger).get(at).status_code == 404
    wrong = json.dumps({"name": "other", "members": ["x", "nobody"]})
    assert as_user(owner).post(at, wrong, content_type="application/json").status_code == 400
