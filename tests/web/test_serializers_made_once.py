"""Serializers that are made once read and show as those that are made for each request."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from rest_framework.exceptions import ValidationError

from annotation.models import Annotator
from annotation.serializers.labelling import JudgmentRequest, RecordedSerializer
from annotation.serializers.shown import LeaseSerializer
from annotation.services.queue import next_pair
from annotation.services.verdicts import Verdict, record_judgment
from steelyard.projects.models import Project
from steelyard.web.api import read_by, shown_by
from tests import factories


@pytest.mark.django_db
def test_what_is_shown_of_one_leaves_nothing_in_what_is_shown_of_the_next(project: Project) -> None:
    rater = factories.make_annotator(project)
    for _ in range(2):
        factories.make_pair(project)
    for outcome, reason in (("a", ""), ("skip", "broken")):
        said = Verdict(uuid=uuid4(), outcome=outcome, skip_reason=reason)
        lease, judgment = _label(rater, said)
        assert shown_by(LeaseSerializer, lease) == LeaseSerializer(lease).data
        assert shown_by(RecordedSerializer, judgment) == RecordedSerializer(judgment).data


def _label(rater: Annotator, said: Verdict) -> tuple[Any, Any]:
    lease = next_pair(annotator=rater)
    assert lease is not None
    return lease, record_judgment(annotator=rater, pair=lease.pair, verdict=said)[0]


def test_what_is_read_is_the_same_and_so_is_what_is_refused() -> None:
    full = {"uuid": str(uuid4()), "pair": 3, "outcome": "b", "tags": ["clear"], "evidence": [{}]}
    least = {"uuid": str(uuid4()), "pair": 4, "outcome": "tie"}
    for good in (full, least, full):
        body = JudgmentRequest(data=good)
        body.is_valid(raise_exception=True)
        assert read_by(JudgmentRequest, good) == body.validated_data
    first = read_by(JudgmentRequest, least)
    first["tags"].append("wrong")
    assert read_by(JudgmentRequest, least)["tags"] == []
    wrong: list[Any] = [{**full, "outcome": "c", "nonsense": 1}, {"pair": 0}, None, [1], "x"]
    for bad in wrong:
        with pytest.raises(ValidationError) as plain:
            JudgmentRequest(data=bad).is_valid(raise_exception=True)
        with pytest.raises(ValidationError) as refused:
            read_by(JudgmentRequest, bad)
        assert refused.value.detail == plain.value.detail
