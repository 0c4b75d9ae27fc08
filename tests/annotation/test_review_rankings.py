"""What the owner of a project of rankings sees of them: each set's orders with their reasons, and
the progress set by set."""

from __future__ import annotations

import csv
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Flag, Ranking
from annotation.services.queue import annotator_for
from annotation.services.ranking import Order, amend_ranking, record_ranking
from annotation.services.ranking_queue import next_set
from tests import factories


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking"}, overlap=2)


def rank(user: Any, project: Any, *places: int, **said: Any) -> Ranking:
    """The set that they are given, with its outputs, in the order of their numbers, in that
    order."""
    annotator = annotator_for(user=user, project=project)
    lease = next_set(annotator=annotator)
    assert lease is not None
    outputs = sorted(lease.shown)
    order = Order(uuid=uuid4(), tiers=[[outputs[place]] for place in places], **said)
    return record_ranking(annotator=annotator, output_set=lease.output_set, order=order)[0]


def test_a_set_shows_its_orders_with_their_reasons(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    output_set = factories.make_set(project, 3)
    ranking = rank(member, project, 2, 0, 1, rationale="C has <b>it</b>.", tags=["clear"])
    url = reverse("annotation:set-detail", args=[project.slug, output_set.pk])
    text = " ".join(as_user(owner).get(url).content.decode().split())
    assert "C &gt; A &gt; B" in text
    assert "C has &lt;b&gt;it&lt;/b&gt;." in text
    assert '<span class="tag">clear</span>' in text
    # what the author's own screen called A, B and C
    outputs = sorted(ranking.shown)
    there = ["ABC"[outputs.index(pk)] for pk in ranking.shown]
    screen = zip("ABC", there, strict=True)
    assert ", ".join(f"{theirs} was {here}" for theirs, here in screen) in text
    for user in (member, stranger):
        assert as_user(user).get(url).status_code == 404


def test_an_order_that_was_changed_is_shown_as_it_stands_and_a_tie_as_one(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    output_set = factories.make_set(project, 3)
    ranking = rank(member, project, 2, 0, 1)
    first, second, third = sorted(ranking.shown)
    changed = Order(uuid=uuid4(), tiers=[[third, first], [second]])
    amend_ranking(annotator=ranking.annotator, ranking=ranking, order=changed)
    url = reverse("annotation:set-detail", args=[project.slug, output_set.pk])
    text = as_user(owner).get(url).content.decode()
    assert "A = C &gt; B" in text
    assert "C &gt; A &gt; B" not in text
    assert "amended" in text


def test_the_progress_of_sets_leaves_as_csv(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    begun, other = factories.make_set(project, 3), factories.make_set(project, 2)
    ranking = rank(member, project, 0, 1, 2)
    Flag.objects.create(
        project=project, output_set=other, annotator=ranking.annotator, reason="other"
    )
    answer = as_user(owner).get(reverse("annotation:progress-download", args=[project.slug]))
    lines = answer.getvalue().decode().splitlines()
    rows = list(csv.DictReader(lines))
    assert [(row["set"], row["judged"], row["wanted"], row["flags"]) for row in rows] == [
        (str(begun.pk), "1", "2", "0"),
        (str(other.pk), "0", "2", "1"),
    ]
    queue = as_user(owner).get(reverse("annotation:coverage", args=[project.slug]))
    link = reverse("annotation:set-detail", args=[project.slug, other.pk])
    assert f'href="{link}"' in queue.content.decode()
