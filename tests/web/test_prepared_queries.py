"""Queries that are made into SQL once answer as the querysets they are written as."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.models import QuerySet

from annotation.models import Pair
from steelyard.projects.models import Project
from steelyard.web.prepared import Given, Prepared
from tests import factories

pytestmark = pytest.mark.django_db


def of_project() -> QuerySet[Pair]:
    rows = Pair.objects.filter(project=Given("project"), pk__gt=Given("after"))
    return rows.with_content().order_by("pk")


def test_it_finds_what_the_queryset_finds_with_all_that_belongs_to_it(project: Project) -> None:
    first, second = (factories.make_pair(project) for _ in range(2))
    query = Prepared(of_project)
    for after, wanted in ((0, first), (first.pk, second)):
        found = query.first(project=project.pk, after=after)
        plain = Pair.objects.with_content().get(pk=wanted.pk)
        assert found is not None
        for one, same in (
            (found, plain),
            (found.prompt, plain.prompt),
            (found.output_a, plain.output_a),
            (found.output_a.model, plain.output_a.model),
            (found.output_b, plain.output_b),
        ):
            assert one is not None
            assert same is not None
            names = [field.attname for field in one._meta.concrete_fields]
            assert [getattr(one, n) for n in names] == [getattr(same, n) for n in names]
        assert found.output_a.asset is None
    assert query.first(project=project.pk, after=second.pk) is None


@pytest.mark.django_db(transaction=True)
def test_one_that_locks_is_refused_outside_of_a_transaction(project: Project) -> None:
    pair = factories.make_pair(project)
    query = Prepared(lambda: Pair.objects.filter(pk=Given("pair")).select_for_update())
    with transaction.atomic():
        assert query.first(pair=pair.pk) == pair
    with pytest.raises(transaction.TransactionManagementError):
        query.first(pair=pair.pk)
