"""A request's unknown keys are errors, not silence."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework import serializers

from steelyard.web.api import StrictSerializer


class Inner(StrictSerializer):
    depth = serializers.IntegerField(required=False)


class Request(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField()
    inner = Inner(required=False)


def test_an_unknown_key_is_named_beside_the_other_errors() -> None:
    body = Request(data={"nmae": "x"})
    assert not body.is_valid()
    assert set(body.errors) == {"name", "nmae"}
    assert body.errors["nmae"] == ["There is no field 'nmae'; the fields are name, inner."]


def test_what_only_the_server_sets_is_no_field_of_a_request() -> None:
    assert not Request(data={"name": "x", "id": 7}).is_valid()


def test_an_unknown_key_further_in_is_found_too() -> None:
    body = Request(data={"name": "x", "inner": {"dept": 1}})
    assert not body.is_valid()
    assert set(body.errors["inner"]) == {"dept"}


def test_known_keys_pass() -> None:
    body = Request(data={"name": "x", "inner": {"depth": 1}})
    assert body.is_valid(), body.errors
    assert body.validated_data == {"name": "x", "inner": {"depth": 1}}


@pytest.mark.django_db
def test_the_routes_refuse_unknown_keys(as_user: Any, owner: Any, project: Any) -> None:
    client = as_user(owner)
    start = f"/api/v1/projects/{project.slug}"
    for method, url in (
        ("post", "/api/v1/tokens"),
        ("patch", start),
        ("post", f"{start}/members"),
        ("post", f"{start}/models"),
        ("post", f"{start}/training-jobs"),
        ("post", f"{start}/evaluations"),
    ):
        answer = getattr(client, method)(url, {"settings": {}}, content_type="application/json")
        assert answer.status_code == 400, (url, answer.content)
        assert "There is no field 'settings'" in answer.json()["fields"]["settings"][0]
