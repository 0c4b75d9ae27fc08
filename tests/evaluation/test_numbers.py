from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db.models import Case, FloatField, Value, When

from annotation.models import Judgment
from evaluation.numbers import read_numbers
from tests.factories import make_judgment, make_pair

pytestmark = pytest.mark.django_db


def test_the_arrays_hold_what_the_rows_hold(project: Any) -> None:
    for outcome in ("a", "b", "tie", "skip"):
        make_judgment(make_pair(project), outcome)
    score = Case(
        When(outcome="a", then=Value(1.0)), default=Value(-0.25), output_field=FloatField()
    )
    rows = Judgment.objects.order_by("pk").values_list("pair_id", score, "strength")
    found = read_numbers(rows, pair="i8", score="f8", strength="i8")
    assert list(zip(*(column.tolist() for column in found.values()), strict=True)) == list(rows)
    assert found["pair"].dtype == np.int64
    assert found["score"].dtype == np.float64


def test_no_rows_are_empty_arrays(project: Any) -> None:
    found = read_numbers(Judgment.objects.filter(project=project).values_list("pk"), pk="i8")
    assert found["pk"].size == 0


def test_a_null_is_refused_and_not_left_out(project: Any) -> None:
    make_judgment(make_pair(project), "a")
    with pytest.raises(ValueError, match="1 of 1 rows"):
        read_numbers(Judgment.objects.values_list("duration_ms"), ms="i8")
