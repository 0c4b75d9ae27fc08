"""Every page and every call of the room, by everybody who might come."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from annotation import api_urls, urls
from annotation.models import Assignment
from tests import factories

FOR_ANNOTATORS = {"label", "label-submit"}
PAGES = [pattern.name for pattern in urls.urlpatterns]
CALLS = [pattern.name for pattern in api_urls.urlpatterns]
WRITES = {"judge-runs", "version-publish", "import"}
"""Calls without a GET."""


@pytest.fixture
def pk_of(project: Any) -> dict[str, int]:
    """What the pages with a number in their address are about."""
    judge = factories.make_annotator(project, "judge", kind="judge")
    pair = factories.make_pair(project)
    return {"pair-detail": pair.pk, "judge-run": judge.pk, "judge-runs": judge.pk}


def address(pattern: URLPattern, room: str, slug: str, pk_of: dict[str, int]) -> str:
    arguments: list[Any] = [slug]
    if "<int:pk>" in str(pattern.pattern):
        arguments.append(pk_of[str(pattern.name)])
    return reverse(f"{room}:{pattern.name}", args=arguments)


@pytest.mark.parametrize("pattern", urls.urlpatterns, ids=PAGES)
def test_pages(
    pattern: URLPattern,
    project: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    as_user: Any,
    pk_of: dict[str, int],
) -> None:
    url = address(pattern, "annotation", project.slug, pk_of)
    opens = {200, 302} if pattern.name == "label-submit" else {200}
    assert as_user(owner).get(url).status_code in opens
    allowed = as_user(member).get(url).status_code
    assert allowed in (opens if pattern.name in FOR_ANNOTATORS else {404})
    client = as_user(stranger)
    closed = client.post if pattern.name == "label-submit" else client.get
    assert closed(url).status_code == 404
    assert client.post(url).status_code == 404
    assert Client().get(url).status_code == 302


@pytest.mark.parametrize("pattern", api_urls.urlpatterns, ids=CALLS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_calls(
    pattern: URLPattern,
    method: str,
    project: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    as_user: Any,
    pk_of: dict[str, int],
) -> None:
    url = address(pattern, "api", project.slug, pk_of)

    def answer(client: Client) -> int:
        options = {"content_type": "application/json"} if method == "post" else {}
        return getattr(client, method)(url, **options).status_code

    found = answer(as_user(owner))
    assert answer(Client()) == 401
    if found == 405:
        return
    assert found in ({200} if method == "get" else {200, 201, 400})
    Assignment.objects.all().delete()
    assert answer(as_user(stranger)) == 404
    mine = (pattern.name, method) in {("next", "get"), ("progress", "get"), ("judgments", "post")}
    assert answer(as_user(member)) == (found if mine else 404)


def test_another_projects_things_are_not_reached_through_ones_own(
    project: Any, owner: Any, as_user: Any
) -> None:
    other = factories.make_project()
    pair = factories.make_pair(other)
    judge = factories.make_annotator(other, kind="judge")
    client = as_user(owner)
    for name, pk in (("pair-detail", pair.pk), ("judge-run", judge.pk)):
        assert client.get(reverse(f"annotation:{name}", args=[project.slug, pk])).status_code == 404
        assert client.get(reverse(f"annotation:{name}", args=[other.slug, pk])).status_code == 404
