"""A vision-language model from pairs about pictures to outputs that people compare."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Output
from evaluation.services import start_evaluation
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from steelyard.lib.records import tables_of
from steelyard.registry.services import add_model, commit_version
from tests.factories import make_prompt
from tests.tiny_vision import make_tiny_vlm, painted
from tests.training.conftest import make_record
from training.services import start_training

COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture
def pictures(project: Any) -> list[str]:
    """SHA-256 of pictures of the project."""
    found = []
    for colour in COLOURS:
        data = io.BytesIO()
        painted(colour).save(data, "PNG")
        found.append(store_upload(project=project, data=data.getvalue()).sha256)
    return found


@pytest.fixture
def version(project: Any, pictures: list[str]) -> Any:
    records = [
        make_record(
            number,
            prompt=[{"role": "user", "content": "What is in the picture?"}],
            prompt_media=[pictures[number % 4]],
            chosen=f"It is {COLOURS[number % 4]}.",
        )
        for number in range(1, 9)
    ]
    counts = {"rows": 8, "train": 7, "test": 1, "ties": 0, "votes": 8}
    return commit_version(
        project=project, dataset_name="Seen", rows=tables_of(records), recipe={}, counts=counts
    )


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_works(
    project: Any, owner: Any, version: Any, pictures: list[str], settle: Any, tmp_path: Path
) -> None:
    base = add_model(
        project=project,
        name="eyes",
        family="vision_language",
        source=str(make_tiny_vlm(tmp_path / "vlm")),
        by=owner,
    )
    job = start_training(
        project=project,
        version=version,
        base=base,
        recipe="dpo",
        config={"max_steps": 2, "batch_size": 2, "lora_rank": 2, "max_length": 128},
        model_name="better eyes",
        by=owner,
    )
    run = settle(job.run)
    assert run.state == "succeeded", run.error
    job.refresh_from_db()
    assert job.result.family == "vision_language"
    make_prompt(project, "What is it?", media=[pictures[0]], held_out=True)
    evaluation = start_evaluation(
        project=project,
        name="seen",
        baseline=base,
        candidates=[job.result],
        sampling={"max_new_tokens": 4},
        by=owner,
    )
    run = settle(evaluation.generation)
    assert run.state == "succeeded", run.error
    assert Output.objects.filter(prompt__media=[pictures[0]]).count() == 2


def test_a_folder_without_a_processor_is_no_vision_language_model(
    project: Any, owner: Any, tiny_lm: Path
) -> None:
    with pytest.raises(UserError) as caught:
        add_model(
            project=project, name="x", family="vision_language", source=str(tiny_lm), by=owner
        )
    assert (caught.value.code, caught.value.field) == ("no_processor", "source")


def test_a_language_model_is_not_asked_about_pictures(
    project: Any, owner: Any, version: Any, tiny_lm: Path
) -> None:
    base = add_model(
        project=project, name="blind", family="causal_lm", source=str(tiny_lm), by=owner
    )
    with pytest.raises(UserError) as caught:
        start_training(
            project=project,
            version=version,
            base=base,
            recipe="dpo",
            config={},
            model_name="x",
            by=owner,
        )
    assert (caught.value.code, caught.value.field) == ("prompt_media", "base")
