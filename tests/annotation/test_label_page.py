"""The labelling page as a browser without scripts sees it, and as htmx does."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Assignment, Judgment
from tests import factories

HTMX = {"HX-Request": "true"}


def page_url(project: Any) -> str:
    return reverse("annotation:label", args=[project.slug])


def submit_url(project: Any) -> str:
    return reverse("annotation:label-submit", args=[project.slug])


def verdict(pair: Any, **overrides: Any) -> dict[str, Any]:
    return {"pair": pair.pk, "uuid": str(uuid4()), "verdict": "a2", **overrides}


@pytest.fixture
def pair(project: Any) -> Any:
    return factories.make_pair(project)


def test_it_works(project: Any, member: Any, pair: Any, as_user: Any) -> None:
    browser = as_user(member)
    page = browser.get(page_url(project)).content.decode()
    assert pair.prompt.text in page
    uuid = re.search(r'name="uuid" value="([^"]+)"', page)
    assert uuid

    said = verdict(pair, uuid=uuid[1], verdict="a3", rationale="Because.", tags=["clear"])
    answer = browser.post(submit_url(project), said, follow=True)

    assert answer.redirect_chain == [(page_url(project), 302)]
    assert "Saved." in answer.content.decode()
    assert "Nothing left to label" in answer.content.decode()
    judgment = Judgment.objects.get()
    assert (judgment.rationale, judgment.tags) == ("Because.", ["clear"])
    assert str(judgment.uuid) == uuid[1]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("said", "outcome", "strength"),
    [("a3", "a", -3), ("b1", "b", 1), ("tie", "tie", 0), ("both_bad", "both_bad", 0)],
)
def test_the_screen_is_mapped_to_the_pairs_own_sides(
    project: Any,
    member: Any,
    pair: Any,
    as_user: Any,
    swapped: bool,
    said: str,
    outcome: str,
    strength: int,
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    Assignment.objects.update(swapped=swapped)
    page = browser.get(page_url(project)).content.decode()
    a, b = page.index(pair.output_a.text), page.index(pair.output_b.text)
    assert (b < a) == swapped

    exposure = '{"visible_ms": 900, "device": "pointer", "a": {"ms": 700}, "b": {"ms": 5}}'
    browser.post(submit_url(project), verdict(pair, verdict=said, exposure=exposure))

    flip = {"a": "b", "b": "a"} if swapped else {}
    judgment = Judgment.objects.get()
    assert judgment.outcome == flip.get(outcome, outcome)
    assert judgment.strength == (-strength if swapped else strength)
    assert judgment.swapped is swapped
    assert judgment.exposure["b" if swapped else "a"] == {"ms": 700}
