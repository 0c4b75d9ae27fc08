"""Pipelines are made and looked at by the client."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.registry.services import register_model
from steelyard_client.errors import ApiError
from tests.factories import make_pipeline_output


@pytest.mark.django_db(transaction=True)
def test_pipelines_are_checked_made_and_looked_into(mine: Any, project: Any) -> None:
    model = register_model(
        project=project,
        name="far",
        modality="text",
        family="endpoint",
        source="http://127.0.0.1:9/v1",
        options={"model": "m"},
    )
    layers = [[{"type": "generator", "model": "far"}]]
    assert mine.check_pipeline(layers)["calls"] == 1
    made = mine.add_pipeline("alone", layers)
    assert [one["id"] for one in mine.pipelines()] == [made["id"]]
    output = make_pipeline_output(project, model)
    assert mine.output_record(output.pk)["turns"][0]["text"] == output.text
    with pytest.raises(ApiError) as caught:
        mine.search_pipelines(["far"], baseline="far", judge="nobody")
    assert caught.value.field == "judge"
