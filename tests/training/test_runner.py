"""What goes into a training run's folder."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from steelyard.assets.services import blob_path
from steelyard.lib.records import read_parquet
from steelyard.runs.models import Run
from training import runner
from training.models import TrainingJob
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
    pictures = make_version(rows=3, name="Pictures", chosen_media="a" * 64, rejected_media="b" * 64)
    run = ask(make_version())
    TrainingJob.objects.filter(run=run).update(version=pictures)
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


@pytest.mark.parametrize("state", ["queued", "paused"])
def test_a_failed_run_is_not_tried_again_once_its_name_is_promised(
    ask: Any, make_version: Any, project: Any, owner: Any, as_user: Any, state: str
) -> None:
    version = make_version()
    first = ask(version)
    Run.objects.filter(pk=first.pk).update(state="failed")
    second = ask(version)
    Run.objects.filter(pk=second.pk).update(state=state)
    client = as_user(owner)
    page = client.post(reverse("runs:run-retry", args=[project.slug, first.pk]))
    assert page.status_code == 409
    assert "will make a model called “better”" in page.content.decode()
    call = client.post(f"/api/v1/projects/{project.slug}/runs/{first.pk}/retry")
    assert (call.status_code, call.json()["code"]) == (409, "model_name_taken")
    assert Run.objects.get(pk=first.pk).state == "failed"
    Run.objects.filter(pk=second.pk).update(state="cancelled")
    client.post(reverse("runs:run-retry", args=[project.slug, first.pk]))
    assert Run.objects.get(pk=first.pk).state == "queued"
