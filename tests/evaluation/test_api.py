"""The evaluation room under /api/v1/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from evaluation.models import Evaluation
from tests.factories import make_annotator, make_judgment, make_pair, make_prompt

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def api(owner: Any) -> APIClient:
    return client_of(owner)


@pytest.fixture
def root(project: Any) -> str:
    return f"/api/v1/projects/{project.slug}"


BODY = {"name": "First", "baseline": "base", "candidates": ["new"]}


def test_only_staff_reach_it(
    root: str, owner: Any, member: Any, stranger: Any, start: Start
) -> None:
    urls = [f"{root}/evaluations", f"{root}/evaluations/{start().pk}", f"{root}/leaderboard"]
    for url in urls:
        assert client_of(owner).get(url).status_code == 200, url
        assert client_of(member).get(url).status_code == 404, url
        assert client_of(stranger).get(url).status_code == 404, url
        assert APIClient().get(url).status_code == 401, url
    for user in (member, stranger):
        assert client_of(user).post(urls[0], BODY, format="json").status_code == 404
    assert Evaluation.objects.count() == 1


def test_it_starts_an_evaluation(api: APIClient, root: str, models: Any, prompts: Any) -> None:
    answer = api.post(f"{root}/evaluations", {**BODY, "limit": 2, "seed": 5}, format="json")
    assert answer.status_code == 201
    assert answer.json()["state"] == "generating"
    assert answer.json()["candidates"] == ["new"]
    assert answer.json()["samplings"]["new"]["max_new_tokens"] == 80
    evaluation = Evaluation.objects.get()
    assert answer.json()["id"] == evaluation.pk
    assert (evaluation.seed, evaluation.prompt_set["limit"]) == (5, 2)
    assert [row["name"] for row in api.get(f"{root}/evaluations").json()["results"]] == ["First"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"baseline": "nobody"}, "baseline"),
        ({"candidates": ["nobody"]}, "candidates"),
        ({"candidates": []}, "candidates"),
        ({"candidates": ["base"]}, "candidates"),
        ({"people": False}, "judges"),
        ({"judges": ["nobody"]}, "judges"),
        ({"method": "people"}, "method"),
        ({"category": "poems"}, "category"),
        ({"sampling": {"temperature": "hot"}}, "temperature"),
        ({"seed": 10**30}, "seed"),
        ({"limit": -1}, "limit"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_a_mistake_is_named_by_its_field(
    api: APIClient, root: str, models: Any, prompts: Any, change: dict[str, Any], field: str
) -> None:
    answer = api.post(f"{root}/evaluations", {**BODY, **change}, format="json")
    assert answer.status_code == 400
    body = answer.json()
    assert body["field"] == field or field in body.get("fields", {})
    assert not Evaluation.objects.exists()


def test_who_names_a_judge_asks_no_people_but_by_saying_so(
    api: APIClient, root: str, judge: Any, prompts: Any
) -> None:
    def asks_people(**said: Any) -> bool:
        answer = api.post(f"{root}/evaluations", {**BODY, **said}, format="json")
        assert answer.status_code == 201, answer.json()
        return Evaluation.objects.get(pk=answer.json()["id"]).ask_people

    assert asks_people()
    assert not asks_people(judges=["strict"])
    assert asks_people(judges=["strict"], people=True)


def test_an_evaluation_of_imported_votes_alone_asks_nobody(
    api: APIClient, root: str, project: Any, owner: Any, as_user: Any, answered: Start
) -> None:
    body = {**BODY, "baseline": "alpha", "candidates": ["beta"], "people": False}
    imported = make_annotator(project, "imported robot", kind="judge")
    for number in range(4):
        prompt = make_prompt(project, f"Imported {number}?", held_out=True)
        pair = make_pair(project, prompt=prompt, models=("alpha", "beta"))
        if number == 0:
            assert api.post(f"{root}/evaluations", body, format="json").status_code == 400
        won = "a" if pair.output_a.model.name == "beta" else "b"
        make_judgment(pair, won, annotator=imported)
    answer = api.post(f"{root}/evaluations", body, format="json")
    assert answer.status_code == 201, answer.json()
    evaluation = answered(Evaluation.objects.get())
    assert evaluation.finished
    (row,) = api.get(f"{root}/evaluations/{evaluation.pk}").json()["win_rates"]
    assert (row["judge"], row["win_rate"], row["asked"]) == ("imported robot", 1.0, False)
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert "nobody anew: votes that were there already count" in page


def test_win_rates_people_and_judges_apart(
    api: APIClient, root: str, start: Start, answered: Start, judge: Any
) -> None:
    evaluation = answered(start())
    for comparison in evaluation.comparisons.with_sides():
        make_judgment(comparison.pair, comparison.candidate_side)
        make_judgment(comparison.pair, "tie", annotator=judge)
    people, robot = api.get(f"{root}/evaluations/{evaluation.pk}").json()["win_rates"]
    assert (people["source"], people["judge"], people["win_rate"]) == ("people", None, 1.0)
    assert people["lo"] < 1.0 == people["hi"]
    assert (robot["source"], robot["judge"], robot["win_rate"]) == ("judges", "strict", 0.5)


def test_the_leaderboard(api: APIClient, root: str, project: Any) -> None:
    rater = make_annotator(project, "rater")
    robots = [make_annotator(project, name, kind="judge") for name in ("r1", "r2")]
    for number in range(6):
        pair = make_pair(project, models=("alpha", "beta"))
        make_judgment(pair, "ab"[number % 2], annotator=rater)
        for robot in robots:
            make_judgment(pair, "tie", annotator=robot)
    board = api.get(f"{root}/leaderboard").json()
    assert (board["by"], board["votes"], board["prompts"], board["annotators"]) == (
        "people",
        6,
        6,
        1,
    )
    assert {row["model"] for row in board["standings"]} == {"alpha", "beta"}
    assert {row["group"] for row in board["standings"]} == {1}
    assert api.get(f"{root}/leaderboard", {"by": "judges"}).json()["votes"] == 12
    one = api.get(f"{root}/leaderboard", {"judge": "r1"}).json()
    assert (one["by"], one["judge"], one["votes"]) == ("judges", "r1", 6)
    assert api.get(f"{root}/leaderboard", {"category": "none"}).status_code == 400
    assert api.get(f"{root}/leaderboard", {"by": "dice"}).status_code == 400
    assert api.get(f"{root}/leaderboard", {"judge": "nobody"}).status_code == 400
