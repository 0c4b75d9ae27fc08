from __future__ import annotations

from typing import Any

import pytest

from training.engine.config import RECIPES
from training.models import TrainingJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(project: Any) -> str:
    return f"/api/v1/projects/{project.slug}/training-jobs"


def post(client: Any, url: str, **body: Any) -> Any:
    return client.post(url, body, content_type="application/json")


def test_a_job_is_started_and_read_back(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    version = make_version()
    client = as_user(owner)
    body = {"version": version.pk, "base": "tiny", "recipe": "dpo", "model_name": "better"}
    made = post(client, url, **body, config={"beta": 0.3})
    assert made.status_code == 201, made.json()
    job = made.json()
    assert (job["state"], job["base"], job["result"]) == ("queued", "tiny", None)
    assert job["config"]["beta"] == 0.3
    assert client.get(f"{url}/{job['id']}").json() == job
    assert client.get(url).json()["results"] == [job]


def test_what_is_wrong_is_named(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    client = as_user(owner)
    body = {"version": 0, "base": "nobody", "recipe": "dpo", "model_name": "better"}
    assert set(post(client, url, **body).json()["fields"]) == {"version", "base"}
    # what is asked for is an id: of another project's version it is not said that there is one
    assert "has the id 0" in str(post(client, url, **body).json()["fields"]["version"])
    body = {**body, "version": make_version().pk, "base": "tiny", "config": {"beta": -1}}
    answer = post(client, url, **body)
    assert (answer.status_code, answer.json()["field"]) == (400, "beta")


def test_recipes_tell_every_setting(as_user: Any, stranger: Any) -> None:
    found = {recipe["name"]: recipe for recipe in as_user(stranger).get("/api/v1/recipes").json()}
    assert set(found) == set(RECIPES)
    beta = next(s for s in found["dpo"]["settings"] if s["name"] == "beta")
    assert (beta["type"], beta["default"], beta["choices"]) == ("float", 0.1, [])
    assert (beta["offered"], beta["min"], beta["max"]) == (0.1, 1e-6, 1e6)
    batch = next(s for s in found["dpo"]["settings"] if s["name"] == "batch_size")
    assert (batch["default"], batch["offered"] in (2, 4)) == (4, True)
    assert found["dpo"]["modality"] == "text"


def test_only_the_projects_staff_sees_and_starts_jobs(
    as_user: Any, member: Any, stranger: Any, url: str, make_version: Any, base: Any
) -> None:
    body = {"version": make_version().pk, "base": "tiny", "recipe": "dpo", "model_name": "x"}
    for user in (member, stranger):
        client = as_user(user)
        assert client.get(url).status_code == 404
        assert client.get(f"{url}/1").status_code == 404
        assert post(client, url, **body).status_code == 404
    assert not TrainingJob.objects.exists()
