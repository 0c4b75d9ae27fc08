"""Themes of reasons: what belongs together is found, people and judges apart."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from evaluation.engine.themes import themes
from evaluation.reasons import reasons_of
from tests import factories

pytestmark = pytest.mark.django_db
LONG = ["far too long and padded", "padded with filler, long", "too long, filler everywhere"] * 5
WRONG = [
    "the arithmetic is wrong",
    "wrong sum, bad arithmetic",
    "arithmetic mistake in the sum",
] * 5


def test_texts_about_the_same_thing_share_a_theme() -> None:
    found = themes([*LONG, *WRONG], number=2)
    assert [{place < len(LONG) for place in one.texts} for one in found] in (
        [{True}, {False}],
        [{False}, {True}],
    )
    assert found == themes([*LONG, *WRONG], number=2)
    assert themes(LONG[:5]) == []


def test_votes_whose_side_is_not_known_are_counted_as_such(
    project: Any, owner: Any, as_user: Any
) -> None:
    judge = factories.make_annotator(project, "robot", kind="judge")
    both = [{"swapped": False, "outcome": "b"}, {"swapped": True, "outcome": "b"}]
    for number, text in enumerate([*LONG, *WRONG]):
        pair = factories.make_pair(project)
        swapped = (None, False, True)[number % 3]
        factories.make_judgment(pair, "b", rationale=text, swapped=swapped)
        more = {"details": {"orders": both if number % 2 else both[:1]}}
        factories.make_judgment(pair, "b", annotator=judge, rationale=text, swapped=False, **more)
    for by, expected in (("people", (10, 10, 10)), ("judges", (0, 15, 15))):
        found = reasons_of(project, by).themes
        sums = [
            sum(getattr(one, name) for one in found) for name in ("first", "second", "side_unknown")
        ]
        assert sum(sums) == sum(one.count for one in found) == 30
        assert tuple(sums) == expected
    page = reverse("evaluation:reason-list", args=[project.slug])
    assert "Side not known" in as_user(owner).get(page).content.decode()
    rows = as_user(owner).get(f"/api/v1/projects/{project.slug}/reasons").json()["themes"]
    assert sum(row["side_unknown"] for row in rows) == 10


def test_page_and_api_tell_people_and_judges_apart(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    judge = factories.make_annotator(project, "robot", kind="judge")
    for text in [*LONG, *WRONG]:
        pair = factories.make_pair(project)
        factories.make_judgment(pair, "a", rationale=text)
        factories.make_judgment(pair, "tie", annotator=judge)
    found = reasons_of(project)
    assert (found.read, sum(one.first for one in found.themes)) == (30, 30)
    assert reasons_of(project, "judges").read == 0
    page = reverse("evaluation:reason-list", args=[project.slug])
    at = f"/api/v1/projects/{project.slug}/reasons"
    assert "arithmetic" in as_user(owner).get(page).content.decode()
    assert "Too few" in as_user(owner).get(page, {"by": "judges"}).content.decode()
    assert as_user(owner).get(at, {"outcome": "winner"}).json()["read"] == 30
    assert as_user(owner).get(at, {"outcome": "x"}).status_code == 400
    for other in (member, stranger):
        assert as_user(other).get(page).status_code == 404
        assert as_user(other).get(at).status_code in {403, 404}
