from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.urls import reverse

from steelyard.assets.services import store_upload
from steelyard.inference.kinds import VIDEO
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex
from steelyard.lib.records import tables_of
from steelyard.registry.models import Dataset, ModelVersion
from steelyard.registry.services import commit_version, register_model, set_prices
from steelyard.registry.sources import SEEING
from steelyard.registry.tagging import set_tag
from tests.assets.media import picture
from tests.factories import make_model, make_project, make_user
from tests.registry.conftest import make_record

pytestmark = pytest.mark.django_db
KEY = "sk-very-secret"


@pytest.fixture
def endpoint(project: Any) -> ModelVersion:
    return register_model(
        project=project,
        name="served",
        modality="text",
        family="endpoint",
        source="http://localhost:8000/v1",
        options={"model": "llama", "api_key": KEY},
    )


def at(project: Any, name: str, *args: Any) -> str:
    return reverse(f"registry:{name}", args=[project.slug, *args])


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_versions_are_listed(as_user: Any, owner: Any, project: Any, version: Any) -> None:
    page = as_user(owner).get(at(project, "version-list")).content.decode()
    assert "Preferences v1" in page
    assert version.digest[:8] in page


def test_versions_are_filtered_by_dataset_and_tag(
    as_user: Any, owner: Any, project: Any, version: Any
) -> None:
    set_tag(version=version, name="paper", by=owner)
    client, url = as_user(owner), at(project, "version-list")
    for query in ({"tag": "paper"}, {"dataset": "Preferences", "tag": ""}, {"tag": "none such"}):
        assert "Preferences v1" in client.get(url, query).content.decode()
    other = Dataset.objects.create(project=project, slug="others", name="Others")
    page = client.get(url, {"dataset": other.name}).content.decode()
    assert "Preferences v1" not in page
    assert "No version like that." in page


def test_a_version_tells_its_recipe_in_words_and_what_was_left_out(
    as_user: Any, owner: Any, version: Any
) -> None:
    page = as_user(owner).get(version.get_absolute_url()).content.decode()
    assert "Votes of people count." in page
    assert "10% of prompts are kept for testing." in page
    assert "left out: tie" in page
    assert "Train on this version" in page
    assert f"?version={version.pk}" in page


def test_rows_are_browsed_page_by_page_and_lead_to_their_pairs(
    as_user: Any, owner: Any, version: Any
) -> None:
    client = as_user(owner)
    first = client.get(version.get_absolute_url()).context["page"]
    assert [row["chosen"] for row in first][:2] == ["It is 2.", "It is 4."]
    last = client.get(version.get_absolute_url(), {"page": 3})
    assert [row["chosen"] for row in last.context["page"]][-1] == "It is 90."
    assert f"?key={45:064x}" in last.content.decode()


def test_what_a_prompt_is_about_is_shown_beside_its_words(
    as_user: Any, owner: Any, project: Any
) -> None:
    seen = store_upload(project=project, data=picture())
    version = commit_version(
        project=project,
        dataset_name="Seen",
        rows=tables_of([make_record(1, prompt_media=[seen.sha256]), make_record(2)]),
        recipe={},
        counts={"rows": 2, "train": 2, "test": 0, "votes": 2},
    )
    page = as_user(owner).get(version.get_absolute_url())
    assert page.content.decode().count(f'<a href="{seen.url}"') == 1


def test_a_difference_shows_the_pictures(as_user: Any, owner: Any, project: Any) -> None:
    seen = store_upload(project=project, data=picture())
    made = [
        commit_version(
            project=project,
            dataset_name="Seen",
            rows=tables_of([make_record(n, chosen="", chosen_media=seen.sha256) for n in rows]),
            recipe={},
            counts={"rows": len(rows), "train": len(rows), "test": 0, "votes": len(rows)},
        )
        for rows in ([1], [1, 2])
    ]
    page = as_user(owner).get(at(project, "version-diff", made[1].pk)).content.decode()
    assert page.count(f'<img src="{seen.url}"') == 1


def test_rows_are_downloaded_as_the_frozen_bytes(
    as_user: Any, owner: Any, project: Any, version: Any, records: Any
) -> None:
    client = as_user(owner)
    parquet = client.get(at(project, "version-download", version.pk, "parquet"))
    raw = body_of(parquet)
    assert sha256_hex(raw) == version.manifest["files"][0]["sha256"]
    assert pq.read_table(io.BytesIO(raw)).num_rows == 45
    name = f"preferences-v1-{version.digest[:8]}"
    assert f'"{name}.parquet"' in parquet["Content-Disposition"]
    jsonl = client.get(at(project, "version-download", version.pk, "jsonl"))
    assert sha256_hex(body_of(jsonl)) == version.manifest["rows_sha256"]
    assert f'"{name}.jsonl"' in jsonl["Content-Disposition"]


def test_who_has_the_file_already_is_told_so(
    as_user: Any, owner: Any, project: Any, version: Any
) -> None:
    client = as_user(owner)
    url = at(project, "version-download", version.pk, "jsonl")
    etag = client.get(url)["ETag"]
    assert version.digest in etag
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(at(project, "version-download", version.pk, "pickle")).status_code == 404


def test_a_version_whose_file_is_lost_says_so_and_still_shows_what_it_was(
    as_user: Any, owner: Any, project: Any, version: Any
) -> None:
    version.parquet.unlink()
    client = as_user(owner)
    assert b"not on the server" in client.get(version.get_absolute_url()).content
    lost = client.get(at(project, "version-download", version.pk, "parquet"))
    assert lost.status_code == 410


