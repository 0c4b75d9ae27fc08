"""People are asked where judges are unsure, by recorded chance, and the corrected rate holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Pair
from evaluation.models import Evaluation, Routing
from evaluation.routing import corrected
from evaluation.services_routing import preview, route
from evaluation.votes import votes_of
from steelyard.lib.errors import UserError
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def judges(project: Any) -> list[Any]:
    return [factories.make_annotator(project, name, kind="judge") for name in ("x", "y")]


@pytest.fixture
def pairs(project: Any, judges: list[Any]) -> list[Pair]:
    """On every other pair the two judges differ."""
    found = [factories.make_pair(project) for _ in range(20)]
    for number, pair in enumerate(found):
        factories.make_judgment(pair, "a", annotator=judges[0])
        factories.make_judgment(pair, "ab"[number % 2], annotator=judges[1])
    return found


def test_the_unsure_come_to_people_and_the_others_leave_the_queue(
    project: Any, owner: Any, judges: list[Any], pairs: list[Pair]
) -> None:
    factories.make_judgment(pairs[0], "b")
    told = preview(project=project, judges=judges, base=0.01, slope=0.99)
    assert (told.pairs, told.known, told.unsure) == (20, 1, 10)
    assert told.expected == pytest.approx(10 + 9 * 0.01)
    routing = route(project=project, judges=judges, base=0.01, slope=0.99, by=owner)
    rows = {row.pair_id: row for row in routing.pairs.all()}
    assert [rows[pair.pk].probability for pair in pairs[1:4]] == [1.0, 0.01, 1.0]
    assert rows[pairs[0].pk].probability == 1.0
    for pair in pairs[1:]:
        pair.refresh_from_db()
        assert pair.wanted == rows[pair.pk].drawn
    assert all(rows[pair.pk].drawn for pair in pairs[1::2])
    with pytest.raises(UserError, match="no draw was about"):
        route(project=project, judges=judges, base=0.1, slope=0.5, by=owner)


def test_it_is_said_how_many_of_the_pairs_each_judge_has_judged(
    project: Any, owner: Any, as_user: Any, judges: list[Any], pairs: list[Pair]
) -> None:
    few = factories.make_annotator(project, "few", kind="judge")
    none = factories.make_annotator(project, "none", kind="judge")
    for pair in pairs[:3]:
        factories.make_judgment(pair, "a", annotator=few)
    for act in (preview, lambda **said: route(by=owner, **said)):
        with pytest.raises(UserError, match="none has judged none of these 20 pairs") as caught:
            act(project=project, judges=[judges[0], none], base=0.1, slope=0.5)
        assert caught.value.field == "judges"
    told = preview(project=project, judges=[judges[0], few], base=0.1, slope=0.5)
    assert told.covered == {"x": 20, "few": 3}
    body = json.dumps({"judges": ["x", "few"]})
    at = f"/api/v1/projects/{project.slug}/routings"
    made = as_user(owner).post(at, body, content_type="application/json").json()
    assert made["covered"] == {"x": 20, "few": 3}
    # what a judge says afterwards decided nothing
    factories.make_judgment(pairs[5], "a", annotator=few)
    assert as_user(owner).get(at).json()[0]["covered"]["few"] == 3
    page = reverse("evaluation:routing-new", args=[project.slug])
    assert "few 3" in as_user(owner).get(page).content.decode()


def test_an_evaluation_is_drawn_once_and_corrected(
    project: Any,
    owner: Any,
    as_user: Any,
    judges: list[Any],
    start: Callable[..., Any],
    answered: Any,
) -> None:
    for number in range(36):
        factories.make_prompt(project, f"More {number}?", held_out=True)
    evaluation: Evaluation = answered(start())
    rows = list(evaluation.comparisons.with_sides())
    other = {"a": "b", "b": "a"}
    for number, row in enumerate(rows):
        said = row.candidate_side
        factories.make_judgment(row.pair, said, annotator=judges[0])
        factories.make_judgment(row.pair, said if number % 4 else other[said], annotator=judges[1])
    assert corrected(evaluation, votes_of(evaluation), rows[0].candidate_id) is None
    at = f"/api/v1/projects/{project.slug}/evaluations/{evaluation.pk}"
    assert as_user(owner).get(at).json()["routed"] == []
    route(project=project, judges=judges, base=1.0, slope=0.0, evaluation=evaluation, by=owner)
    with pytest.raises(UserError, match="already"):
        route(project=project, judges=judges, base=1.0, slope=0.0, evaluation=evaluation, by=owner)
    for number, row in enumerate(rows):
        row.pair.refresh_from_db()
        said = row.candidate_side
        factories.make_judgment(row.pair, said if number % 2 else other[said])
    found = corrected(evaluation, votes_of(evaluation), rows[0].candidate_id)
    assert found is not None
    assert found.estimate is not None
    assert (found.comparisons, found.labelled, found.waiting) == (40, 40, 0)
    assert found.estimate.rate == pytest.approx(0.5)
    [told] = as_user(owner).get(at).json()["routed"]
    assert told["candidate"] == rows[0].candidate.name
    assert (told["win_rate"], told["lo"]) == (found.estimate.rate, found.estimate.lo)
    assert (told["comparisons"], told["labelled"], told["waiting"]) == (40, 40, 0)


def test_what_is_out_of_bounds_is_refused(
    project: Any, owner: Any, judges: list[Any], pairs: list[Pair]
) -> None:
    person = factories.make_annotator(project, "rater")
    for wrong in ({"base": 0.0}, {"slope": 2.0}, {"judges": []}, {"judges": [person]}):
        said = {"judges": judges, "base": 0.1, "slope": 0.5, **wrong}
        with pytest.raises(UserError):
            route(project=project, by=owner, **said)  # type: ignore[arg-type]
    assert not Routing.objects.exists()


def test_page_and_api(
    project: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    as_user: Any,
    judges: list[Any],
    pairs: list[Pair],
) -> None:
    page = reverse("evaluation:routing-new", args=[project.slug])
    at = f"/api/v1/projects/{project.slug}/routings"
    for other in (member, stranger):
        assert as_user(other).get(page).status_code == 404
        assert as_user(other).get(at).status_code in {403, 404}
    said = {"judges": [one.pk for one in judges], "base": "0.05", "slope": "0.6", "seed": "0"}
    shown = as_user(owner).post(page, {**said, "preview": "1"}).content.decode()
    assert "20 pairs, 0 of them" in shown
    assert "x 20, y 20." in shown
    body = json.dumps({"judges": ["x", "y"], "base": 0.05})
    made = as_user(owner).post(at, body, content_type="application/json").json()
    assert made["pairs"] == 20
    rows = as_user(owner).get(f"{at}/{made['id']}/pairs").json()["results"]
    assert {row["probability"] for row in rows} == {0.05, 0.65}
    assert as_user(stranger).get(f"{at}/{made['id']}/pairs").status_code == 404
    assert "the project" in as_user(owner).get(page).content.decode()
