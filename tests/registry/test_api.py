from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.hashing import sha256_hex
from steelyard.registry.models import ModelVersion
from steelyard.registry.tagging import set_tag
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(project: Any) -> str:
    return f"/api/v1/projects/{project.slug}"


def post(client: Any, url: str, **body: Any) -> Any:
    return client.post(url, body, content_type="application/json")


def test_versions_are_read_with_rows_and_files(
    as_user: Any, owner: Any, url: str, version: Any
) -> None:
    client = as_user(owner)
    listed = client.get(f"{url}/versions").json()["results"]
    assert [(one["dataset"], one["number"]) for one in listed] == [("Preferences", 1)]
    one = client.get(f"{url}/versions/{version.pk}").json()
    assert one["manifest"]["digest"] == one["digest"] == version.digest
    rows = client.get(f"{url}/versions/{version.pk}/rows", {"offset": 40, "limit": 3}).json()
    assert (rows["count"], rows["offset"]) == (45, 40)
    assert [row["chosen"] for row in rows["rows"]] == ["It is 82.", "It is 84.", "It is 86."]
    assert rows["rows"][0]["aspects"] == {"truth": -1.0}
    for name, there in (("category", "facts"), ("model", "bad, good")):
        wrong = client.get(f"{url}/versions/{version.pk}/rows", {name: "nope"})
        assert (wrong.status_code, wrong.json()["field"]) == (400, name)
        assert f"there are {there}" in wrong.json()["message"]
    file = client.get(f"{url}/versions/{version.pk}/rows.jsonl")
    assert sha256_hex(b"".join(file.streaming_content)) == version.manifest["rows_sha256"]


def test_models_are_added_and_read(as_user: Any, owner: Any, url: str, tiny_lm: Path) -> None:
    client = as_user(owner)
    made = post(client, f"{url}/models", name="t", family="causal_lm", source=str(tiny_lm))
    assert made.status_code == 201, made.json()
    assert made.json()["can_train"] is True
    assert client.get(f"{url}/models/{made.json()['id']}").json() == made.json()
    wrong = post(client, f"{url}/models", name="u", family="causal_lm", source="/nowhere")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "source")


def test_an_endpoint_keeps_its_key_to_itself(as_user: Any, owner: Any, url: str) -> None:
    body = {"family": "endpoint", "source": "http://localhost:1/v1", "endpoint_model": "m"}
    made = post(as_user(owner), f"{url}/models", name="e", api_key="sk-hush", **body)
    assert made.status_code == 201
    assert (made.json()["has_key"], made.json()["endpoint_model"]) == (True, "m")
    assert "sk-hush" not in made.content.decode()
    assert list(ModelVersion.objects.get().secrets().values()) == ["sk-hush"]


def test_only_an_admin_of_the_project_names_folders_of_the_server(
    as_user: Any, project: Any, url: str, tiny_lm: Path
) -> None:
    client = as_user(make_user(project=project, role="researcher"))
    answer = post(client, f"{url}/models", name="t", family="causal_lm", source=str(tiny_lm))
    assert (answer.status_code, answer.json()["code"]) == (403, "admins_only")


def test_only_the_projects_staff_reaches_versions_and_models(
    as_user: Any, member: Any, stranger: Any, url: str, version: Any
) -> None:
    one = f"versions/{version.pk}"
    for user in (member, stranger):
        client = as_user(user)
        for path in ("versions", one, f"{one}/rows", f"{one}/rows.parquet", "models", "models/1"):
            assert client.get(f"{url}/{path}").status_code == 404, path
        body = {"name": "x", "family": "causal_lm", "source": "org/model"}
        assert post(client, f"{url}/models", **body).status_code == 404
    assert not ModelVersion.objects.exists()


def test_versions_are_chosen_by_dataset_and_tag(
    as_user: Any, owner: Any, url: str, version: Any
) -> None:
    set_tag(version=version, name="paper", by=owner)
    client = as_user(owner)

    def found(query: str) -> list[Any]:
        return [
            (one["id"], one["tags"])
            for one in client.get(f"{url}/versions{query}").json()["results"]
        ]

    there = [(version.pk, ["paper"])]
    assert found("") == found("?dataset=Preferences") == found("?tag=paper") == there
    assert found("?dataset=Others") == found("?tag=draft") == []
    assert client.get(f"{url}/versions?label=paper").status_code == 400
