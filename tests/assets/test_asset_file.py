"""Reading a file back: whole, in parts, and by nobody who has no business with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from steelyard.assets.models import Asset
from steelyard.assets.services import blob_path, store_upload
from tests.assets.media import picture, video
from tests.factories import make_project, make_user


@pytest.fixture
def asset(project: Any) -> Asset:
    return store_upload(project=project, data=video("mp4"))


@pytest.fixture
def browser(as_user: Callable[[Any], Client], member: Any) -> Client:
    return as_user(member)


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_it_works(browser: Client, asset: Asset) -> None:
    response = browser.get(asset.url)

    assert response.status_code == 200
    assert body(response) == blob_path(asset.sha256).read_bytes()
    assert response["Content-Type"] == "video/mp4"
    assert response["Content-Length"] == str(asset.size)
    assert response["Accept-Ranges"] == "bytes"
    assert response["ETag"] == f'"{asset.sha256}"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "private" in response["Cache-Control"]
    assert "immutable" in response["Cache-Control"]


@pytest.mark.parametrize("role", ["annotator", "researcher", "admin"])
def test_every_role_of_the_project_reads_it(
    as_user: Callable[[Any], Client], project: Any, asset: Asset, role: str
) -> None:
    user = make_user(project=project, role=role)

    assert as_user(user).get(asset.url).status_code == 200


def test_a_stranger_finds_nothing(
    as_user: Callable[[Any], Client], stranger: Any, asset: Asset
) -> None:
    assert as_user(stranger).get(asset.url).status_code == 404


def test_whoever_has_not_signed_in_is_asked_to(client: Client, asset: Asset) -> None:
    response = client.get(asset.url)

    assert response.status_code == 302
    assert asset.sha256 in response["Location"]


def test_a_file_is_not_read_through_another_project(
    as_user: Callable[[Any], Client], asset: Asset
) -> None:
    """The hash of a file that is somebody else's opens nothing."""
    other = make_project()
    user = make_user(project=other, role="admin")

    assert as_user(user).get(f"/assets/{other.slug}/{asset.sha256}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=5-99999999", 5, None),
        ("bytes=-99999999", 0, None),
        ("bytes= 3-4 ", 3, 5),
    ],
)
def test_a_part(browser: Client, asset: Asset, asked: str, first: int, end: int | None) -> None:
    data = blob_path(asset.sha256).read_bytes()

    response = browser.get(asset.url, headers={"range": asked})

    part = body(response)
    assert response.status_code == 206
    assert part == data[first:end]
    assert response["Content-Length"] == str(len(part))
    start = data.index(part) if first == -7 else first
    assert response["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{len(data)}"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_part_beyond_the_end(browser: Client, asset: Asset, asked: str) -> None:
    response = browser.get(asset.url, headers={"range": asked})

    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{asset.size}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "x"]
)
def test_a_range_that_we_do_not_serve_gets_the_whole(
    browser: Client, asset: Asset, asked: str
) -> None:
    response = browser.get(asset.url, headers={"range": asked})

    assert response.status_code == 200
    assert len(body(response)) == asset.size


def test_if_range(browser: Client, asset: Asset) -> None:
    """A part only of the very file that the caller has the rest of."""
    same = {"range": "bytes=0-9", "if-range": f'"{asset.sha256}"'}
    other = {"range": "bytes=0-9", "if-range": '"another"'}
    old = {"range": "bytes=0-9", "if-range": "Wed, 21 Oct 2015 07:28:00 GMT"}

    assert browser.get(asset.url, headers=same).status_code == 206
    assert browser.get(asset.url, headers=other).status_code == 200
    assert browser.get(asset.url, headers=old).status_code == 200


def test_what_the_browser_has_is_not_sent_again(browser: Client, asset: Asset) -> None:
    for tag in (f'"{asset.sha256}"', f'"other", W/"{asset.sha256}"'):
        response = browser.get(asset.url, headers={"if-none-match": tag})
        assert response.status_code == 304
        assert not response.content

    assert browser.get(asset.url, headers={"if-none-match": '"other"'}).status_code == 200


def test_head_tells_the_same_without_the_bytes(browser: Client, asset: Asset) -> None:
    response = browser.head(asset.url, headers={"range": "bytes=0-9"})

    assert response.status_code == 200
    assert response["Content-Length"] == str(asset.size)
    assert response["Content-Type"] == "video/mp4"
    assert not body(response)


def test_nothing_is_compressed_on_the_way(browser: Client, project: Any) -> None:
    """A gzipped part would be no part of the file."""
    asset = store_upload(project=project, data=picture("PNG", width=300, height=300))
    headers = {"accept-encoding": "gzip", "range": "bytes=0-999"}

    response = browser.get(asset.url, headers=headers)

    assert "Content-Encoding" not in response
    assert body(response) == blob_path(asset.sha256).read_bytes()[:1000]


def test_it_only_reads(browser: Client, asset: Asset) -> None:
    assert browser.post(asset.url).status_code == 405
    assert browser.delete(asset.url).status_code == 405


def test_a_file_gone_from_the_store_is_not_found(browser: Client, asset: Asset) -> None:
    blob_path(asset.sha256).unlink()

    assert browser.get(asset.url).status_code == 404
