"""What an owner's figures count: what people did, and what was taken out."""

from __future__ import annotations

import csv
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import OutputSet
from annotation.services import overview
from annotation.services.ranking import Order, amend_ranking, record_ranking
from annotation.services.ranking_queue import next_set
from tests import factories

pytestmark = pytest.mark.django_db


def test_of_people_who_rank_their_rankings_are_counted_not_the_pairs() -> None:
    project = factories.make_project(label_scheme={"task": "ranking"})
    rater = factories.make_annotator(project, "rater")
    sets = [factories.make_set(project, 4) for _ in range(3)]

    def order(one: OutputSet, **values: Any) -> Order:
        tiers = [[pk] for pk in one.outputs.values_list("pk", flat=True)]
        return Order(uuid=uuid4(), **{"tiers": tiers, **values})

    for one, said in zip(sets, [{}, {}, {"tiers": [], "skipped": True}], strict=True):
        assert next_set(annotator=rater) is not None
        given, _ = record_ranking(annotator=rater, output_set=one, order=order(one, **said))
        if one == sets[0]:
            amend_ranking(annotator=rater, ranking=given, order=order(one))
    (person,) = overview.people(project).value
    assert (person.verdicts, person.skips, person.amended) == (2, 1, 1)
    assert overview.throughput(project).value.today == 2
    assert overview.coverage(project).value.total.verdicts == 12


def test_a_complete_pair_that_is_taken_out_counts_as_taken_out(
    project: Any, owner: Any, as_user: Any
) -> None:
    for closed in (False, True):
        pair = factories.make_pair(project)
        factories.make_judgment(pair)
        pair.closed = closed
        pair.save()
    found = overview.coverage(project).value
    assert (found.total.complete, found.total.closed, found.total.share) == (1, 1, 1.0)
    assert found.by_verdicts == {(1, 1): 1}
    answer = as_user(owner).get(reverse("annotation:progress-download", args=[project.slug]))
    rows = csv.DictReader(line.decode() for line in answer.streaming_content)
    assert [row["state"] for row in rows] == ["complete", "closed"]
