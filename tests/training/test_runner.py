"""What goes into a training run's folder."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.assets.services import blob_path
from steelyard.lib.records import read_parquet
from training import runner
from training.services import start_training

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(project: Any, base: Any) -> Any:
    def start(version: Any) -> Any:
        job = start_training(
            project=project,
            version=version,
            base=base,
            recipe="dpo",
            config={"seed": 5},
            model_name="better",
            by=None,
        )
        return job.run

    return start


def test_run_json_says_all_that_the_engine_needs(ask: Any, make_version: Any, base: Any) -> None:
    version = make_version()
    run = ask(version)
    spec = runner.prepare(run)
    assert spec["kind"] == "train"
    assert (spec["recipe"], spec["seed"]) == ("dpo", 5)
    assert spec["base"] == base.as_spec()
    assert spec["dataset"]["digest"] == version.digest
    assert set(spec["libraries"]) == {"torch", "transformers", "diffusers", "peft"}
    assert len(read_parquet(run.dir.path / spec["dataset"]["file"])) == 20


def test_preparing_again_is_the_same(ask: Any, make_version: Any) -> None:
    run = ask(make_version())
    assert runner.prepare(run) == runner.prepare(run)


def test_media_are_placed_under_their_hashes(ask: Any, make_version: Any) -> None:
    for sha in ("a" * 64, "b" * 64):
        blob_path(sha).parent.mkdir(parents=True, exist_ok=True)
        blob_path(sha).write_bytes(sha.encode())
    run = ask(make_version(rows=3, chosen_media="a" * 64, rejected_media="b" * 64))
    runner.prepare(run)
    assert {path.name for path in run.dir.media.iterdir()} == {"a" * 64, "b" * 64}
    assert (run.dir.media / ("a" * 64)).samefile(blob_path("a" * 64))


def test_where_files_cannot_be_linked_they_are_copied(
    ask: Any, make_version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_file_system(source: Any, target: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(runner.os, "link", other_file_system)
    run = ask(make_version())
    spec = runner.prepare(run)
    assert len(read_parquet(run.dir.path / spec["dataset"]["file"])) == 20
