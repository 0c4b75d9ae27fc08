"""Keys of endpoints lie sealed in the database and come out for the engine alone."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.errors import UserError
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import add_model, register_model, set_api_key

KEY = "sk-very-secret"


@pytest.fixture
def endpoint(project: Any, owner: Any) -> ModelVersion:
    return add_model(
        project=project,
        name="far",
        source="http://localhost:1/v1",
        family="endpoint",
        endpoint_model="m",
        api_key=KEY,
        by=owner,
    )


def test_the_key_is_not_in_the_database(endpoint: ModelVersion) -> None:
    kept = ModelVersion.objects.values_list("options", flat=True).get(pk=endpoint.pk)
    assert KEY not in str(kept)
    assert list(endpoint.secrets().values()) == [KEY]


def test_a_new_key_is_sealed_too(endpoint: ModelVersion) -> None:
    set_api_key(model=endpoint, api_key="sk-other")
    endpoint.refresh_from_db()
    assert "sk-other" not in str(endpoint.options)
    assert list(endpoint.secrets().values()) == ["sk-other"]


def test_the_same_model_with_the_same_key_is_the_same_row(endpoint: ModelVersion) -> None:
    same = {"modality": "text", "family": "endpoint", "source": endpoint.source}
    again = register_model(
        project=endpoint.project, name="far", options={"model": "m", "api_key": KEY}, **same
    )
    assert again == endpoint
    with pytest.raises(UserError, match="another model"):
        register_model(
            project=endpoint.project, name="far", options={"model": "m", "api_key": "no"}, **same
        )


def test_under_another_secret_it_has_to_be_entered_again(
    endpoint: ModelVersion, settings: Any
) -> None:
    settings.SECRET_KEY = "another"
    with pytest.raises(UserError) as caught:
        endpoint.secrets()
    assert caught.value.code == "sealed_key"
