"""A request that brings too much is refused before it is read, and memory stays flat."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

GIB = 2**30
FORM = "multipart/form-data; boundary=x"


class Unread(io.RawIOBase):
    """A body without end; reading it fails the test."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


def send(client: Client, path: str, size: int, kind: str = FORM) -> Any:
    return post(client, path, str(size), Unread(), kind)


def post(client: Client, path: str, length: str, body: Any, kind: str = FORM) -> Any:
    said = {"CONTENT_LENGTH": length, "CONTENT_TYPE": kind, "wsgi.input": body}
    return client.generic("POST", path, b"", **said)


@pytest.mark.parametrize(("size", "kind"), [(4 * GIB, FORM), (65 * 2**20, "application/json")])
def test_four_gibibytes_are_refused_unread(
    as_user: Callable[[Any], Client], project: Any, owner: Any, size: int, kind: str
) -> None:
    client = as_user(owner)
    api = send(client, f"/api/v1/projects/{project.slug}/assets", size, kind)
    page = send(client, reverse("annotation:import", args=[project.slug]), size, kind)

    assert (api.status_code, api.json()["code"]) == (413, "too_large")
    assert page.status_code == 413
    assert "Send less at a time" in page.content.decode()


@pytest.mark.django_db
def test_nobody_needs_to_be_signed_in_to_be_refused(client: Client) -> None:
    assert send(client, "/api/v1/projects/none/assets", 4 * GIB).status_code == 413


@pytest.mark.parametrize("said", ["", "many", "-5"])
def test_a_length_that_is_no_number_is_an_empty_body(
    as_user: Callable[[Any], Client], project: Any, owner: Any, said: str
) -> None:
    path = f"/api/v1/projects/{project.slug}/assets"
    answer = post(as_user(owner), path, said, io.BytesIO(b"--x--"))

    assert answer.status_code == 400


def test_a_body_that_ends_before_its_length_is_the_askers_mistake(
    as_user: Callable[[Any], Client], project: Any, owner: Any
) -> None:
    path = f"/api/v1/projects/{project.slug}/assets"
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG'
    answer = post(as_user(owner), path, str(10**6), io.BytesIO(body))

    assert answer.status_code == 400
