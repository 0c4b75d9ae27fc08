from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps import make_sweep
from training.sweeps.models import Sweep

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {
    "name": "Rates",
    "base": "tiny",
    "recipe": "dpo",
    "model_name": "tuned",
    "space": {"learning_rate": {"low": 1e-6, "high": 1e-4, "log": True}},
    "objectives": [{"measure": "test_reward_accuracy"}],
    "trials": 5,
}


@pytest.fixture
def url(project: Any) -> str:
    return f"/api/v1/projects/{project.slug}/sweeps"


def post(client: Any, url: str, **body: Any) -> Any:
    return client.post(url, body, content_type="application/json")


def test_a_sweep_is_started_and_read_back(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    client = as_user(owner)
    made = post(client, url, **BODY, version=make_version(rows=40).pk)
    assert made.status_code == 201, made.json()
    sweep = made.json()
    assert (sweep["state"], sweep["tuning_seeds"], sweep["trials"]) == ("tuning", [1, 2, 3], [])
    assert client.get(f"{url}/{sweep['id']}").json() == sweep
    assert client.get(url).json()["results"][0]["id"] == sweep["id"]
    assert client.post(f"{url}/{sweep['id']}/pause").json()["paused"]
    assert not client.post(f"{url}/{sweep['id']}/resume").json()["paused"]
    assert client.post(f"{url}/{sweep['id']}/cancel").json()["state"] == "cancelled"
    again = client.post(f"{url}/{sweep['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "sweep_ended")


def test_a_win_rate_is_aimed_at_with_a_judge(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    version = make_version(rows=40)
    asked = {**BODY, "version": version.pk, "objectives": [{"measure": "win_rate"}]}
    refused = post(as_user(owner), url, **asked, judge="nobody")
    assert (refused.status_code, refused.json()["code"]) == (400, "no_judge")
    made = post(as_user(owner), url, **asked, judge="tiny").json()
    assert made["judge"] == "tiny"
    assert made["criteria"].startswith("The better answer is correct")


def test_figures_of_test_seeds_stand_apart_from_those_of_trials(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    done = make_sweep(make_version(), base)
    sweep = as_user(owner).get(f"{url}/{done.pk}").json()
    assert len(sweep["trials"]) == 12
    final = sweep["final"][0]
    assert final["is_winner"]
    assert [figure["measure"] for figure in final["figures"]] == ["test_reward_accuracy", "kl"]
    assert len(final["figures"][0]["values"]) == 5
    seeds = {run["seed"] for run in sweep["trials"][1]["runs"] if run["purpose"] == "tuning"}
    assert seeds == set(sweep["tuning_seeds"])


def test_what_is_wrong_is_named(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    client = as_user(owner)
    body = {**BODY, "version": make_version(rows=40).pk}
    answer = post(client, url, **{**body, "space": {"learning_rate": {"low": 1, "high": 0}}})
    assert (answer.status_code, answer.json()["field"]) == (400, "learning_rate")
    answer = post(client, url, **{**body, "test_seeds": [1, 2]})
    assert answer.json()["code"] == "seeds_overlap"
    huge = 10**400
    for name, changed in (
        ("max_steps", {"settings": {"max_steps": huge}}),
        ("beta", {"settings": {"beta": huge}}),
        ("learning_rate", {"space": {"learning_rate": {"low": 1e-6, "high": huge}}}),
        ("lora_rank", {"space": {"lora_rank": {"choices": [4, huge]}}}),
        ("learning_rate", {"settings": {"learning_rate": 1e-5}}),
    ):
        answer = post(client, url, **{**body, **changed})
        assert (answer.status_code, answer.json()["field"]) == (400, name)
        assert len(answer.json()["message"]) < 200
    for name in ("hours", "trials"):
        assert post(client, url, **{**body, name: huge}).status_code == 400
    assert "colour" in post(client, url, **body, colour="red").json()["fields"]
    assert not Sweep.objects.exists()


def test_only_the_projects_staff_sees_and_asks(
    as_user: Any, member: Any, stranger: Any, url: str, make_version: Any, base: Any
) -> None:
    done = make_sweep(make_version(), base)
    for user in (member, stranger):
        client = as_user(user)
        assert client.get(url).status_code == 404
        assert client.get(f"{url}/{done.pk}").status_code == 404
        assert post(client, url, **BODY, version=done.version_id).status_code == 404
        for verb in ("pause", "resume", "cancel"):
            assert client.post(f"{url}/{done.pk}/{verb}").status_code == 404
    assert Sweep.objects.count() == 1
