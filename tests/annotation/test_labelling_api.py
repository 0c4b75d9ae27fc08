"""Labelling over the API, beyond the two calls: evidence, amending, fetching ahead, renewing."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from annotation.models import Assignment, Prompt
from steelyard.assets.services import store_upload
from tests import factories
from tests.api_client import Api


@pytest.fixture
def api(member: Any, project: Any) -> Api:
    return Api(member, project)


def test_all_that_a_verdict_may_say_is_kept_and_told_to_staff(
    project: Any, api: Api, owner: Any
) -> None:
    project.label_scheme = {"correction": True, "aspects": ["style"], "steps": 5}
    project.save()
    pair = factories.make_pair(project)
    given = api.get("next").json()
    assert given["scheme"]["steps"] == 5
    text = {output["side"]: output["text"] for output in given["outputs"]}["b"]
    mark = {"side": "b", "kind": "span", "start": 0, "end": 6, "quote": text[:6], "says": "bad"}
    said = {
        "outcome": "a",
        "strength": -2,
        "aspects": {"style": 1},
        "rationale": "It is shorter.",
        "tags": ["clear"],
        "evidence": [mark],
        "correction": "A better answer.",
        "segments": [],
        "skip_reason": "",
    }
    seen = {"ms": 900, "watched": 0.5, "plays": 2, "seeks": 1, "zoomed": True}
    exposure = {"a": seen, "b": {"ms": 5}, "device": "touch", "width": 360, "height": 800}
    body = {"uuid": str(uuid4()), "pair": pair.pk, **said, "exposure": exposure}
    answer = api.post("judgments", body)
    assert answer.status_code == 201
    told = answer.json()
    assert {name: told[name] for name in said} == said
    [row] = Api(owner, project).get("judgments").json()["results"]
    assert {name: row[name] for name in said} == said
    assert row["exposure"] == exposure


def test_a_skip_says_why(project: Any, api: Api) -> None:
    pair = factories.make_pair(project)
    api.get("next")
    said = {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "skip", "skip_reason": "broken"}
    assert api.post("judgments", said).json()["skip_reason"] == "broken"


def test_a_verdict_is_amended_and_its_history_is_staffs_to_see(
    project: Any, api: Api, owner: Any
) -> None:
    pair = factories.make_pair(project)
    api.get("next")
    first = api.post("judgments", {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "a"}).json()
    change = {"uuid": str(uuid4()), "outcome": "b", "rationale": "On second thoughts."}
    answers = [api.post(f"judgments/{first['uuid']}/amend", change) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["supersedes"] == first["uuid"]
    late = {"uuid": str(uuid4()), "outcome": "tie"}
    refused = api.post(f"judgments/{first['uuid']}/amend", late)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_current")
    [mine] = api.get("judgments/mine").json()["results"]
    assert (mine["outcome"], mine["is_current"]) == ("b", True)
    staff = Api(owner, project)
    assert [row["outcome"] for row in staff.get("judgments").json()["results"]] == ["b"]
    every = staff.get("judgments", all=1).json()["results"]
    assert [(row["outcome"], row["is_current"]) for row in every] == [("b", True), ("a", False)]
    assert api.get("progress").json()["done"] == 1


def test_pairs_are_fetched_ahead_and_renewed(project: Any, api: Api) -> None:
    pairs = [factories.make_pair(project).pk for _ in range(2)]
    first = api.get("next").json()["pair"]
    second = api.get("next", holding=str(first)).json()["pair"]
    assert [first, second] == pairs
    nothing = api.get("next", holding=f"{first},{second}")
    assert (nothing.status_code, nothing["Steelyard-Nothing"]) == (204, "with_others")
    before = dict(Assignment.objects.values_list("pair", "expires_at"))
    held = api.post("leases/renew", {"pairs": [first, second, 10**15]}).json()["held"]
    assert held == pairs
    after = dict(Assignment.objects.values_list("pair", "expires_at"))
    assert all(after[pair] > before[pair] for pair in pairs)


def test_why_there_is_nothing_is_told(project: Any, api: Api) -> None:
    assert api.get("next")["Steelyard-Nothing"] == "done"
    project.paused = True
    project.save()
    assert api.get("next")["Steelyard-Nothing"] == "paused"


@pytest.mark.django_db
def test_media_of_the_prompt_are_given_in_their_order(tmp_path: Any) -> None:
    project = factories.make_project()
    assets = []
    for colour in ("red", "blue"):
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", (8, 8), colour).save(path)
        assets.append(store_upload(project=project, data=path.read_bytes()))
    pair = factories.make_pair(project)
    hashes = [asset.sha256 for asset in assets]
    Prompt.objects.update(media=hashes)
    api = Api(factories.make_user(project=project), project)
    given = api.get("next").json()
    assert given["pair"] == pair.pk
    assert [media["sha256"] for media in given["prompt"]["media"]] == hashes
    assert given["prompt"]["media"][0]["preview_url"]
    assert given["outputs"][0]["media"] is None


def test_strangers_reach_none_of_it_and_members_no_more_than_their_own(
    project: Any, member: Any, owner: Any, stranger: Any
) -> None:
    factories.make_judgment(factories.make_pair(project))
    outside = Api(stranger, project)
    for path in ("next", "progress", "judgments", "judgments/mine", "flags", "training/next"):
        assert outside.get(path).status_code == 404, path
    assert outside.post("leases/renew", {"pairs": [1]}).status_code == 404
    inside = Api(member, project)
    assert inside.get("judgments/mine").json()["results"] == []
    assert inside.get("judgments").status_code == 404
    assert len(Api(owner, project).get("judgments").json()["results"]) == 1
