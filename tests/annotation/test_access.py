"""Every page and every call of the room, by everybody who might come."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from annotation import api_urls, urls
from annotation.models import Assignment
from tests import factories

FOR_ANNOTATORS = {
    "label",
    "label-next",
    "label-submit",
    "label-keep",
    "label-flag",
    "label-mine",
    "label-keys",
}
CALLS_FOR_ANNOTATORS = {
    ("next", "get"),
    ("progress", "get"),
    ("judgments", "post"),
    ("judgments-mine", "get"),
    ("leases-renew", "post"),
    ("training-next", "get"),
    ("training", "post"),
    ("pair-flags", "post"),
}
PAGES = [pattern.name for pattern in urls.urlpatterns]
CALLS = [pattern.name for pattern in api_urls.urlpatterns]


@pytest.fixture
def thing_of(project: Any, owner: Any) -> dict[str, Any]:
    """What the pages and calls with a thing in their address are about."""
    judge = factories.make_annotator(project, "judge", kind="judge")
    person = factories.make_annotator(project, "person", user=owner)
    pair = factories.make_pair(project)
    judgment = factories.make_judgment(factories.make_pair(project), annotator=person)
    group = project.groups.create(name="experts")
    flag = project.flags.create(pair=judgment.pair, annotator=person, reason="other")
    things = {
        person: ["annotator", "annotator-release", "person-change", "person-pause"],
        judge: ["judge-run", "judge-runs"],
        pair: ["pair-detail", "pair-flags"],
        group: ["group", "group-pairs", "group-detail", "group-delete"],
        flag: ["flag-resolve"],
    }
    found = {name: thing.pk for thing, names in things.items() for name in names}
    return {**found, "person-release": person.pk, "judgment-amend": judgment.uuid}


def address(pattern: URLPattern, room: str, slug: str, thing_of: dict[str, Any]) -> str:
    arguments: list[Any] = [slug]
    if set(pattern.pattern.converters) - {"project"}:
        arguments.append(thing_of[str(pattern.name)])
    return reverse(f"{room}:{pattern.name}", args=arguments)


def statuses(client: Client, url: str) -> dict[str, int]:
    return {method: getattr(client, method)(url).status_code for method in ("get", "post")}


def is_closed(statuses: dict[str, int]) -> bool:
    """Whatever way is open to others, it leads nowhere here."""
    # a redirect leads to a page that is closed too
    return 404 in statuses.values() and set(statuses.values()) <= {302, 404, 405}


@pytest.mark.parametrize("pattern", urls.urlpatterns, ids=PAGES)
def test_pages(
    pattern: URLPattern,
    project: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    as_user: Any,
    thing_of: dict[str, Any],
) -> None:
    url = address(pattern, "annotation", project.slug, thing_of)
    assert is_closed(statuses(as_user(stranger), url))
    assert Client().get(url).status_code == 302
    for_members = as_user(member).get(url).status_code
    if pattern.name not in FOR_ANNOTATORS:
        assert is_closed(statuses(as_user(member), url))
    opened = as_user(owner).get(url).status_code
    if opened == 405:
        assert as_user(owner).post(url).status_code in {200, 204, 302, 400, 409, 422}
    else:
        assert opened in {200, 302}
    if pattern.name in FOR_ANNOTATORS:
        assert for_members == opened


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
    thing_of: dict[str, Any],
) -> None:
    url = address(pattern, "api", project.slug, thing_of)

    def answer(client: Client) -> int:
        options = {"content_type": "application/json"} if method == "post" else {}
        return getattr(client, method)(url, **options).status_code

    found = answer(as_user(owner))
    assert answer(Client()) == 401
    if found == 405:
        return
    # 415: it takes another type than JSON
    assert found in ({200, 204} if method == "get" else {200, 201, 204, 400, 415})
    Assignment.objects.all().delete()
    assert answer(as_user(stranger)) == 404
    mine = (pattern.name, method) in CALLS_FOR_ANNOTATORS
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
