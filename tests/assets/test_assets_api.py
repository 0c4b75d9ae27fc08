"""Files through the API: staff bring in and list, everybody of the project reads the bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from steelyard.assets import services
from steelyard.assets.models import Asset
from steelyard.assets.services import store_upload
from tests.assets.media import picture, video
from tests.factories import make_user


def address(project: Any, *more: str) -> str:
    return "/".join([f"/api/v1/projects/{project.slug}/assets", *more])


def upload(client: Client, project: Any, data: bytes, name: str = "x.bin") -> Any:
    file = io.BytesIO(data)
    file.name = name
    return client.post(address(project), {"file": file})


@pytest.fixture
def owned(as_user: Callable[[Any], Client], owner: Any) -> Client:
    return as_user(owner)


def test_it_works(owned: Client, project: Any) -> None:
    response = upload(owned, project, picture("WEBP"), name="../../etc/passwd")

    assert response.status_code == 201
    answer = response.json()
    assert (answer["kind"], answer["mime"]) == ("image", "image/webp")
    assert answer["url"].endswith(answer["sha256"])
    assert owned.get(address(project, answer["sha256"])).json() == answer
    assert owned.get(address(project)).json()["results"] == [answer]


def test_the_same_file_twice_is_one_asset(owned: Client, project: Any) -> None:
    first, second = (upload(owned, project, picture()).json() for _ in range(2))

    assert first == second
    assert Asset.objects.count() == 1


def test_a_researcher_may_an_annotator_and_a_stranger_may_not(
    as_user: Callable[[Any], Client], project: Any, member: Any, stranger: Any
) -> None:
    asset = store_upload(project=project, data=picture())
    researcher = as_user(make_user(project=project, role="researcher"))

    assert upload(researcher, project, picture()).status_code == 201
    for user in (member, stranger):
        client = as_user(user)
        assert upload(client, project, picture("JPEG")).status_code == 404
        assert client.get(address(project)).status_code == 404
        assert client.get(address(project, asset.sha256)).status_code == 404
    assert Asset.objects.count() == 1


def test_bytes_for_every_role_and_no_stranger(
    as_user: Callable[[Any], Client], project: Any, member: Any, stranger: Any
) -> None:
    asset = store_upload(project=project, data=video("mp4"))
    place = address(project, asset.sha256, "file")
    headers = {"range": "bytes=4-7", "accept": "video/*"}

    response = as_user(member).get(place, headers=headers)

    assert response.status_code == 206
    assert b"".join(response.streaming_content) == b"ftyp"
    assert response["Content-Type"] == "video/mp4"
    assert as_user(stranger).get(place).status_code == 404


def test_without_a_sign_in_nothing(client: Client, project: Any) -> None:
    assert client.get(address(project)).status_code in {401, 403}
    assert upload(client, project, picture()).status_code in {401, 403}


def test_a_wrong_file_is_told_what_it_is(owned: Client, project: Any) -> None:
    response = upload(owned, project, b"%PDF-1.7 and so on", name="picture.png")

    assert response.status_code == 400
    answer = response.json()
    assert answer["code"] == "not_media"
    assert "PDF" in answer["message"]
    assert answer["field"] == "file"


class Endless(io.RawIOBase):
    """A form whose file never ends; counts what is read of it."""

    def __init__(self, first: bytes) -> None:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        self.first, self.taken = head + first, 0

    def read(self, size: int = -1) -> bytes:
        part = self.first[:size] if self.first else bytes(size)
        self.first = self.first[size:]
        self.taken += len(part)
        assert self.taken < 10_000_000, "it was read on"
        return part


@pytest.mark.parametrize(
    ("first", "code"),
    [(b"%PDF-1.7", "not_media"), (b"\x89PNG\r\n\x1a\n", "too_large")],
)
def test_a_file_that_would_be_refused_is_not_read_to_its_end(
    owned: Client, project: Any, monkeypatch: pytest.MonkeyPatch, first: bytes, code: str
) -> None:
    monkeypatch.setattr(services, "MAX_IMAGE_BYTES", 1_000_000)
    said = {
        "CONTENT_LENGTH": str(10**9),
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "wsgi.input": Endless(first),
    }

    response = owned.generic("POST", address(project), b"", **said)

    assert (response.status_code, response.json()["code"]) == (400, code)


def test_no_file_is_told(owned: Client, project: Any) -> None:
    response = owned.post(address(project), {})

    assert response.status_code == 400
    assert "file" in response.json()["fields"]


def test_the_schema_names_it_without_a_warning() -> None:
    from steelyard.assets import api_urls

    GENERATOR_STATS.reset()
    schema = SchemaGenerator(patterns=api_urls.urlpatterns).get_schema(request=None, public=True)

    operations = schema["paths"]["/projects/{project}/assets"]
    assert "multipart/form-data" in operations["post"]["requestBody"]["content"]
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache
