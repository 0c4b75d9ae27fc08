"""What start_training refuses, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.errors import UserError
from steelyard.registry.services import register_model
from steelyard.runs.models import Run
from tests.factories import make_project
from tests.tiny_videos import tiny_wan
from training.models import TrainingJob
from training.services import start_training

pytestmark = pytest.mark.django_db


@pytest.fixture
def start(project: Any, make_version: Any, base: Any, owner: Any) -> Any:
    usual = make_version(name="Usual")

    def ask(**changes: Any) -> TrainingJob:
        values = {
            "project": project,
            "version": usual,
            "base": base,
            "recipe": "dpo",
            "config": {},
            "model_name": "better",
            "by": owner,
            **changes,
        }
        return start_training(**values)

    return ask


def refusal(start: Any, **changes: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        start(**changes)
    assert not Run.objects.exists()
    assert not TrainingJob.objects.exists()
    return caught.value


def test_it_works(start: Any, owner: Any) -> None:
    job = start(config={"beta": 0.2})
    assert job.config["beta"] == 0.2
    assert job.config["loss_type"] == "sigmoid"
    assert (job.run.kind, job.run.state, job.run.title) == ("train", "queued", "Train better")
    assert job.run.created_by == owner


def test_a_version_or_base_of_another_project_is_refused(start: Any, base: Any) -> None:
    other = make_project()
    stranger = register_model(
        project=other, name="theirs", modality="text", family="causal_lm", source=base.source
    )
    assert refusal(start, base=stranger).field == "base"


def test_a_model_without_weights_is_refused(start: Any, project: Any) -> None:
    imported = register_model(project=project, name="gpt", modality="text", family="imported")
    error = refusal(start, base=imported)
    assert (error.code, error.field) == ("cannot_train", "base")


def test_a_base_whose_folder_is_gone_is_refused(start: Any, project: Any) -> None:
    gone = register_model(
        project=project, name="gone", modality="text", family="causal_lm", source="/nowhere/model"
    )
    error = refusal(start, base=gone)
    assert (error.code, error.field) == ("no_such_model", "base")


def test_a_recipe_for_another_modality_is_refused(start: Any) -> None:
    error = refusal(start, recipe="diffusion_dpo")
    assert (error.code, error.field) == ("wrong_recipe", "recipe")
    assert "dpo" in error.message


def test_clips_train_models_that_make_clips_and_pictures_those_that_make_pictures(
    start: Any, project: Any, make_version: Any, tmp_path: Path
) -> None:
    project.modality = "video"
    project.save()
    assert refusal(start).code == "wrong_recipe"
    version = make_version(modality="video", chosen="", rejected="")
    painter, filmer = (
        register_model(
            project=project, name=family, modality="video", family=family, source="hub/name"
        )
        for family in ("stable_diffusion", "wan")
    )
    error = refusal(start, recipe="diffusion_dpo", version=version, base=painter, config={})
    assert (error.code, error.field) == ("wrong_modality", "base")
    assert "makes pictures" in error.message
    filmer.source = str(tiny_wan(tmp_path / "wan"))
    error = refusal(
        start, recipe="diffusion_dpo", version=version, base=filmer, config={"resolution": 40}
    )
    assert (error.code, error.field) == ("bad_resolution", "resolution")
    job = start(recipe="diffusion_dpo", version=version, base=filmer, config={"clip_frames": 9})
    assert (job.recipe, job.config["clip_frames"]) == ("diffusion_dpo", 9)


def test_a_wrong_setting_is_named(start: Any) -> None:
    assert refusal(start, config={"beta": 0}).field == "beta"
    assert refusal(start, config={"betta": 1}).code == "unknown_setting"


def test_a_name_that_is_taken_or_promised_is_refused(start: Any) -> None:
    error = refusal(start, model_name="tiny")
    assert (error.field, error.status) == ("model_name", 409)
    assert refusal(start, model_name=" ").field == "model_name"
    start()
    with pytest.raises(UserError, match="not finished yet"):
        start()


def test_a_version_without_rows_to_train_on_is_refused(start: Any, make_version: Any) -> None:
    error = refusal(start, version=make_version(split="test"))
    assert (error.code, error.field) == ("no_train_rows", "version")


def test_a_version_of_ties_only_is_refused(start: Any, make_version: Any) -> None:
    error = refusal(start, version=make_version(outcome="tie"))
    assert (error.code, error.field) == ("one_class", "version")


def test_a_version_whose_files_are_gone_is_refused(start: Any, make_version: Any) -> None:
    version = make_version()
    version.parquet.unlink()
    assert refusal(start, version=version).code == "version_lost"


def test_missing_media_are_counted_before_anything_starts(start: Any, make_version: Any) -> None:
    version = make_version(rows=3, chosen_media="a" * 64, rejected_media="b" * 64)
    error = refusal(start, version=version)
    assert error.code == "media_lost"
    assert "2 of the 2" in error.message


def test_a_writer_that_no_answer_is_by_is_refused_before_anything_starts(
    start: Any, make_version: Any
) -> None:
    error = refusal(
        start, recipe="rebirth", version=make_version(), config={"written_by": "nobody"}
    )
    assert (error.code, error.field) == ("unknown_writer", "written_by")
    assert "“nobody”" in error.message