def test_a_model_tells_what_made_it(as_user: Any, owner: Any, project: Any, version: Any) -> None:
    first = register_model(
        project=project, name="first", modality="text", family="causal_lm", source="org/one"
    )
    second = register_model(
        project=project,
        name="second",
        modality="text",
        family="causal_lm",
        source="org/one",
        adapter="/models/x",
        base=first,
        trained_on=version,
        digest="d" * 64,
    )
    page = as_user(owner).get(second.get_absolute_url()).content.decode()
    assert first.get_absolute_url() in page
    assert version.get_absolute_url() in page
    assert "d" * 64 in page
    listed = as_user(owner).get(at(project, "model-list")).content.decode()
    assert "second" in listed


def test_a_model_is_added_and_what_is_wrong_stands_beside_its_field(
    as_user: Any, owner: Any, project: Any, tiny_lm: Path
) -> None:
    client, url = as_user(owner), at(project, "model-new")
    wrong = client.post(url, {"name": "a", "family": "causal_lm", "source": "/no/such/folder"})
    assert "There is no folder" in wrong.context["form"].errors["source"][0]
    made = client.post(url, {"name": "a", "family": "causal_lm", "source": str(tiny_lm)})
    assert made.url == ModelVersion.objects.get(name="a").get_absolute_url()
    again = client.post(url, {"name": "a", "family": "causal_lm", "source": "org/other"})
    assert "another model" in again.context["form"].errors["name"][0]


def test_only_an_admin_of_the_project_names_folders_of_the_server(
    as_user: Any, project: Any, tiny_lm: Path
) -> None:
    client = as_user(make_user(project=project, role="researcher"))
    url = at(project, "model-new")
    answer = client.post(url, {"name": "a", "family": "causal_lm", "source": str(tiny_lm)})
    assert "Only an admin" in answer.context["form"].errors["source"][0]
    hub = client.post(url, {"name": "a", "family": "causal_lm", "source": "org/model"})
    assert hub.status_code == 302


def test_an_endpoints_key_is_shown_nowhere(
    as_user: Any, owner: Any, project: Any, endpoint: ModelVersion
) -> None:
    client = as_user(owner)
    for url in (endpoint.get_absolute_url(), at(project, "model-list")):
        assert KEY not in client.get(url).content.decode()
    api = f"/api/v1/projects/{project.slug}/models"
    assert KEY not in client.get(api).content.decode()
    assert KEY not in client.get(f"{api}/{endpoint.pk}").content.decode()


def test_an_endpoints_key_is_replaced_and_taken_away(
    as_user: Any, owner: Any, project: Any, endpoint: ModelVersion
) -> None:
    client, url = as_user(owner), at(project, "model-key", endpoint.pk)
    client.post(url, {"api_key": "sk-new"})
    endpoint.refresh_from_db()
    assert list(endpoint.secrets().values()) == ["sk-new"]
    client.post(url, {"api_key": ""})
    endpoint.refresh_from_db()
    assert endpoint.options == {"model": "llama"}


def test_an_endpoints_prices_are_said_changed_and_taken_away(
    as_user: Any, owner: Any, member: Any, project: Any, endpoint: ModelVersion
) -> None:
    client, url = as_user(owner), at(project, "model-prices", endpoint.pk)
    assert endpoint.prices is None
    page = client.post(url, {"price_in": "0.5", "price_out": "2"}, follow=True).text
    assert "0.5 EUR asked, 2.0 EUR answered" in page
    api = f"/api/v1/projects/{project.slug}/models/{endpoint.pk}"
    assert [client.get(api).json()[name] for name in ("price_in", "price_out")] == [0.5, 2.0]
    assert "A price is 0 to a million." in client.post(url, {"price_in": "-1"}, follow=True).text
    client.post(url, {"price_out": "3"})
    endpoint.refresh_from_db()
    assert endpoint.prices == (0.0, 3.0)
    assert list(endpoint.secrets().values()) == [KEY]
    client.post(url, {})
    endpoint.refresh_from_db()
    assert endpoint.prices is None
    assert as_user(member).post(url, {}).status_code == 404
    with pytest.raises(UserError, match="whose tokens alone have a price"):
        set_prices(model=make_model(project, "imported"), price_in=1.0, price_out=None)


def test_a_video_project_takes_the_models_that_make_clips(as_user: Any) -> None:
    project = make_project(modality="video")
    client = as_user(make_user(project=project, role="admin"))
    shown = client.get(at(project, "model-new")).context["form"]["family"]
    # those that see are judges of clips
    assert [value for value, _ in shown.field.choices] == ["", *VIDEO, *SEEING]


def test_only_the_projects_staff_reaches_versions_and_models(
    as_user: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    project: Any,
    version: Any,
    endpoint: ModelVersion,
) -> None:
    urls = [
        at(project, "version-list"),
        at(project, "version-detail", version.pk),
        at(project, "version-download", version.pk, "parquet"),
        at(project, "model-list"),
        at(project, "model-new"),
        at(project, "model-detail", endpoint.pk),
    ]
    for url in urls:
        assert as_user(owner).get(url).status_code == 200, url
        for user in (member, stranger):
            assert as_user(user).get(url).status_code == 404, url
    for user in (member, stranger):
        client = as_user(user)
        assert client.post(at(project, "model-key", endpoint.pk), {}).status_code == 404
        sent = {"name": "a", "family": "causal_lm", "source": "org/model"}
        assert client.post(at(project, "model-new"), sent).status_code == 404
    endpoint.refresh_from_db()
    assert list(endpoint.secrets().values()) == [KEY]


def test_a_version_is_not_reached_through_another_project(
    as_user: Any, owner: Any, version: Any
) -> None:
    other = make_project()
    assert as_user(owner).get(at(other, "version-detail", version.pk)).status_code == 404
