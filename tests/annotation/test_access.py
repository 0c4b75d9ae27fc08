"""Every page and every call of the room, by everybody who might come."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from annotation import api_urls, urls
from annotation.models import Assignment, RankingLease
from annotation.recipe import Recipe
from annotation.services import transfer
from annotation.services.queue import annotator_for
from annotation.services.versions import publish_version, start_freeze
from annotation.services.withdrawals import withdraw
from annotation.transfer.outgoing import Order
from steelyard.accounts.services import create_token
from steelyard.runs.services import start_run
from steelyard.web.scopes import SCOPES
from tests import factories

FOR_ANNOTATORS = {
    "label",
    "label-next",
    "label-submit",
    "label-keep",
    "label-flag",
    "label-mine",
    "label-keys",
    "rank",
    "rank-next",
    "rank-submit",
    "rank-flag",
    "rank-keep",
    "rank-mine",
}
CALLS_FOR_ANNOTATORS = {
    ("next", "get"),
    ("progress", "get"),
    ("judgments", "post"),
    ("judgments-mine", "get"),
    ("set-next", "get"),
    ("rankings", "post"),
    ("leases-renew", "post"),
    ("training-next", "get"),
    ("training", "post"),
    ("training-set-next", "get"),
    ("training-sets", "post"),
    ("pair-flags", "post"),
    ("set-flags", "post"),
}
OF_NO_PROJECT = {"formats"}
"""Calls that everybody with an account may make."""
ABOUT_SETS = {
    "sets",
    "set-next",
    "set-list",
    "set-known",
    "rankings",
    "ranking-amend",
    "set-flags",
    "training-set-next",
    "training-sets",
}
SCOPE_OF = {
    **{call: {"label"} for call in CALLS_FOR_ANNOTATORS},
    ("judgments-mine", "get"): {"read", "label"},
    ("judgment-amend", "post"): {"label"},
    ("ranking-amend", "post"): {"label"},
    ("annotator", "patch"): set(),
    ("annotator-release", "post"): set(),
    ("labelling-pause", "post"): set(),
    ("prelabelling", "patch"): set(),
    ("groups", "post"): set(),
    ("group", "patch"): set(),
    ("group", "delete"): set(),
    ("group-pairs", "post"): set(),
    ("group-pairs", "delete"): set(),
}
"""What else than read for GET and write for the others is enough; admin is, everywhere."""
PAGES = [pattern.name for pattern in urls.urlpatterns]
Things = dict[str, Callable[[], Any]]


def things_in(project: Any, owner: Any) -> Things:
    """What the pages and calls with a thing in their address are about, each made when asked for:
    what stands in the address beside the project."""
    person = annotator_for(user=owner, project=project)

    def judge() -> int:
        return factories.make_annotator(project, "judge", kind="judge").pk

    def judgment() -> Any:
        return factories.make_judgment(factories.make_pair(project), annotator=person)

    def flag() -> int:
        found = project.flags.create(pair=judgment().pair, annotator=person, reason="other")
        return found.pk

    def upload() -> Any:
        data = io.BytesIO(b'{"prompt": "Why?", "chosen": "So.", "rejected": "No."}\n{"prompt": 1}')
        return transfer.receive(project=project, name="rows.jsonl", data=data, by=owner)

    def brought_in() -> int:
        """A row was wrong, so there are errors to read."""
        said = {"format": "trl_preference", "mode": "good"}
        run = transfer.start_import(project=project, upload=upload(), said=said, by=owner)
        assert transfer.errors_of(run).exists()
        return run.pk

    def version() -> Any:
        judgment()
        recipe = Recipe(test_fraction=0.0)
        return publish_version(project=project, dataset_name="All", recipe=recipe, by=owner)

    def written() -> Any:
        order = Order("trl_preference")
        run = transfer.start_export(version=version(), order=order, by=owner)
        assert run.state == "succeeded"
        return run

    def freeze() -> int:
        judgment()
        run = start_freeze(project=project, dataset_name="All", recipe=Recipe(), by=owner)
        return run.pk

    def tuning() -> int:
        parts: dict[str, Any] = {"train": [], "validation": [], "test": []}
        spec = {"judge": judge(), "reflection": 0, "budget": 1, "seed": 0, "parts": parts}
        return start_run(project=project, kind="tune_judge", title="t", spec=spec, by=owner).pk

    def withdrawal() -> int:
        judgment()
        return withdraw(project=project, annotator=person, reason="asleep", by=owner).pk

    def ranking() -> Any:
        output_set = factories.make_set(project)
        shown = list(output_set.outputs.values_list("pk", flat=True))
        tiers = [[pk] for pk in shown]
        values = {"project": project, "annotator": person, "shown": shown, "tiers": tiers}
        return output_set.rankings.create(**values).uuid

    group = partial(project.groups.create, name="experts")
    makers: dict[Callable[[], Any], list[str]] = {
        lambda: person.pk: [
            "annotator",
            "annotator-release",
            "person-change",
            "person-pause",
            "person-release",
        ],
        judge: [
            "judge-check",
            "judge-checks",
            "judge-estimates",
            "judge-explain",
            "judge-limits",
            "judge-rationales",
            "judge-run",
            "judge-runs",
            "judge-tune",
            "judge-tunings",
            "judge-version-new",
            "judge-versions",
        ],
        lambda: factories.make_pair(project).pk: ["pair-detail", "pair-flags"],
        lambda: factories.make_set(project).pk: [
            "set-flags",
            "set-detail",
            "set-known",
            "set-unknown",
        ],
        lambda: group().pk: ["group", "group-pairs", "group-detail", "group-delete"],
        flag: ["flag-resolve"],
        lambda: judgment().uuid: ["judgment-amend"],
        ranking: ["ranking-amend"],
        lambda: upload().uuid: ["import-file"],
        brought_in: ["import-of-run", "import-errors", "import-detail"],
        lambda: version().pk: ["export-new", "exports"],
        lambda: written().pk: ["export-of-run", "export-detail"],
        lambda: _file_of(written()): ["export-file"],
        withdrawal: ["withdrawal", "withdrawal-detail", "withdrawal-lift"],
        freeze: ["freeze-of-run"],
        tuning: ["tuning-of-run", "tuning-detail"],
    }
    return {name: make for make, names in makers.items() for name in names}


def _file_of(run: Any) -> tuple[int, str]:
    return run.pk, run.result["files"][0]["name"]


@pytest.fixture
def things(project: Any, owner: Any) -> Things:
    return things_in(project, owner)


def address(pattern: URLPattern, room: str, slug: str, things: Things) -> str:
    arguments = {} if pattern.name in OF_NO_PROJECT else {"project": slug}
    names = [name for name in pattern.pattern.converters if name != "project"]
    if names:
        made = things[str(pattern.name)]()
        made = made if isinstance(made, tuple) else (made,)
        arguments |= dict(zip(names, made, strict=True))
    return reverse(f"{room}:{pattern.name}", kwargs=arguments)


def give_work(pattern: URLPattern, project: Any) -> None:
    """Something to label, of the task that the page or call is about."""
    name = str(pattern.name)
    if name in ABOUT_SETS or name.startswith("rank"):
        project.label_scheme = {"task": "ranking"}
        project.save()
        factories.make_set(project, wanted=2)
    else:
        factories.make_pair(project, wanted=2)


def statuses(client: Client, url: str, *more: str) -> dict[str, int]:
    methods = ("get", "post", *more)
    return {method: getattr(client, method)(url).status_code for method in methods}


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
    things: Things,
) -> None:
    give_work(pattern, project)
    url = address(pattern, "annotation", project.slug, things)
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


def methods_of(pattern: URLPattern) -> list[str]:
    view = pattern.callback.cls()
    return [name.lower() for name in view.allowed_methods if name not in {"HEAD", "OPTIONS"}]


@pytest.mark.parametrize(
    ("method", "pattern"),
    [
        pytest.param(method, pattern, id=f"{method}-{pattern.name}")
        for pattern in api_urls.urlpatterns
        for method in methods_of(pattern)
    ],
)
def test_calls(
    pattern: URLPattern,
    method: str,
    project: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    as_user: Any,
    things: Things,
) -> None:
    give_work(pattern, project)
    url = address(pattern, "api", project.slug, things)

    def answer(client: Client) -> int:
        for leases in (Assignment, RankingLease):
            leases.objects.all().delete()
        options = {} if method == "get" else {"content_type": "application/json"}
        return getattr(client, method)(url, **options).status_code

    # the owner last: what they may do may leave nothing for others to find
    found = {who: answer(as_user(who)) for who in (stranger, member, owner)}
    assert answer(Client()) == 401
    # 415: it takes another type than JSON
    done = {200, 204} if method == "get" else {200, 201, 204, 400, 415}
    assert found[owner] in done
    for_all = pattern.name in OF_NO_PROJECT
    assert found[stranger] == (found[owner] if for_all else 404)
    mine = for_all or (pattern.name, method) in CALLS_FOR_ANNOTATORS
    assert found[member] == (found[owner] if mine else 404)


EXAMPLES = {"pk": 2**31 - 1, "uuid": "00000000-0000-4000-8000-000000000000", "name": "x"}


def nowhere(pattern: URLPattern, slug: str) -> str:
    """The address of no thing: who may come is looked at first."""
    said = {**EXAMPLES, "project": slug}
    arguments = {name: said[name] for name in pattern.pattern.converters}
    return reverse(f"api:{pattern.name}", kwargs=arguments)


def client_with(user: Any, **said: Any) -> Client:
    _token, key = create_token(user=user, name="t", **said)
    return Client(headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_opens_what_its_scope_says_and_nothing_else(
    scope: str, project: Any, owner: Any
) -> None:
    client = client_with(owner, scopes=[scope])
    wrong = []
    for pattern in api_urls.urlpatterns:
        for method in methods_of(pattern):
            usual = {"read"} if method == "get" else {"write"}
            enough = SCOPE_OF.get((str(pattern.name), method), usual) | {"admin"}
            answer = client.generic(
                method.upper(), nowhere(pattern, project.slug), content_type="application/json"
            )
            if (answer.status_code == 403) == (scope in enough):
                wrong.append(f"{method} {pattern.name}: {answer.status_code}")
    assert not wrong


def test_a_token_of_another_project_opens_nothing_here(project: Any, owner: Any) -> None:
    other = factories.make_project()
    factories.Membership.objects.create(project=other, user=owner, role="admin")
    client = client_with(owner, scopes=["admin"], project=other)
    for pattern in api_urls.urlpatterns:
        if pattern.name in OF_NO_PROJECT:
            continue
        for method in methods_of(pattern):
            answer = client.generic(method.upper(), nowhere(pattern, project.slug))
            assert answer.status_code == 404, (method, pattern.name)


@pytest.mark.parametrize(
    ("room", "pattern"),
    [
        pytest.param(room, pattern, id=f"{room}-{pattern.name}")
        for room, module in (("annotation", urls), ("api", api_urls))
        for pattern in module.urlpatterns
        if set(pattern.pattern.converters) - {"project"}
    ],
)
def test_another_projects_things_are_not_reached_through_ones_own(
    room: str, pattern: URLPattern, project: Any, owner: Any, as_user: Any
) -> None:
    other = factories.make_project()
    give_work(pattern, other)
    theirs = factories.make_user("other-owner", project=other, role="admin")
    url = address(pattern, room, other.slug, things_in(other, theirs))
    client = as_user(owner)
    through_mine = url.replace(f"/{other.slug}/", f"/{project.slug}/")
    for each in (url, through_mine):
        assert is_closed(statuses(client, each, "patch", "delete"))
