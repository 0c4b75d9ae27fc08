"""A model's folder is looked at before it is taken: broken files are told at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.errors import UserError
from steelyard.registry.sources import check_source


@pytest.fixture
def folder(tiny_lm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_lm, tmp_path / "model"))


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as told:
        check_source(modality="text", family="causal_lm", source=str(folder))
    assert told.value.field == "source"
    return told.value.message


def test_a_whole_model_is_taken(folder: Path) -> None:
    assert check_source(modality="text", family="causal_lm", source=str(folder)) == str(folder)


def test_weights_that_are_half_copied_are_told(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (whole[: len(whole) // 2], whole + b"\0", b"", b"no weights at all" * 9):
        weights.write_bytes(broken)
        assert "model.safetensors" in refused(folder)
        assert "broken or half copied" in refused(folder)


def test_a_series_of_weights_must_be_there_with_all_its_files(folder: Path) -> None:
    index = '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(index)
    assert "lacks model-2.safetensors" in refused(folder)


@pytest.mark.django_db
def test_a_config_that_is_no_json_is_told_with_its_place(
    as_user: Any, owner: Any, project: Any, folder: Path
) -> None:
    (folder / "config.json").write_text("{nope")
    body = {"name": "t", "family": "causal_lm", "source": str(folder)}
    url = f"/api/v1/projects/{project.slug}/models"
    answer = as_user(owner).post(url, body, content_type="application/json")
    assert answer.status_code == 400
    assert "config.json" in answer.json()["detail"]
    assert "is no JSON (line 1, column 2)" in answer.json()["detail"]
